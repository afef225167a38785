package testenv_test

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"keystone-gateway/testenv"
)

// forwardingTo are tenants that all forward to the world's upstream.
func forwardingTo(tenants ...string) testenv.Option {
	return testenv.Tree(func(u *testenv.Upstream) map[string]string {
		files := make(map[string]string)
		for _, tenant := range tenants {
			files[fileOf(tenant)] = forwarding(tenant, u.URL)
		}
		return files
	})
}

func TestRequestsInFlightOverFiftyReloadsAllSucceed(t *testing.T) {
	const reloads, slow = 50, 200
	world := testenv.New(t, testenv.Tree(func(u *testenv.Upstream) map[string]string {
		return map[string]string{
			fileOf("shop"): forwarding("shop", u.URL, "drain_timeout: 10m"),
			fileOf("blog"): forwarding("blog", u.URL),
		}
	}))

	// Slow requests begin before the first reload and end after the last: they
	// outlive the version of the tenant that they came to, fifty times.
	var ok, failed atomic.Int64
	tell := func(got testenv.Response, err error) {
		if err == nil && got.Status == http.StatusOK {
			ok.Add(1)
		} else if failed.Add(1) == 1 {
			t.Errorf("a request failed: %v, status %d %s", err, got.Status, got.Body)
		}
	}
	var inFlight sync.WaitGroup
	for range slow {
		inFlight.Go(func() { tell(world.Try(t.Context(), "shop.test", "/slow?head")) })
	}
	testenv.Until(t, "all slow requests to arrive", func() bool { return world.Upstream.Held() == slow })

	// Quick ones come all the while, to a tenant that changes and one that does
	// not. They are paced so as to leave the machine to the reloads.
	var enough atomic.Bool
	var loops sync.WaitGroup
	for _, host := range []string{"shop.test", "blog.test"} {
		loops.Go(func() {
			pace := time.NewTicker(20 * time.Millisecond)
			defer pace.Stop()
			for !enough.Load() {
				tell(world.Try(t.Context(), host, "/quick"))
				<-pace.C
			}
		})
	}

	for i := range reloads {
		world.WaitRevision(world.Commit(map[string]string{
			fileOf("shop"): forwarding("shop", world.Upstream.URL, fmt.Sprintf("drain_timeout: %ds", 500+i)),
		}))
	}
	enough.Store(true)
	loops.Wait()
	world.Upstream.Release()
	inFlight.Wait()

	if failed.Load() != 0 || ok.Load() <= slow {
		t.Errorf("%d requests failed and %d succeeded, want none to fail", failed.Load(), ok.Load())
	}
	if got := world.Health().Generation; got != reloads+1 {
		t.Errorf("generation: got %d, want %d", got, reloads+1)
	}
	testenv.Until(t, "the retired versions to drain", func() bool {
		return len(world.Log.Find(0, "tenant drained", "tenant", "shop", "cut", 0)) == reloads
	})
}

func TestAWebSocketOfAnUnchangedTenantSurvivesTwentyReloads(t *testing.T) {
	world := testenv.New(t, forwardingTo("shop", "blog"))
	socket := world.WebSocket("blog.test", "/ws")
	stream := world.Open(t.Context(), "blog.test", "/stream")
	socket.Echo("before")
	testenv.Until(t, "the stream to open", func() bool { return world.Upstream.Streams() == 1 })

	for i := range 20 {
		world.WaitRevision(world.Commit(map[string]string{
			fileOf("shop"): answering("shop", strconv.Itoa(i)),
		}))
		socket.Echo(strconv.Itoa(i))
		world.Upstream.Say(strconv.Itoa(i))
		if got := stream.Line(); got != strconv.Itoa(i) {
			t.Fatalf("line of the stream: got %q, want %d", got, i)
		}
	}
	if got := world.Log.Find(0, "tenant drained", "tenant", "blog"); len(got) != 0 {
		t.Errorf("the unchanged tenant was drained: %v", got)
	}
}

func TestAWebSocketOfARemovedTenantIsClosedByItsDrainTimeout(t *testing.T) {
	world := testenv.New(t, testenv.Tree(func(u *testenv.Upstream) map[string]string {
		return map[string]string{
			fileOf("shop"): answering("shop", "one"),
			fileOf("blog"): forwarding("blog", u.URL, "drain_timeout: 2s"),
		}
	}))
	socket := world.WebSocket("blog.test", "/ws")
	socket.Echo("before")
	world.WaitRevision(world.Remove(fileOf("blog")))
	wantStatus(t, world.Gateway, "blog", "/", http.StatusNotFound)
	socket.Echo("after: it is draining, not cut")

	if err := socket.WaitClosed(); websocket.CloseStatus(err) != -1 {
		t.Errorf("got %v, want the end of the connection: no frame is put into a tunnel", err)
	}
	drained := world.WaitEvent("tenant drained", "tenant", "blog", "cut", 1)
	took, err := strconv.Atoi(drained.Text("took_ms"))
	if err != nil || took < 1000 || took > 10_000 {
		t.Errorf("it took %s ms to drain, want about 2000: the drain_timeout", drained.Text("took_ms"))
	}
}

func TestAnUnchangedTenantIsTheSameObjectInTheNextGeneration(t *testing.T) {
	world := testenv.New(t, testenv.Tree(func(u *testenv.Upstream) map[string]string {
		return map[string]string{
			fileOf("shop"):              answering("shop", "one"),
			fileOf("blog"):              forwarding("blog", u.URL),
			fileOf("hello"):             scripted("hello"),
			scriptOf("hello"):           `local greet = require "lib.greet"` + "\n" + `keystone.get("/", function(req) return 200, greet.word end)`,
			"scripts/lib/greet.lua":     `return { word = "hello" }`,
			"scripts/lib/elsewhere.lua": `return {}`,
		}
	}))
	before, _ := world.Daemon.Server().Applied()
	world.WaitRevision(world.Commit(map[string]string{
		fileOf("shop"):              answering("shop", "two"),
		"scripts/lib/elsewhere.lua": `return { "changed, and required by nobody" }`,
	}))
	after, _ := world.Daemon.Server().Applied()
	if before == after {
		t.Fatal("the generation did not change")
	}
	for name, want := range map[string]bool{"shop": false, "blog": true, "hello": true} {
		same := before.Slots()[name].Tenant == after.Slots()[name].Tenant
		if same != want {
			t.Errorf("tenant %s is the same object: got %t, want %t", name, same, want)
		}
	}

	// What a script requires is part of the tenant.
	world.WaitRevision(world.Commit(map[string]string{"scripts/lib/greet.lua": `return { word = "good morning" }`}))
	last, _ := world.Daemon.Server().Applied()
	if last.Slots()["hello"].Tenant == after.Slots()["hello"].Tenant {
		t.Error("tenant hello is the same object although a file that it requires has changed")
	}
	if last.Slots()["blog"].Tenant != after.Slots()["blog"].Tenant {
		t.Error("tenant blog is another object although nothing of it has changed")
	}
	wantBody(t, world.Gateway, "hello", "good morning")
}

func TestMovingATenantToAnotherFileKeepsItsObject(t *testing.T) {
	world := testenv.New(t, shop("one"))
	before, _ := world.Daemon.Server().Applied()
	world.Write(map[string]string{"configs/tenants/moved.yaml": answering("shop", "one")})
	world.WaitRevision(world.Remove(fileOf("shop")))
	after, _ := world.Daemon.Server().Applied()
	if before.Slots()["shop"].Tenant != after.Slots()["shop"].Tenant {
		t.Error("tenant shop is another object although nothing but its file has changed")
	}
}
