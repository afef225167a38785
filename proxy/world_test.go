package proxy

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"keystone-gateway/internal/telemetry"
	"keystone-gateway/proxy/upstream"
	"keystone-gateway/spec"
)

// world is a gateway on a real socket.
type world struct {
	tb      testing.TB
	server  *Server
	builder *Builder
	addr    string
	logs    *records
	drained chan drainedTenant
	number  uint64
}

type drainedTenant struct {
	name string
	took time.Duration
	cut  int
}

// newWorld starts a gateway that serves tenants; it is shut down at the end.
func newWorld(tb testing.TB, change func(*Options), tenants ...*spec.Tenant) *world {
	tb.Helper()
	w := &world{tb: tb, logs: &records{changed: make(chan struct{})}, drained: make(chan drainedTenant, 1000)}
	registry := upstream.NewRegistry(upstream.Options{Log: slog.New(slog.DiscardHandler)})
	metrics := telemetry.NewMetrics()
	o := Options{
		Timeouts:  Timeouts{ReadHeader: 5 * time.Second, Idle: time.Minute, BodyIdle: 20 * time.Second, WriteIdle: 20 * time.Second},
		Limits:    spec.RequestLimits{MaxHeaderSize: 64 << 10, MaxHeaders: 100, MaxURLSize: 8192},
		AccessLog: true,
		Metrics:   metrics,
		Log:       slog.New(slog.NewJSONHandler(w.logs, nil)),
		Drained:   func(name string, took time.Duration, cut int) { w.drained <- drainedTenant{name, took, cut} },
	}
	if change != nil {
		change(&o)
	}
	w.server = New(o)
	w.builder = NewBuilder(BuilderOptions{Registry: registry, Metrics: metrics, Log: o.Log})
	if len(tenants) > 0 {
		w.serve(tenants...)
	}

	l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	w.addr = l.Addr().String()
	ctx, stop := context.WithCancel(context.WithoutCancel(tb.Context()))
	var running sync.WaitGroup
	running.Go(func() {
		if err := w.server.Serve(l); err != nil {
			tb.Errorf("serve: %v", err)
		}
	})
	running.Go(func() {
		if err := w.server.Run(ctx); err != nil {
			tb.Errorf("run: %v", err)
		}
	})
	running.Go(func() { _ = registry.Run(ctx) })
	tb.Cleanup(func() {
		gone, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
		cancel() // whatever still runs at the end of a test is cut
		if _, err := w.server.Shutdown(gone); err != nil {
			tb.Errorf("shutdown: %v", err)
		}
		stop()
		running.Wait()
		if err := registry.Close(); err != nil {
			tb.Errorf("registry: %v", err)
		}
	})
	return w
}

// build compiles a tenant, which must succeed.
func (w *world) build(t *spec.Tenant) *Tenant {
	w.tb.Helper()
	tenant, err := w.builder.Build(w.tb.Context(), t, emptyTree())
	if err != nil {
		w.tb.Fatalf("build %s: %v", t.Name, err)
	}
	return tenant
}

func emptyTree() *spec.Input { return &spec.Input{FS: fstest.MapFS{}, Scripts: "scripts"} }

// serve builds tenants and swaps to them.
func (w *world) serve(tenants ...*spec.Tenant) {
	w.tb.Helper()
	var built []*Tenant
	for _, t := range tenants {
		built = append(built, w.build(t))
	}
	w.swap(built...)
}

// swap makes a generation of built tenants.
func (w *world) swap(tenants ...*Tenant) {
	w.number++
	var slots []*Slot
	for _, t := range tenants {
		slots = append(slots, &Slot{Name: t.Name(), Tenant: t, State: Current, Claims: t.Spec().Claims()})
	}
	w.server.Swap(NewGeneration(w.number, slots), fmt.Sprintf("rev%d", w.number))
}

// raw sends bytes on a connection of its own and returns all that comes back.
func (w *world) raw(request string) string {
	w.tb.Helper()
	return string(exchangeRaw(w.tb, w.addr, []byte(request), 10*time.Second))
}

func exchangeRaw(tb testing.TB, addr string, request []byte, patience time.Duration) []byte {
	tb.Helper()
	c, err := new(net.Dialer).DialContext(tb.Context(), "tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		tb.Fatal(err)
	}
	if _, err := c.Write(request); err != nil {
		tb.Logf("write: %v", err)
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		tb.Logf("read: %v", err)
	}
	return answer
}

// do sends a request for http://host/path to the gateway.
func (w *world) do(method, target string, body io.Reader, headers ...string) *http.Response {
	w.tb.Helper()
	u, err := url.Parse(target)
	if err != nil {
		w.tb.Fatal(err)
	}
	r, err := http.NewRequestWithContext(w.tb.Context(), method, "http://"+w.addr+u.RequestURI(), body)
	if err != nil {
		w.tb.Fatal(err)
	}
	r.Host = u.Host
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	resp, err := w.client().Do(r)
	if err != nil {
		w.tb.Fatalf("%s %s: %v", method, target, err)
	}
	return resp
}

// client has connections of its own, does not follow redirects and leaves
// bodies as they are.
func (w *world) client() *http.Client {
	transport := &http.Transport{DisableCompression: true}
	w.tb.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (w *world) get(target string, headers ...string) (status int, body string) {
	w.tb.Helper()
	resp := w.do(http.MethodGet, target, nil, headers...)
	return resp.StatusCode, readAll(w.tb, resp)
}

func readAll(tb testing.TB, resp *http.Response) string {
	tb.Helper()
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatalf("read body: %v", err)
	}
	return string(b)
}

// statusOf reads the status of a raw response; 0 for a closed connection.
func statusOf(answer string) int {
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(answer)), nil)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// records keeps the log.
type records struct {
	mu      sync.Mutex
	lines   []map[string]any
	changed chan struct{} // closed and replaced at each line
}

func (r *records) Write(p []byte) (int, error) {
	var line map[string]any
	if err := json.Unmarshal(p, &line); err != nil {
		return 0, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
	close(r.changed)
	r.changed = make(chan struct{})
	return len(p), nil
}

// wait returns the first line with this message that ok accepts.
func (r *records) wait(tb testing.TB, msg string, ok func(map[string]any) bool) map[string]any {
	tb.Helper()
	deadline := time.After(10 * time.Second)
	for {
		r.mu.Lock()
		i := slices.IndexFunc(r.lines, func(line map[string]any) bool { return line["msg"] == msg && (ok == nil || ok(line)) })
		changed := r.changed
		var found map[string]any
		if i >= 0 {
			found = r.lines[i]
		}
		r.mu.Unlock()
		if found != nil {
			return found
		}
		select {
		case <-changed:
		case <-deadline:
			tb.Fatalf("no log record %q", msg)
		}
	}
}

// echo is an upstream that says what reached it.
type echo struct{ *httptest.Server }

type echoed struct {
	Server, Method, Host, URI string
	Header                    http.Header
	Body                      string
	Length                    int64
	Encoding                  []string
}

func newEcho(tb testing.TB, name string) *echo {
	tb.Helper()
	e := &echo{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			tb.Logf("echo: %v", err)
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(echoed{name, r.Method, r.Host, r.RequestURI, r.Header, string(body), r.ContentLength, r.TransferEncoding}); err != nil {
			tb.Logf("echo: %v", err)
		}
	}))
	tb.Cleanup(e.Close)
	return e
}

func parseEcho(tb testing.TB, body string) echoed {
	tb.Helper()
	var e echoed
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		tb.Fatalf("echo %q: %v", body, err)
	}
	return e
}

// tenantOf makes a tenant whose default upstream is at url.
func tenantOf(name, url string, domains ...string) *spec.Tenant {
	t := &spec.Tenant{Name: name, Domains: domains, DrainTimeout: 10 * time.Second, Upstreams: map[string]*spec.Upstream{}}
	if len(domains) == 0 {
		t.PathPrefix = "/"
	}
	if url != "" {
		t.Upstreams["default"] = upstreamOf("default", url)
	}
	return t
}

func upstreamOf(name string, urls ...string) *spec.Upstream {
	u := &spec.Upstream{Name: name, LoadBalancing: "round_robin", Retry: spec.Retry{Attempts: 1, On: []string{"connect"}}}
	for i, raw := range urls {
		parsed, err := url.Parse(raw)
		if err != nil {
			panic(err)
		}
		u.Servers = append(u.Servers, spec.Server{
			Name: fmt.Sprintf("s%d", i), URL: raw, Scheme: parsed.Scheme, Host: parsed.Host, Path: strings.TrimSuffix(parsed.Path, "/"), Weight: 1,
		})
	}
	return u
}

func loopback() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

// listenRaw runs serve for each connection to a socket of its own.
func listenRaw(tb testing.TB, serve func(net.Conn)) (addr string) {
	tb.Helper()
	l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var (
		mu      sync.Mutex
		conns   []net.Conn
		serving sync.WaitGroup
	)
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			serving.Go(func() {
				defer func() { _ = c.Close() }()
				serve(c)
			})
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		serving.Wait()
	})
	return l.Addr().String()
}

// answering is an upstream that reads each request and answers with raw bytes.
func answering(tb testing.TB, answer string) string {
	return "http://" + listenRaw(tb, func(c net.Conn) {
		in := bufio.NewReader(c)
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return
			}
			if _, err := c.Write([]byte(answer)); err != nil || !strings.Contains(answer, "Content-Length") {
				return
			}
		}
	})
}

func lines(s ...string) string { return strings.Join(s, "\r\n") + "\r\n\r\n" }
