package upstream

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keystone-gateway/spec"
)

func TestAPoolIsInertUntilItStarts(t *testing.T) {
	var conns atomic.Int64
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		conns.Add(1)
		return ctx
	}
	server.Start()
	defer server.Close()

	r := newRegistry(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := r.Run(ctx); err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
	before := runtime.NumGoroutine()
	for i := range 1000 {
		p := r.NewPool(fmt.Sprintf("tenant-%d", i), checked(server.Listener.Addr().String()))
		if err := fails(t, p, request(t, http.MethodGet, "/", nil), nil); err.Kind != KindNoServer {
			t.Fatalf("before Start: got %v, want %s", err, KindNoServer)
		}
		if got := p.Healthy(); got != 0 {
			t.Fatalf("before Start: %d healthy, want 0", got)
		}
		p.Close()
		p.Start() // too late: it stays closed
	}
	cancel()
	running.Wait()
	type counts struct {
		Endpoints, Probes, Running int
		Conns                      int64
	}
	if diff := cmp.Diff(counts{}, counts{r.Endpoints(), r.Probes(), len(r.running), conns.Load()}); diff != "" {
		t.Errorf("1000 discarded pools left: -want +got:\n%s", diff)
	}
	if got := runtime.NumGoroutine(); got > before {
		t.Errorf("%d goroutines, %d before", got, before)
	}
}

func TestStartedPoolsGiveEverythingBack(t *testing.T) {
	server := named(t, "live")
	r := newRegistry(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := r.Run(ctx); err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
	var previous *Pool
	for i := range 1000 {
		u := checked(server, fmt.Sprintf("127.0.0.2:%d", 1+i%7))
		u.HealthCheck.Path = fmt.Sprintf("/healthz/%d", i%5)
		p := r.NewPool("shop", u)
		p.Start()
		p.Start() // once is enough
		if previous != nil {
			previous.Close()
			previous.Close()
		}
		previous = p
		if i%100 == 0 {
			resp, err := p.RoundTrip(request(t, http.MethodGet, "/", nil), nil)
			if err != nil {
				t.Fatal(err)
			}
			text(t, resp)
		}
	}
	if got := r.Endpoints(); got != 2 {
		t.Errorf("%d endpoints, want 2", got)
	}
	if got := r.Probes(); got != 2 {
		t.Errorf("%d probes, want 2", got)
	}
	previous.Close()
	cancel()
	running.Wait()
	if r.Endpoints() != 0 || r.Probes() != 0 || len(r.probes.queue) != 0 {
		t.Errorf("left: %d endpoints, %d probes, %d queued", r.Endpoints(), r.Probes(), len(r.probes.queue))
	}
}

func TestConnectionsAreSharedAndOutliveAReload(t *testing.T) {
	var conns atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		conns.Add(1)
		return ctx
	}
	server.Start()
	defer server.Close()
	address := server.Listener.Addr().String()

	r := newRegistry(t, Options{})
	get := func(p *Pool) {
		t.Helper()
		resp, err := p.RoundTrip(request(t, http.MethodGet, "/", nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		text(t, resp)
	}
	first := r.NewPool("shop", upstreamOf(address))
	first.Start()
	get(first)
	second := r.NewPool("shop", upstreamOf(address))
	second.Start()
	first.Close()
	get(second)
	other := r.NewPool("blog", upstreamOf(address+"/blog"))
	other.Start()
	get(other)
	if got := conns.Load(); got != 1 {
		t.Errorf("%d connections, want 1", got)
	}
	second.Close()
	other.Close()
	third := startPool(t, r, upstreamOf(address))
	get(third)
	if got := conns.Load(); got != 2 {
		t.Errorf("%d connections after the endpoint had gone, want 2", got)
	}
}

func TestClosingDoesNotCutWhatIsUnderWay(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "slow ")
		w.(http.Flusher).Flush()
		<-release
		_, _ = io.WriteString(w, "body")
	}))
	defer server.Close()
	r := newRegistry(t, Options{})
	p := startPool(t, r, upstreamOf(server.Listener.Addr().String()))
	resp, err := p.RoundTrip(request(t, http.MethodGet, "/", nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if got := r.Endpoints(); got != 0 {
		t.Errorf("%d endpoints, want 0", got)
	}
	close(release)
	if got := text(t, resp); got != "slow body" {
		t.Errorf("got %q, want %q", got, "slow body")
	}
	if err := fails(t, p, request(t, http.MethodGet, "/", nil), nil); err.Kind != KindNoServer {
		t.Errorf("after Close: got %v, want %s", err, KindNoServer)
	}
}

// TestRequestsWhileVersionsChange is for the race detector, and for the promise
// that starting the new before closing the old loses no request.
func TestRequestsWhileVersionsChange(t *testing.T) {
	servers := []string{named(t, "a"), named(t, "b")}
	r := newRegistry(t, Options{})
	var current atomic.Pointer[version]
	next := func() *version {
		v := &version{pool: r.NewPool("shop", upstreamOf(servers...))}
		v.pool.Start()
		return v
	}
	current.Store(next())
	var clients sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				v := current.Load()
				v.leases.RLock()
				if v.closed {
					v.leases.RUnlock()
					continue
				}
				resp, err := v.pool.RoundTrip(request(t, http.MethodGet, "/", nil), nil)
				if err != nil {
					t.Error(err)
				} else {
					text(t, resp)
				}
				_ = v.pool.Servers()
				v.leases.RUnlock()
			}
		})
	}
	for range 50 {
		old := current.Swap(next())
		old.leases.Lock()
		old.pool.Close()
		old.closed = true
		old.leases.Unlock()
	}
	close(stop)
	clients.Wait()
	current.Load().pool.Close()
	if got := r.Endpoints(); got != 0 {
		t.Errorf("%d endpoints, want 0", got)
	}
}

// version is a pool with what its owner, the proxy, does for it.
type version struct {
	pool   *Pool
	leases sync.RWMutex
	closed bool
}

func TestNamesAndRetriesComeFromTheSpec(t *testing.T) {
	r := newRegistry(t, Options{})
	for _, test := range []struct {
		retry spec.Retry
		want  int
	}{
		{spec.Retry{}, 0},
		{spec.Retry{Attempts: 2}, 0},
		{spec.Retry{Attempts: 2, On: []string{"connect"}}, 2},
	} {
		u := upstreamOf("a:80")
		u.Retry = test.retry
		p := r.NewPool("shop", u)
		if p.Name() != "web" || p.retries != test.want {
			t.Errorf("%v: got %s with %d retries, want web with %d", test.retry, p.Name(), p.retries, test.want)
		}
	}
}
