package testenv_test

import (
	"net/http"
	"strings"
	"testing"

	"keystone-gateway/internal/daemon"
	"keystone-gateway/testenv"
)

func TestABrokenTenantIsKeptWhileAGoodChangeInTheSameCommitGoesLive(t *testing.T) {
	world := testenv.New(t, testenv.Tree(func(*testenv.Upstream) map[string]string {
		return map[string]string{
			fileOf("shop"): answering("shop", "shop one"),
			fileOf("blog"): answering("blog", "blog one"),
		}
	}))
	first := world.Head()
	second := world.Commit(map[string]string{
		fileOf("shop"): answering("shop", "shop two", "colour: blue"),
		fileOf("blog"): answering("blog", "blog two"),
	})
	world.WaitRevision(second)
	wantBody(t, world.Gateway, "blog", "blog two")
	wantBody(t, world.Gateway, "shop", "shop one")

	// The operator learns of it, with the place of the mistake.
	const place = "configs/tenants/shop.yaml:4:5: error: "
	kept := world.WaitEvent("tenant kept", "tenant", "shop", "revision", second)
	if got := kept.Text("err"); !strings.HasPrefix(got, place) || !strings.Contains(got, "colour") {
		t.Errorf("tenant kept: err is %q, want it to begin with %q and name the key", got, place)
	}
	if got := kept.Text("since"); got != first {
		t.Errorf("tenant kept: since is %q, want the first revision %q", got, first)
	}
	health := world.Health()
	if got := health.Tenants["shop"]; got.Config != "stale" || got.Status != "degraded" || !strings.HasPrefix(got.Error, place) {
		t.Errorf("health of shop: got %+v, want stale, degraded and the diagnostic", got)
	}
	if got := health.Tenants["blog"]; got.Config != "current" || got.Status != "healthy" {
		t.Errorf("health of blog: got %+v, want current and healthy", got)
	}
	if health.Status != "degraded" {
		t.Errorf("health: got %q, want degraded", health.Status)
	}
	if got := world.Metrics()[`keystone_tenant_config_state{tenant="shop"}`]; got != 1 {
		t.Errorf("keystone_tenant_config_state of shop: got %v, want 1 (stale)", got)
	}

	// A request of a kept version is logged with that version's revision.
	mark := world.Log.Mark()
	wantBody(t, world.Gateway, "shop", "shop one")
	if got := world.WaitEventAfter(mark, "request", "tenant", "shop").Text("revision"); got != first {
		t.Errorf("revision of a request to the kept version: got %q, want %q", got, first)
	}

	// It recovers by itself once the mistake is gone.
	third := world.Commit(map[string]string{fileOf("shop"): answering("shop", "shop three")})
	world.WaitRevision(third)
	world.WaitEvent("tenant recovered", "tenant", "shop", "revision", third)
	wantBody(t, world.Gateway, "shop", "shop three")
	if got := world.Health().Status; got != "healthy" {
		t.Errorf("health after the repair: got %q, want healthy", got)
	}
}

func TestARevisionOfWhichNothingCouldBeTakenIsRejected(t *testing.T) {
	world := testenv.New(t, shop("one"))
	first := world.Head()
	bad := world.Commit(map[string]string{fileOf("shop"): "tenants: [\n"})
	rejected := world.WaitRejected(bad)
	if got := rejected.Text("diagnostics"); !strings.Contains(got, "configs/tenants/shop.yaml:") {
		t.Errorf("reload rejected: diagnostics are %q, want the file and the line", got)
	}
	wantBody(t, world.Gateway, "shop", "one")
	if got := world.Health().Revision; got != first {
		t.Errorf("revision that serves: got %q, want %q", got, first)
	}
	if status, state := world.Ready(bad); status != http.StatusServiceUnavailable || state != "rejected" {
		t.Errorf("/readyz?revision= of the rejected: got %d %q, want 503 rejected", status, state)
	}
	if got := world.Metrics()["keystone_config_last_reload_successful"]; got != 0 {
		t.Errorf("keystone_config_last_reload_successful: got %v, want 0", got)
	}
	world.WaitRevision(world.Revert())
	if got := world.Metrics()["keystone_config_last_reload_successful"]; got != 1 {
		t.Errorf("keystone_config_last_reload_successful after the revert: got %v, want 1", got)
	}
}

func TestAScriptThatDoesNotLoadKeepsItsTenant(t *testing.T) {
	const good = `keystone.get("/", function(req) return 200, "from the script" end)`
	for _, test := range []struct{ name, script, says string }{
		{"a syntax error", "keystone.get('/', function(req) return 200 en)\n", "scripts/shop/main.lua:1: error: syntax error near "},
		{"an endless loop while loading", "local n = 0\nwhile true do n = n + 1 end\n", "scripts/shop/main.lua:2: error: over the limit of "},
		{"an error while loading", "\nerror('not today')\n", "not today"},
		{"a file that it requires is absent", `require "shop.absent"`, "absent"},
		{"two states that register different routes", registersAtRandom, "scripts/shop/main.lua:2: error: registers differently in a second state"},
	} {
		t.Run(test.name, func(t *testing.T) {
			world := testenv.New(t, testenv.Tree(func(*testenv.Upstream) map[string]string {
				return map[string]string{
					fileOf("shop"): scripted("shop"), scriptOf("shop"): good,
					fileOf("blog"): answering("blog", "blog one"),
				}
			}))
			second := world.Commit(map[string]string{
				scriptOf("shop"): test.script,
				fileOf("blog"):   answering("blog", "blog two"),
			})
			world.WaitRevision(second)
			wantBody(t, world.Gateway, "shop", "from the script")
			wantBody(t, world.Gateway, "blog", "blog two")
			kept := world.WaitEvent("tenant kept", "tenant", "shop")
			if got := kept.Text("err"); !strings.Contains(got, test.says) {
				t.Errorf("tenant kept: err is %q, want it to say %q", got, test.says)
			}
			world.WaitRevision(world.Revert())
			world.WaitEvent("tenant recovered", "tenant", "shop")
		})
	}
}

// registersAtRandom loads without an error, and yet differently each time.
const registersAtRandom = `
keystone.get("/" .. math.random(1, 2^30), function(req) return 200, "now you see me" end)
`

func TestAScriptThatFailsOnARequestFailsThatRequestAlone(t *testing.T) {
	world := testenv.New(t, testenv.Tree(func(*testenv.Upstream) map[string]string {
		return map[string]string{
			fileOf("shop"): scripted("shop"),
			scriptOf("shop"): `
keystone.get("/", function(req) return 200, "well" end)
keystone.get("/error", function(req) local absent; return 200, absent.field end)
keystone.get("/loop", function(req) while true do end end)
`,
		}
	}))
	for path, want := range map[string]int{
		"/error": http.StatusInternalServerError,
		"/loop":  http.StatusServiceUnavailable,
	} {
		got := world.Get("shop.test", path)
		if got.Status != want || got.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("GET %s: got %d %s, want %d as problem+json", path, got.Status, got.Header.Get("Content-Type"), want)
		}
		if strings.Contains(got.Body, "main.lua") || strings.Contains(got.Body, "absent") {
			t.Errorf("GET %s: the answer tells of the inside: %s", path, got.Body)
		}
		wantBody(t, world.Gateway, "shop", "well")
	}
}

func TestOnInvalidRejectRefusesTheRevisionWhole(t *testing.T) {
	world := testenv.New(t, shop("one"), testenv.With(func(s *daemon.Settings) { s.Reload.OnInvalid = "reject" }))
	bad := world.Commit(map[string]string{
		fileOf("shop"): answering("shop", "two"),
		fileOf("blog"): answering("blog", "news", "colour: blue"),
	})
	world.WaitRejected(bad)
	wantBody(t, world.Gateway, "shop", "one")
	if got := world.Health().Status; got != "healthy" {
		t.Errorf("health: got %q, want healthy: no tenant is the worse for a revision that was refused whole", got)
	}
	world.WaitRevision(world.Commit(map[string]string{fileOf("blog"): answering("blog", "news")}))
	wantBody(t, world.Gateway, "shop", "two")
}

func TestTheLastTenantStaysUnlessThatIsMeant(t *testing.T) {
	world := testenv.New(t, shop("one"))
	empty := world.Commit(map[string]string{fileOf("shop"): "tenants: []\n"})
	world.WaitRejected(empty)
	wantBody(t, world.Gateway, "shop", "one")

	if got := world.Admin(http.MethodPost, "/admin/reload?allow_empty"); got.Status != http.StatusOK {
		t.Fatalf("reload with allow_empty: got %d %s, want 200", got.Status, got.Body)
	}
	world.WaitRevision(empty)
	wantStatus(t, world.Gateway, "shop", "/", http.StatusNotFound)
}

func TestAllowEmptyLetsTheLastTenantGo(t *testing.T) {
	world := testenv.New(t, shop("one"), testenv.With(func(s *daemon.Settings) { s.Reload.AllowEmpty = true }))
	world.WaitRevision(world.Commit(map[string]string{fileOf("shop"): "tenants: []\n"}))
	wantStatus(t, world.Gateway, "shop", "/", http.StatusNotFound)
}

func TestWithoutAFirstGenerationItAnswers503AndGoesOnTrying(t *testing.T) {
	world := testenv.New(t)
	bad := world.Commit(map[string]string{fileOf("shop"): answering("shop", "one", "colour: blue")})
	world.WaitRejected(bad)
	world.WaitEvent("tenant rejected", "tenant", "shop")
	wantStatus(t, world.Gateway, "shop", "/", http.StatusServiceUnavailable)
	wantStatus(t, world.Gateway, "nobody", "/", http.StatusServiceUnavailable)
	if status, _ := world.Ready(""); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz: got %d, want 503", status)
	}
	world.WaitRevision(world.Commit(map[string]string{fileOf("shop"): answering("shop", "one")}))
	wantBody(t, world.Gateway, "shop", "one")
	if status, _ := world.Ready(""); status != http.StatusOK {
		t.Errorf("/readyz: got %d, want 200", status)
	}
}
