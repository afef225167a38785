package upstream

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"keystone-gateway/spec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newRegistry makes a registry that is closed with the test.
func newRegistry(t testing.TB, o Options) *Registry {
	t.Helper()
	r := NewRegistry(o)
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	return r
}

// upstreamOf is an upstream "web" of servers at addresses, host:port or a URL,
// named a, b, c, …, that tries another server once.
func upstreamOf(addresses ...string) *spec.Upstream {
	u := &spec.Upstream{
		Name:          "web",
		LoadBalancing: "round_robin",
		Retry:         spec.Retry{Attempts: 1, On: []string{"connect"}},
	}
	for i, a := range addresses {
		s := spec.Server{Name: string(rune('a' + i)), URL: a, Scheme: "http", Weight: 1}
		rest, secure := strings.CutPrefix(a, "https://")
		if secure {
			s.Scheme = "https"
		}
		rest = strings.TrimPrefix(rest, "http://")
		s.Host, s.Path, _ = strings.Cut(rest, "/")
		if s.Path != "" {
			s.Path = "/" + s.Path
		}
		u.Servers = append(u.Servers, s)
	}
	return u
}

// startPool starts a pool of tenant "shop" that is closed with the test.
func startPool(t testing.TB, r *Registry, u *spec.Upstream) *Pool {
	t.Helper()
	p := r.NewPool("shop", u)
	p.Start()
	t.Cleanup(p.Close)
	return p
}

// request is one that RoundTrip can take.
func request(t testing.TB, method, path string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://shop.example.com"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// text reads and closes a response's body.
func text(t testing.TB, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("read body: %v", err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Errorf("close body: %v", err)
	}
	return string(b)
}

// named is a server that answers with its name and what it got.
func named(t testing.TB, name string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		_, _ = io.WriteString(w, name+" "+r.Method+" "+string(b)) // the client's test sees it
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// refusing is an address where nothing listens.
func refusing(t testing.TB) string {
	t.Helper()
	l := listen(t)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// raw is a server that hands each connection to serve, the count of earlier
// ones with it, and closes it afterwards. All end with the test.
func raw(t testing.TB, serve func(c net.Conn, nth int)) string {
	t.Helper()
	l := listen(t)
	var (
		mu    sync.Mutex
		conns []net.Conn
		all   sync.WaitGroup
	)
	all.Go(func() {
		for nth := 0; ; nth++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			all.Go(func() {
				defer func() { _ = c.Close() }()
				serve(c, nth)
			})
		}
	})
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		mu.Lock()
		for _, c := range conns {
			_ = c.Close() // usually closed already
		}
		mu.Unlock()
		all.Wait()
	})
	return l.Addr().String()
}

// head reads a request's head and returns its first line.
func head(r *bufio.Reader) (string, error) {
	first := ""
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", err
		}
		line = strings.TrimRight(line, "\r\n")
		switch {
		case line == "":
			return first, nil
		case first == "":
			first = line
		}
	}
}

// saying answers each connection's first request with the bytes of answer.
func saying(t testing.TB, answer string) string {
	t.Helper()
	return raw(t, func(c net.Conn, _ int) {
		if _, err := head(bufio.NewReader(c)); err != nil {
			return
		}
		_, _ = io.WriteString(c, answer) // a client that hangs up is part of the case
	})
}

// outcome makes a trip and returns the answer's body, or the error's kind.
func outcome(t testing.TB, p *Pool, req *http.Request, trip *Trip) string {
	t.Helper()
	resp, err := p.RoundTrip(req, trip)
	if err != nil {
		return string(asError(t, err).Kind)
	}
	return text(t, resp)
}

// fails makes a trip that must fail.
func fails(t testing.TB, p *Pool, req *http.Request, trip *Trip) *Error {
	t.Helper()
	resp, err := p.RoundTrip(req, trip)
	if err == nil {
		t.Fatalf("got status %d and %q, want an error", resp.StatusCode, text(t, resp))
	}
	return asError(t, err)
}

// asError is the *Error that every failed trip is to end with.
func asError(t testing.TB, err error) *Error {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got error %v (%T), want an *Error", err, err)
	}
	return e
}

// journal is a log that a test can wait for.
type journal struct {
	mu      sync.Mutex
	lines   []string
	written chan struct{} // one for each line
}

func newJournal() *journal { return &journal{written: make(chan struct{}, 100)} }

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	j.lines = append(j.lines, strings.TrimSpace(string(p)))
	j.mu.Unlock()
	j.written <- struct{}{}
	return len(p), nil
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines)
}
