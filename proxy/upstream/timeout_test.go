package upstream

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestTimeouts holds the timeouts to their durations, on a clock of its own.
func TestTimeouts(t *testing.T) {
	silent := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	deaf := func(net.Conn) {}
	tests := []struct {
		name   string
		serve  func(net.Conn)
		method string
		body   io.Reader
		trip   Trip
		want   time.Duration
	}{
		{"no head", silent, http.MethodGet, nil, Trip{}, firstByte},
		{"no head, the caller's timeout", silent, http.MethodGet, nil, Trip{Timeout: 3 * time.Second}, 3 * time.Second},
		{"interim responses do not help", func(c net.Conn) {
			if _, err := head(bufio.NewReader(c)); err != nil {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 103 Early Hints\r\n\r\n")
			silent(c)
		}, http.MethodGet, nil, Trip{}, firstByte},
		{"nothing is taken", deaf, http.MethodPost, strings.NewReader(strings.Repeat("x", 1<<20)), Trip{}, writeIdle},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var network fakeNet
				network.set("web:80", test.serve)
				p := startPool(t, network.start(t, Options{}), upstreamOf("web:80"))
				start := time.Now()
				err := fails(t, p, request(t, test.method, "/", test.body), &test.trip)
				if err.Kind != KindTimeout {
					t.Errorf("got %v, want %s", err, KindTimeout)
				}
				if got := time.Since(start); got != test.want {
					t.Errorf("took %s, want %s", got, test.want)
				}
			})
		})
	}
}

func TestAServerThatTakesALittleNowAndThenIsNotCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network fakeNet
		network.set("web:80", func(c net.Conn) {
			r := bufio.NewReaderSize(c, 64<<10)
			req, err := http.ReadRequest(r)
			if err != nil {
				t.Error(err)
				return
			}
			for {
				time.Sleep(writeIdle / 3)
				if _, err := io.CopyN(io.Discard, req.Body, 64<<10); err != nil {
					break
				}
			}
			_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
		})
		p := startPool(t, network.start(t, Options{}), upstreamOf("web:80"))
		resp, err := p.RoundTrip(request(t, http.MethodPost, "/", strings.NewReader(strings.Repeat("x", 1<<20))), nil)
		if err != nil {
			t.Fatal(err)
		}
		text(t, resp)
	})
}

func TestTheTimeoutEndsWithTheHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network fakeNet
		network.set("web:80", serveHTTP(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "slow ")
			w.(http.Flusher).Flush()
			time.Sleep(time.Hour)
			_, _ = io.WriteString(w, "body")
		}))
		p := startPool(t, network.start(t, Options{}), upstreamOf("web:80"))
		resp, err := p.RoundTrip(request(t, http.MethodGet, "/", nil), &Trip{Timeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if got := text(t, resp); got != "slow body" {
			t.Errorf("got %q, want %q", got, "slow body")
		}
	})
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network fakeNet
		closed := make(chan struct{})
		network.set("web:80", func(c net.Conn) {
			serveHTTP(func(http.ResponseWriter, *http.Request) {})(&told{Conn: c, closed: closed})
		})
		p := startPool(t, network.start(t, Options{}), upstreamOf("web:80"))
		start := time.Now()
		resp, err := p.RoundTrip(request(t, http.MethodGet, "/", nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		text(t, resp)
		<-closed
		if got := time.Since(start); got != idleConnection {
			t.Errorf("closed after %s, want %s", got, idleConnection)
		}
	})
}

// told says when its other side has hung up.
type told struct {
	net.Conn
	closed chan struct{}
}

func (c *told) Close() error {
	close(c.closed)
	return c.Conn.Close()
}

func TestASlowConnectIsATimeout(t *testing.T) {
	resolving := &net.OpError{Op: "dial", Err: &net.DNSError{Err: "server misbehaving", IsTimeout: true}}
	for _, test := range []struct {
		name string
		err  error
		want Kind
	}{
		{"no answer", &net.OpError{Op: "dial", Err: context.DeadlineExceeded}, KindTimeout},
		{"no name", resolving, KindConnect},
		{"denied", ErrDenied, KindConnect},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRegistry(t, Options{})
			tried := 0
			r.dialer.dial = func(context.Context, string, string) (net.Conn, error) {
				tried++
				return nil, test.err
			}
			p := startPool(t, r, upstreamOf("web:80", "api:80"))
			err := fails(t, p, request(t, http.MethodPost, "/", strings.NewReader("order")), nil)
			if err.Kind != test.want || err.Server != "b" {
				t.Errorf("got %v, want %s of b", err, test.want)
			}
			if tried != 2 {
				t.Errorf("%d tries, want 2", tried)
			}
		})
	}
}
