package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// secureServer is an https server, and the roots that it is known by.
func secureServer(t *testing.T, configure func(*tls.Config)) (string, *x509.CertPool) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto+" "+r.TLS.ServerName) // the test sees it
	}))
	s.EnableHTTP2 = true
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if configure != nil {
		configure(s.TLS)
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return s.Listener.Addr().String(), roots
}

func TestTLS(t *testing.T) {
	address, roots := secureServer(t, nil)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	old, _ := secureServer(t, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 })
	hello := raw(t, func(c net.Conn, _ int) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") })
	tests := []struct {
		name, url string
		roots     *x509.CertPool
		want      string // a body, or a kind
	}{
		{"trusted", "https://" + address, roots, "HTTP/1.1 "},
		{"unknown authority", "https://" + address, x509.NewCertPool(), "connect"},
		{"another name", "https://localhost:" + port, roots, "connect"},
		{"too old", "https://" + old, roots, "connect"},
		{"plain text", "https://" + hello, roots, "connect"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRegistry(t, Options{})
			r.dialer.tls.RootCAs = test.roots
			p := startPool(t, r, upstreamOf(test.url))
			if got := outcome(t, p, request(t, http.MethodGet, "/", nil), nil); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestAFailedHandshakeIsTriedElsewhere(t *testing.T) {
	u := upstreamOf("https://"+raw(t, func(net.Conn, int) {}), named(t, "live"))
	p := startPool(t, newRegistry(t, Options{}), u)
	if got, want := outcome(t, p, request(t, http.MethodPost, "/", nil), nil), "live POST "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestErrorsNameKindServerAndCause(t *testing.T) {
	cause := errors.New("no route")
	for _, test := range []struct {
		err  *Error
		want string
	}{
		{&Error{Kind: KindConnect, Server: "a", Err: cause}, "connect a: no route"},
		{&Error{Kind: KindNoServer, Err: errNoServer}, "no_server: no healthy server"},
		{&Error{Kind: KindTimeout}, "timeout"},
	} {
		if got := test.err.Error(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
	if !errors.Is(&Error{Kind: KindConnect, Err: cause}, cause) {
		t.Error("the cause is not in the chain")
	}
}

func TestADeadlineOfTheCallersIsKept(t *testing.T) {
	client, server := net.Pipe()
	defer func() { _ = server.Close() }() // nothing of it is looked at
	c := newConn(client)
	if err := c.SetWriteDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("late")); !isTimeout(err) {
		t.Errorf("got %v, want a timeout", err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Errorf("CloseWrite() without halves = %v", err)
	}
}
