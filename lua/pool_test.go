package lua

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestStatesAreReusedAndRenewed(t *testing.T) {
	p, pool := scripted(t, `
		local n = 0
		keystone.get('/n', function() n = n + 1 return 200, n end)
		keystone.get('/err', function() error('x') end)`)
	n, fails := p.Routes()[0].Chain, p.Routes()[1].Chain
	call := func(chain Chain) string {
		d, err := pool.Call(t.Context(), chain, asking("/"))
		if err != nil {
			return "error"
		}
		return string(d.Body)
	}
	for i := 1; i <= 3; i++ { // last in, first out: one state serves them all
		if got, want := call(n), fmt.Sprint(i); got != want {
			t.Errorf("call %d: got %s, want %s", i, got, want)
		}
	}
	if got := call(fails); got != "error" {
		t.Errorf("got %s, want an error", got)
	}
	if got := call(n); got != "1" {
		t.Errorf("after an error: got %s, want 1 from another state", got)
	}
	pool.idle[0].calls = callsAState - 1
	if got := call(n); got != "2" {
		t.Errorf("got %s, want 2", got)
	}
	if got := call(n); got != "1" {
		t.Errorf("after %d calls: got %s, want 1 from a new state", callsAState, got)
	}
}

func TestStateThatKeepsMemoryIsRenewed(t *testing.T) {
	p, pool := scripted(t, `
		local kept = {}
		keystone.get('/', function() kept[#kept + 1] = ('x'):rep(4e6) return 200, #kept end)`)
	most := 0
	for range 40 {
		d, err := pool.Call(t.Context(), p.Routes()[0].Chain, asking("/"))
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(string(d.Body))
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, n)
	}
	if most > 10 {
		t.Errorf("a state kept %d strings of 4 MB", most)
	}
}

func TestPoolExhausted(t *testing.T) {
	for _, test := range []struct {
		name string
		ctx  func(context.Context) (context.Context, context.CancelFunc)
		wait time.Duration
		kind Kind
	}{
		{"for as long as a call may take", func(ctx context.Context) (context.Context, context.CancelFunc) { return context.WithCancel(ctx) }, 5 * time.Second, KindBusy},
		{"until the deadline", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}, time.Second, KindBusy},
		{"until the request ends", func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(2*time.Second, cancel)
			return ctx, cancel
		}, 2 * time.Second, KindCanceled},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := options("keystone.get('/', function(req) return 200, req:body() end)")
				o.Limits.MaxStates = 1
				p := compiled(t, o)
				pool := pooled(t, p)
				chain := p.Routes()[0].Chain
				held := make(chan struct{})
				var wg sync.WaitGroup
				wg.Go(func() {
					req := asking("/")
					req.ReadBody = func(int64) ([]byte, error) { <-held; return nil, nil }
					_, _ = pool.Call(context.Background(), chain, req)
				})
				synctest.Wait()
				ctx, cancel := test.ctx(t.Context())
				defer cancel()
				from := time.Now()
				_, err := pool.Call(ctx, chain, asking("/"))
				if got := asError(t, err); got.Kind != test.kind {
					t.Errorf("got kind %d, want %d", got.Kind, test.kind)
				}
				if waited := time.Since(from); waited != test.wait {
					t.Errorf("waited %v, want %v", waited, test.wait)
				}
				close(held)
				wg.Wait()
			})
		})
	}
}

func TestIdleStatesAreGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options("keystone.get('/', function(req) return 200, 'x' end)")
		o.States = NewStates(0)
		p := compiled(t, o)
		pool := pooled(t, p)
		if got := o.States.Live(); got != 2 {
			t.Errorf("got %d states, want 2", got)
		}
		time.Sleep(2*idleTime + time.Second)
		if got := o.States.Live(); got != 0 {
			t.Errorf("after a while: got %d states, want 0", got)
		}
		if d, err := pool.Call(t.Context(), p.Routes()[0].Chain, asking("/")); err != nil || string(d.Body) != "x" {
			t.Errorf("got %q, %v", d.Body, err)
		}
		pool.Close()
		pool.Close()
		if got := o.States.Live(); got != 0 {
			t.Errorf("after Close: got %d states, want 0", got)
		}
		time.Sleep(2 * idleTime) // the sweep's timer ends
	})
}

func TestBudgetOfStatesIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		states := NewStates(2)
		pools := make([]*Pool, 3)
		var chain Chain
		for i := range pools { // the third takes the places of the first's idle states
			o := options("keystone.get('/', function(req) return 200, req:body() end)")
			o.States = states
			p := compiled(t, o)
			pools[i] = pooled(t, p)
			chain = p.Routes()[0].Chain
			time.Sleep(time.Millisecond)
			if got := states.Live(); got != 2 {
				t.Fatalf("got %d states, want 2", got)
			}
		}
		held := make(chan struct{})
		var wg sync.WaitGroup
		for _, pool := range pools[:2] {
			wg.Go(func() {
				req := asking("/")
				req.ReadBody = func(int64) ([]byte, error) { <-held; return nil, nil }
				if _, err := pool.Call(context.Background(), chain, req); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		wg.Go(func() {
			if _, err := pools[2].Call(context.Background(), chain, asking("/")); err != nil {
				t.Errorf("the one that waited: %v", err)
			}
		})
		synctest.Wait()
		close(held)
		wg.Wait()
		if got := states.Live(); got > 2 {
			t.Errorf("got %d states, want at most 2", got)
		}
		for _, pool := range pools {
			pool.Close()
		}
		if got := states.Live(); got != 0 {
			t.Errorf("after Close: got %d states, want 0", got)
		}
		time.Sleep(2 * idleTime)
	})
}

func TestCloseLeavesCallsInProgressAlone(t *testing.T) {
	p, pool := scripted(t, "keystone.get('/', function(req) return 200, req:body() end)")
	req := asking("/")
	req.ReadBody = func(int64) ([]byte, error) { pool.Close(); return []byte("done"), nil }
	d, err := pool.Call(t.Context(), p.Routes()[0].Chain, req)
	if err != nil || string(d.Body) != "done" {
		t.Errorf("got %q, %v", d.Body, err)
	}
	if got := pool.states.Live(); got != 0 {
		t.Errorf("got %d states, want 0", got)
	}
	_, err = pool.Call(t.Context(), p.Routes()[0].Chain, asking("/"))
	if got := asError(t, err); got.Kind != KindBusy {
		t.Errorf("after Close: got %v", got)
	}
}

// TestManyCallers: one handler from 64 goroutines, on tables and upvalues of
// each state's own.
func TestManyCallers(t *testing.T) {
	p, pool := scripted(t, `
		local hits = {}
		keystone.use(function(req) req.ctx.id = req.query.id end)
		keystone.get('/', function(req)
			local key = 'k' .. (tonumber(req.ctx.id) % 50)
			hits[key] = (hits[key] or 0) + 1
			req.headers['X-Id'] = req.ctx.id
			return 200, {id = req.ctx.id, hits = hits[key]}
		end)`)
	chain := p.Routes()[0].Chain
	var wg sync.WaitGroup
	for g := range 64 {
		wg.Go(func() {
			for i := range 100 {
				id := fmt.Sprint(g*1000 + i)
				req := asking("/?id=" + id)
				if _, err := pool.Call(context.Background(), chain, req); err != nil {
					t.Error(err)
					return
				}
				if got := req.HTTP.Header.Get("X-Id"); got != id {
					t.Errorf("got %s, want %s", got, id)
				}
			}
		})
	}
	wg.Wait()
	if got, most := pool.states.Live(), 4*runtime.GOMAXPROCS(0); got > most {
		t.Errorf("got %d states, want at most %d", got, most)
	}
}
