package upstream

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"keystone-gateway/spec"
)

// fakeNet is a network of servers in memory, so that a test in a synctest
// bubble owns the time.
type fakeNet struct {
	mu    sync.Mutex
	serve map[string]func(net.Conn) // by host:port; an absent one refuses
}

// dial is a dialer's.
func (n *fakeNet) dial(_ context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	serve := n.serve[address]
	if serve == nil {
		return nil, errors.New("connection refused")
	}
	client, server := net.Pipe()
	go serve(server)
	return client, nil
}

func (n *fakeNet) set(address string, serve func(net.Conn)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.serve == nil {
		n.serve = make(map[string]func(net.Conn))
	}
	n.serve[address] = serve
}

// http serves one connection by h.
func serveHTTP(h http.HandlerFunc) func(net.Conn) {
	return func(c net.Conn) {
		s := http.Server{Handler: h}
		_ = s.Serve(&single{conn: c}) // io.EOF after the one connection
	}
}

// single is a listener with one connection.
type single struct{ conn net.Conn }

func (s *single) Accept() (net.Conn, error) {
	c := s.conn
	s.conn = nil
	if c == nil {
		return nil, io.EOF
	}
	return c, nil
}

func (s *single) Close() error   { return nil }
func (s *single) Addr() net.Addr { return &net.TCPAddr{} }

// start makes a registry on n and runs it until the end of the bubble's test.
func (n *fakeNet) start(t *testing.T, o Options) *Registry {
	t.Helper()
	r := newRegistry(t, o)
	r.dialer.dial = n.dial
	n.run(t, r)
	return r
}

func (n *fakeNet) run(t *testing.T, r *Registry) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
}

// checked is upstreamOf with an active check of /healthz every ten seconds.
func checked(addresses ...string) *spec.Upstream {
	u := upstreamOf(addresses...)
	u.HealthCheck = &spec.HealthCheck{
		Type: "http", Path: "/healthz", Interval: 10 * time.Second, Timeout: 2 * time.Second,
		Healthy: 2, Unhealthy: 3, Status: []spec.StatusRange{{From: 200, To: 399}}, Initial: "healthy",
	}
	return u
}

// answers is a server whose status can be changed.
type answers struct {
	status atomic.Int64
	asked  atomic.Int64
	last   atomic.Pointer[http.Request]
}

func (a *answers) handle(w http.ResponseWriter, r *http.Request) {
	a.asked.Add(1)
	a.last.Store(r)
	w.WriteHeader(int(a.status.Load()))
}

func TestHealthFollowsTheProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network fakeNet
		var server answers
		server.status.Store(200)
		network.set("web:80", serveHTTP(server.handle))
		log := newJournal()
		r := network.start(t, Options{Log: log.logger()})
		u := checked("web:80")
		u.HealthCheck.Host = "health.example.com"
		p := startPool(t, r, u)

		if got := p.Healthy(); got != 1 {
			t.Errorf("a new server: %d healthy, want 1", got)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := server.asked.Load(); got != 1 {
			t.Fatalf("%d probes within the first second, want 1", got)
		}
		probe := server.last.Load()
		if got, want := probe.Method+" "+probe.Host+probe.RequestURI, "GET health.example.com/healthz"; got != want {
			t.Errorf("probe asks %s, want %s", got, want)
		}

		// step answers the next n probes with status, then looks.
		step := func(status int64, n int64, healthy int) {
			t.Helper()
			server.status.Store(status)
			for until := server.asked.Load() + n; server.asked.Load() < until; {
				time.Sleep(time.Second)
				synctest.Wait()
			}
			if got := p.Healthy(); got != healthy {
				t.Errorf("after %d answers of %d: %d healthy, want %d", n, status, got, healthy)
			}
		}
		step(500, 2, 1)
		step(204, 1, 1)
		step(404, 2, 1)
		step(404, 1, 0)
		if got, want := p.Servers()[0].Err, "status 404"; got != want {
			t.Errorf("last error %q, want %q", got, want)
		}
		if err := fails(t, p, request(t, http.MethodGet, "/", nil), nil); err.Kind != KindNoServer {
			t.Errorf("no healthy server: got %v, want %s", err, KindNoServer)
		}
		step(399, 1, 0)
		step(500, 1, 0)
		step(200, 1, 0)
		step(200, 1, 1)
		want := []ServerHealth{{Name: "a", URL: "http://web:80", Healthy: true, Checked: true, Since: p.Servers()[0].Since}}
		if diff := cmp.Diff(want, p.Servers()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		wantLog := []string{
			`level=WARN msg="server unhealthy" server=http://web:80 check=/healthz err="status 404"`,
			`level=INFO msg="server healthy" server=http://web:80 check=/healthz`,
		}
		if diff := cmp.Diff(wantLog, log.all()); diff != "" {
			t.Errorf("log: -want +got:\n%s", diff)
		}
	})
}

func TestProbesKeepTheirIntervalMoreOrLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network fakeNet
		var server answers
		server.status.Store(200)
		network.set("web:80", serveHTTP(server.handle))
		startPool(t, network.start(t, Options{}), checked("web:80"))
		time.Sleep(1000 * time.Second)
		synctest.Wait()
		if got := server.asked.Load(); got < 90 || got > 112 {
			t.Errorf("%d probes in 100 intervals", got)
		}
	})
}

func TestTheFirstProbeDecides(t *testing.T) {
	tests := []struct {
		name    string
		initial string
		serve   func(net.Conn)
		before  int
		after   int
	}{
		{"assumed healthy, good", "healthy", status(200), 1, 1},
		{"assumed healthy, bad", "healthy", status(503), 1, 0},
		{"assumed healthy, refused", "healthy", nil, 1, 0},
		{"assumed healthy, hanging", "healthy", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, 1, 0},
		{"assumed healthy, garbage", "healthy", func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, "what?\r\n\r\n")
			_ = c.Close()
		}, 1, 0},
		{"assumed unhealthy, good", "unhealthy", status(200), 0, 1},
		{"assumed unhealthy, bad", "unhealthy", status(503), 0, 0},
		{"good, with a body that never ends", "unhealthy", serveHTTP(func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 1024)); err != nil {
					return
				}
			}
		}), 0, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var network fakeNet
				network.set("web:80", test.serve)
				u := checked("web:80")
				u.HealthCheck.Initial = test.initial
				u.HealthCheck.Timeout = 200 * time.Millisecond
				p := startPool(t, network.start(t, Options{}), u)
				if got := p.Healthy(); got != test.before {
					t.Errorf("before: %d healthy, want %d", got, test.before)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if got := p.Healthy(); got != test.after {
					t.Errorf("after: %d healthy, want %d (%s)", got, test.after, p.Servers()[0].Err)
				}
			})
		})
	}
}

func status(code int) func(net.Conn) {
	return serveHTTP(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
}

func TestRequestsAvoidUnhealthyServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network fakeNet
		for name, code := range map[string]int{"good": 200, "bad": 503} {
			network.set(name+":80", serveHTTP(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/healthz" {
					w.WriteHeader(code)
				}
			}))
		}
		p := startPool(t, network.start(t, Options{}), checked("bad:80", "good:80"))
		time.Sleep(time.Second)
		synctest.Wait()
		for range 10 {
			var trip Trip
			resp, err := p.RoundTrip(request(t, http.MethodGet, "/", nil), &trip)
			if err != nil {
				t.Fatal(err)
			}
			text(t, resp)
			if trip.Server != "b" || trip.Attempts != 1 {
				t.Errorf("got server %s in %d tries, want b in 1", trip.Server, trip.Attempts)
			}
		}
	})
}

func TestTheSameCheckIsSharedAndOutlivesAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network fakeNet
		var server answers
		server.status.Store(503)
		network.set("web:80", serveHTTP(server.handle))
		r := network.start(t, Options{})
		first := startPool(t, r, checked("web:80", "web:80"))
		time.Sleep(time.Second)
		synctest.Wait()
		if got := first.Healthy(); got != 0 {
			t.Fatalf("%d healthy, want 0", got)
		}

		second := checked("web:80")
		second.HealthCheck.Status = []spec.StatusRange{{From: 300, To: 399}, {From: 200, To: 299}} // the same set
		p := startPool(t, r, second)
		if got := r.Probes(); got != 1 {
			t.Errorf("%d probes, want 1", got)
		}
		if got := p.Healthy(); got != 0 {
			t.Errorf("a new version forgot what was known: %d healthy, want 0", got)
		}
		first.Close()
		if got := r.Probes(); got != 1 {
			t.Errorf("%d probes while a pool holds one, want 1", got)
		}

		other := checked("web:80")
		other.HealthCheck.Interval = time.Second
		q := startPool(t, r, other)
		if got := r.Probes(); got != 2 {
			t.Errorf("%d probes for two different checks, want 2", got)
		}
		p.Close()
		q.Close()
		if got := r.Probes(); got != 0 {
			t.Errorf("%d probes that nobody holds, want 0", got)
		}
		asked := server.asked.Load()
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := server.asked.Load(); got != asked {
			t.Errorf("%d probes that nobody holds were made", got-asked)
		}
	})
}

func TestAProbeThatNobodyHoldsAnyMoreSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network fakeNet
		asked, answer := make(chan struct{}), make(chan struct{})
		network.set("web:80", serveHTTP(func(w http.ResponseWriter, _ *http.Request) {
			close(asked)
			<-answer
			w.WriteHeader(http.StatusServiceUnavailable)
		}))
		log := newJournal()
		r := network.start(t, Options{Log: log.logger()})
		p := startPool(t, r, checked("web:80"))
		<-asked
		p.Close()
		close(answer)
		time.Sleep(time.Minute)
		synctest.Wait()
		if diff := cmp.Diff([]string(nil), log.all()); diff != "" {
			t.Errorf("log: -want +got:\n%s", diff)
		}
		if got := len(r.probes.queue); got != 0 {
			t.Errorf("%d probes queued, want 0", got)
		}
	})
}

func TestStoppingTheRegistryIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network fakeNet
		asked := make(chan struct{}, 10)
		network.set("web:80", serveHTTP(func(_ http.ResponseWriter, r *http.Request) {
			asked <- struct{}{}
			<-r.Context().Done()
		}))
		r := newRegistry(t, Options{})
		r.dialer.dial = network.dial
		p := startPool(t, r, checked("web:80"))
		time.Sleep(time.Hour) // what is asked for before Run waits for it
		if got := len(asked); got != 0 {
			t.Fatalf("%d probes before Run, want 0", got)
		}
		for range 2 {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- r.Run(ctx) }()
			<-asked
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run() = %v", err)
			}
			if got := p.Healthy(); got != 1 {
				t.Errorf("%d healthy, want 1", got)
			}
		}
	})
}

func TestProbesAreBoundedAndSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers, servers = 4, 100
		var network fakeNet
		var now, most, total atomic.Int64
		addresses := make([]string, servers)
		for i := range addresses {
			addresses[i] = "web" + strings.Repeat("x", i) + ":80"
			network.set(addresses[i], serveHTTP(func(http.ResponseWriter, *http.Request) {
				total.Add(1)
				most.Store(max(most.Load(), now.Add(1)))
				time.Sleep(10 * time.Millisecond)
				now.Add(-1)
			}))
		}
		p := startPool(t, network.start(t, Options{Workers: workers}), checked(addresses...))
		time.Sleep(time.Second)
		synctest.Wait()
		if got := total.Load(); got != servers {
			t.Errorf("%d probes within the first second, want %d", got, servers)
		}
		if got := most.Load(); got > workers {
			t.Errorf("%d probes at the same time, want at most %d", got, workers)
		}
		if got := p.Healthy(); got != servers {
			t.Errorf("%d healthy, want %d", got, servers)
		}
	})
}

func TestAServerMayHaveItsOwnCheckOrNone(t *testing.T) {
	u := checked("web:80", "api:80", "old:80/v1")
	u.HealthCheck.Path = ""
	u.Servers[1].Health = "/live"
	r := newRegistry(t, Options{})
	p := r.NewPool("shop", u)
	want := []ServerHealth{
		{Name: "a", URL: "http://web:80", Healthy: true},
		{Name: "b", URL: "http://api:80", Healthy: true, Checked: true},
		{Name: "c", URL: "http://old:80/v1", Healthy: true},
	}
	if diff := cmp.Diff(want, p.Servers()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	p.Start()
	defer p.Close()
	if got := r.Probes(); got != 1 {
		t.Errorf("%d probes, want 1", got)
	}
	if got := p.Servers()[0].Since; got.IsZero() {
		t.Error("a server without a check has no Since")
	}
}

func TestStatusSets(t *testing.T) {
	set := statusesOf([]spec.StatusRange{{From: 200, To: 204}, {From: 418, To: 418}, {From: -5, To: 0}, {From: 990, To: 2000}})
	for code, want := range map[int]bool{0: true, 1: false, 199: false, 200: true, 204: true, 205: false, 418: true, 999: true} {
		if got := set.has(code); got != want {
			t.Errorf("has(%d) = %t, want %t", code, got, want)
		}
	}
	if statusesOf(nil) != statusesOf([]spec.StatusRange{{From: 200, To: 399}}) {
		t.Error("no ranges are not 200 to 399")
	}
}
