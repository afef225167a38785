package testenv_test

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keystone-gateway/internal/daemon"
	"keystone-gateway/testenv"
)

func TestRejectedRevisionsLeaveNothingBehind(t *testing.T) {
	world := testenv.New(t, testenv.LocalPath(), quickPolls(), testenv.Tree(func(u *testenv.Upstream) map[string]string {
		return map[string]string{
			fileOf("shop"):    forwarding("shop", u.URL, "health_interval: 1"),
			fileOf("hello"):   scripted("hello"),
			scriptOf("hello"): `keystone.get("/", function(req) return 200, "hello" end)`,
		}
	}))
	// bad names servers, checks and scripts of its own in every revision, and
	// cannot go live: the script is wrong in its last line.
	decoy := testenv.NewUpstream(t, "decoy")
	bad := func(i int) string {
		return world.Commit(map[string]string{
			fileOf("shop"): define("shop", "health_interval: 1", "lua_routes: shop/main", fmt.Sprintf(
				`services: [{url: %q, health: /}, {url: "http://127.0.0.1:%d", health: /}]`, decoy.URL, 20_000+i)),
			scriptOf("shop"): fmt.Sprintf("-- %d\nkeystone.get('/', function(req) return 200 end)\nerror('no')\n", i),
			fileOf("hello"):  scripted("hello", "colour: blue"),
		})
	}
	for i := range 3 { // let caches fill and pools settle
		world.WaitRejected(bad(i))
	}
	wantBody(t, world.Gateway, "hello", "hello")
	wantStatus(t, world.Gateway, "shop", "/", http.StatusOK)
	before := takeInventory(world)

	for i := range rejectedRevisions {
		world.WaitRejected(bad(3 + i))
	}
	wantBody(t, world.Gateway, "hello", "hello")
	wantStatus(t, world.Gateway, "shop", "/", http.StatusOK)
	before.compare(t, world)
	if got := decoy.Requests(); got != 0 {
		t.Errorf("a server of the rejected revisions was asked %d times, want never", got)
	}
}

// quickPolls suits a repository that is read by path.
func quickPolls() testenv.Option {
	return testenv.With(func(s *daemon.Settings) { s.Source.Git.PollInterval = 20 * time.Millisecond })
}

func TestReloadsLeaveNothingBehind(t *testing.T) {
	world := testenv.New(t, testenv.LocalPath(), quickPolls(), forwardingTo("shop", "blog"))
	// Each revision changes a tenant, moves a host between two, and adds and
	// removes one that has a script.
	change := func(i int) string {
		from, to := "shop", "blog"
		if i%2 == 1 {
			from, to = to, from
		}
		world.Write(map[string]string{
			fileOf(from): forwarding(from, world.Upstream.URL, fmt.Sprintf("drain_timeout: %dms", 5000+i)),
			fileOf(to): strings.Replace(forwarding(to, world.Upstream.URL, fmt.Sprintf("drain_timeout: %dms", 6000+i)),
				"domains: [", "domains: [moving.test, ", 1),
		})
		name := fmt.Sprintf("guest-%d", i)
		world.Write(map[string]string{
			fileOf("guest"): scripted(name),
			scriptOf(name):  fmt.Sprintf("keystone.get('/', function(req) return 200, '%d' end)\n", i),
		})
		return world.CommitAll(fmt.Sprintf("change %d", i))
	}
	apply := func(i int) {
		revision := change(i)
		world.WaitRevision(revision)
		wantBody(t, world.Gateway, fmt.Sprintf("guest-%d", i), fmt.Sprint(i))
		wantStatus(t, world.Gateway, "moving", "/", http.StatusOK)
	}
	for i := range 4 {
		apply(i)
	}
	before := takeInventory(world)
	for i := range appliedRevisions {
		apply(4 + i)
	}
	before.compare(t, world)
}

// inventory is what a gateway holds that must not grow with the reloads.
type inventory struct {
	goroutines  int
	descriptors int // open files and sockets, 0 where that cannot be told
	luaStates   float64
	series      []string // but those of guests and revisions, which come and go
}

func takeInventory(world *testenv.World) inventory {
	metrics := world.Metrics()
	descriptors, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		descriptors = nil
	}
	return inventory{
		goroutines:  runtime.NumGoroutine(),
		descriptors: len(descriptors),
		luaStates:   metrics["keystone_lua_states"],
		series: slices.DeleteFunc(metrics.Named("keystone_"), func(series string) bool {
			return strings.Contains(series, "guest-") || strings.Contains(series, "revision=")
		}),
	}
}

// slack is for the connections that the test's own client keeps.
const slack = 8

// compare waits until the gateway holds what it held before: retired tenants
// may still be draining.
func (before inventory) compare(t *testing.T, world *testenv.World) {
	t.Helper()
	var now inventory
	settled := func() bool {
		now = takeInventory(world)
		return now.goroutines <= before.goroutines+slack && now.descriptors <= before.descriptors+slack &&
			now.luaStates <= before.luaStates && slices.Equal(now.series, before.series)
	}
	testenv.UntilOr(t, settled, func() {
		t.Errorf("goroutines: got %d, before %d; descriptors: got %d, before %d; Lua states: got %v, before %v; series (-before +now):\n%s",
			now.goroutines, before.goroutines, now.descriptors, before.descriptors, now.luaStates, before.luaStates, cmp.Diff(before.series, now.series))
	})
}
