package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"keystone-gateway/spec"
)

// hanging is an upstream that sends a head and then nothing until released.
type hanging struct {
	*httptest.Server
	arrived chan string
	release chan struct{}
}

func newHanging(tb testing.TB) *hanging {
	tb.Helper()
	h := &hanging{arrived: make(chan string, 1000), release: make(chan struct{})}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		_ = http.NewResponseController(w).Flush()
		h.arrived <- r.URL.Path
		select {
		case <-h.release:
			_, _ = io.WriteString(w, "done")
		case <-r.Context().Done():
		}
	}))
	tb.Cleanup(h.Close)
	return h
}

func TestSwapsLoseNoRequest(t *testing.T) { // alone: it takes all the processor there is
	up := newEcho(t, "a")
	w := newWorld(t, func(o *Options) { o.AccessLog = false }, tenantOf("shop", up.URL, "shop.example"))
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	var served atomic.Int64
	progress := make(chan struct{})
	client := w.client()
	if transport, ok := client.Transport.(*http.Transport); ok {
		transport.MaxIdleConnsPerHost = 200
	}
	for range 200 {
		clients.Go(func() {
			for ctx.Err() == nil {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+w.addr+"/x", nil)
				if err != nil {
					t.Error(err)
					return
				}
				r.Host = "shop.example"
				resp, err := client.Do(r)
				if err != nil {
					t.Errorf("request: %v", err)
					continue
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if resp.StatusCode != 200 {
					t.Errorf("status %d", resp.StatusCode)
				}
				served.Add(1)
				select {
				case progress <- struct{}{}:
				default:
				}
			}
		})
	}
	const swaps = 25
	for i := range swaps {
		for range 5 { // let some requests through each version
			<-progress
		}
		next := tenantOf("shop", up.URL, "shop.example")
		next.Hash = fmt.Sprint(i)
		w.serve(next)
	}
	stop()
	clients.Wait()
	for range swaps {
		if d := <-w.drained; d.name != "shop" || d.cut != 0 {
			t.Errorf("drained %+v", d)
		}
	}
	if n := w.server.Draining(); n != 0 {
		t.Errorf("%d still draining", n)
	}
	t.Logf("%d requests over %d swaps", served.Load(), swaps)
}

func TestARetiredTenantFinishesWhatItBegan(t *testing.T) {
	t.Parallel()
	up := newHanging(t)
	w := newWorld(t, nil, tenantOf("shop", up.URL, "shop.example"))
	resp := w.do(http.MethodGet, "http://shop.example/long", nil)
	<-up.arrived
	w.swap()
	if n := w.server.Draining(); n != 1 {
		t.Errorf("%d draining, want 1", n)
	}
	if status, _ := w.get("http://shop.example/"); status != http.StatusNotFound {
		t.Errorf("a new request: status %d, want 404", status)
	}
	close(up.release)
	if got := readAll(t, resp); got != "done" {
		t.Errorf("read %q", got)
	}
	if d := <-w.drained; d.name != "shop" || d.cut != 0 {
		t.Errorf("drained %+v", d)
	}
}

func TestLongExchangesAreCut(t *testing.T) {
	t.Parallel()
	up := newHanging(t)
	shop := tenantOf("shop", up.URL, "shop.example")
	shop.DrainTimeout = 200 * time.Millisecond
	w := newWorld(t, nil, shop)
	var reading sync.WaitGroup
	for range 4 {
		resp := w.do(http.MethodGet, "http://shop.example/", nil)
		<-up.arrived
		reading.Go(func() {
			defer func() { _ = resp.Body.Close() }()
			if b, err := io.ReadAll(resp.Body); err == nil {
				t.Errorf("read %q without an error", b)
			}
		})
	}
	w.swap()
	d := <-w.drained
	if d.cut != 4 || d.took < 200*time.Millisecond {
		t.Errorf("drained %+v", d)
	}
	reading.Wait()
}

func TestCutsAreSpreadOverTheLastFifth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		drained := make(chan int, 1)
		s := New(Options{Drained: func(_ string, took time.Duration, cut int) {
			if took != 10*time.Second {
				t.Errorf("took %v", took)
			}
			drained <- cut
		}})
		tenant := &Tenant{spec: &spec.Tenant{Name: "shop", DrainTimeout: 10 * time.Second}, lease: newLease()}
		s.start(tenant)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = s.Run(ctx) })

		var mu sync.Mutex
		var ends []time.Duration
		for range 4 {
			x := &Exchange{}
			x.Context, x.cancel = context.WithCancelCause(t.Context())
			if !tenant.lease.acquire(x) {
				t.Fatal("no lease")
			}
			running.Go(func() {
				<-x.Done()
				mu.Lock()
				ends = append(ends, time.Since(start))
				mu.Unlock()
				if !errors.Is(context.Cause(x), errCut) {
					t.Errorf("cause %v", context.Cause(x))
				}
				tenant.release(x)
			})
		}
		s.drain.retire(tenant, start)
		if cut := <-drained; cut != 4 {
			t.Errorf("%d cut", cut)
		}
		stop()
		running.Wait()
		want := []time.Duration{8500 * time.Millisecond, 9 * time.Second, 9500 * time.Millisecond, 10 * time.Second}
		for i, end := range ends {
			if end != want[i] {
				t.Errorf("ended after %v, want %v", ends, want)
				break
			}
		}
		if tenant.lease.acquire(&Exchange{}) {
			t.Error("a closed tenant was leased")
		}
	})
}

func TestAnExchangeCutBeforeItsHeadIsAnswered(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{}, 1)
	up := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(up.Close)
	shop := tenantOf("shop", up.URL, "shop.example")
	shop.DrainTimeout = time.Millisecond
	w := newWorld(t, nil, shop)
	answered := make(chan string)
	go func() { answered <- w.raw(lines("GET / HTTP/1.1", "Host: shop.example")) }()
	<-arrived
	w.swap()
	if answer := <-answered; statusOf(answer) != http.StatusServiceUnavailable {
		t.Errorf("answered %q, want 503", answer)
	}
	<-w.drained
}

// newSocketEcho is a WebSocket server that sends back what it gets.
func newSocketEcho(tb testing.TB) *httptest.Server {
	tb.Helper()
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			tb.Logf("accept: %v", err)
			return
		}
		defer func() { _ = c.CloseNow() }()
		for {
			kind, message, err := c.Read(context.WithoutCancel(r.Context()))
			if err != nil {
				return
			}
			if err := c.Write(r.Context(), kind, message); err != nil {
				return
			}
		}
	}))
	tb.Cleanup(up.Close)
	return up
}

func (w *world) dial(path string) *websocket.Conn {
	w.tb.Helper()
	c, resp, err := websocket.Dial(w.tb.Context(), "ws://"+w.addr+path, &websocket.DialOptions{Host: "shop.example"})
	if err != nil {
		w.tb.Fatal(err)
	}
	if resp.Body != nil {
		defer func() { _ = resp.Body.Close() }()
	}
	if resp.Header.Get("X-Request-Id") == "" {
		w.tb.Error("no request id on the 101")
	}
	w.tb.Cleanup(func() { _ = c.CloseNow() })
	return c
}

func say(tb testing.TB, c *websocket.Conn, what string) {
	tb.Helper()
	if err := c.Write(tb.Context(), websocket.MessageText, []byte(what)); err != nil {
		tb.Fatal(err)
	}
	if _, got, err := c.Read(tb.Context()); err != nil || string(got) != what {
		tb.Fatalf("read %q, %v; want %q", got, err, what)
	}
}

func TestAWebSocketSurvivesSwapsOfOthers(t *testing.T) {
	t.Parallel()
	up := newSocketEcho(t)
	w := newWorld(t, nil)
	kept := w.build(tenantOf("shop", up.URL, "shop.example"))
	w.swap(kept)
	c := w.dial("/ws")
	for i := range 20 {
		other := tenantOf("other", up.URL, "other.example")
		other.Hash = fmt.Sprint(i)
		w.swap(kept, w.build(other))
		say(t, c, fmt.Sprint("hello ", i))
	}
	g, revision := w.server.Applied()
	if g.Slots()["shop"].Tenant != kept || g.Number() != 21 || revision != "rev21" {
		t.Error("the tenant is not the same object in the last generation")
	}
	if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
	line := w.logs.wait(t, "request", nil)
	if line["status"] != 101.0 || line["path"] != "/ws" || line["err"] != nil {
		t.Errorf("logged %v", line)
	}
}

func TestAWebSocketOfARemovedTenantIsClosed(t *testing.T) {
	t.Parallel()
	up := newSocketEcho(t)
	shop := tenantOf("shop", up.URL, "shop.example")
	shop.DrainTimeout = 100 * time.Millisecond
	w := newWorld(t, nil, shop)
	c := w.dial("/ws")
	say(t, c, "hello")
	w.swap()
	if _, _, err := c.Read(t.Context()); err == nil {
		t.Error("read without an error")
	}
	if d := <-w.drained; d.cut != 1 {
		t.Errorf("drained %+v", d)
	}
}

func TestShutdownCompletesWhatRuns(t *testing.T) {
	t.Parallel()
	up := newHanging(t)
	w := newWorld(t, nil, tenantOf("shop", up.URL, "shop.example"))
	resp := w.do(http.MethodGet, "http://shop.example/", nil)
	<-up.arrived
	// A connection that never sends a byte must not hold it up.
	silent, err := new(net.Dialer).DialContext(t.Context(), "tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()

	down := make(chan error)
	began := time.Now()
	go func() {
		cut, err := w.server.Shutdown(t.Context())
		if cut != 0 {
			err = errors.Join(err, fmt.Errorf("%d cut", cut))
		}
		down <- err
	}()
	if _, err := bufio.NewReader(silent).ReadByte(); err == nil {
		t.Error("the silent connection was spoken to")
	}
	close(up.release)
	if got := readAll(t, resp); got != "done" {
		t.Errorf("read %q", got)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("took %v", took)
	}
	if c, err := new(net.Dialer).DialContext(t.Context(), "tcp", w.addr); err == nil {
		_ = c.Close()
		t.Error("still accepts")
	}
}

func TestShutdownCutsWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	slow, sockets := newHanging(t), newSocketEcho(t)
	shop := tenantOf("shop", sockets.URL, "shop.example")
	w := newWorld(t, nil, shop, tenantOf("slow", slow.URL, "slow.example"))
	resp := w.do(http.MethodGet, "http://slow.example/", nil)
	<-slow.arrived
	c := w.dial("/ws")
	say(t, c, "hello")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if cut, err := w.server.Shutdown(ctx); cut != 2 || err != nil {
		t.Errorf("%d cut, %v", cut, err)
	}
	if _, _, err := c.Read(t.Context()); err == nil {
		t.Error("the tunnel is open")
	}
	defer func() { _ = resp.Body.Close() }()
	if b, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("read %q without an error", b)
	}
}

func TestDiscardClosesWhatNeverServed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	tenant := w.build(tenantOf("shop", "http://127.0.0.1:1", "shop.example"))
	tenant.Discard()
	tenant.Discard()
	if tenant.lease.acquire(&Exchange{}) {
		t.Error("a discarded tenant was leased")
	}
}

func BenchmarkLease(b *testing.B) {
	tenant := &Tenant{spec: &spec.Tenant{Name: "shop"}, lease: newLease()}
	b.RunParallel(func(pb *testing.PB) {
		x := &Exchange{}
		for pb.Next() {
			if !tenant.lease.acquire(x) {
				b.Fatal("closed")
			}
			tenant.release(x)
		}
	})
}
