package testenv_test

import (
	"net/http"
	"testing"

	"keystone-gateway/testenv"
)

// shop answers with body; it is the tree of most scenarios.
func shop(body string) testenv.Option {
	return testenv.Tree(func(*testenv.Upstream) map[string]string {
		return map[string]string{fileOf("shop"): answering("shop", body)}
	})
}

// wantBody asks the tenant for "/" and compares.
func wantBody(t *testing.T, g *testenv.Gateway, tenant, want string) {
	t.Helper()
	got := g.Get(hostOf(tenant), "/")
	if got.Status != http.StatusOK || got.Body != want {
		t.Fatalf("tenant %s: got %d %q, want 200 %q", tenant, got.Status, got.Body, want)
	}
}

// wantStatus asks the tenant for path and compares.
func wantStatus(t *testing.T, g *testenv.Gateway, tenant, path string, want int) {
	t.Helper()
	if got := g.Get(hostOf(tenant), path); got.Status != want {
		t.Fatalf("tenant %s: GET %s: got %d %q, want %d", tenant, path, got.Status, got.Body, want)
	}
}

func TestTheFirstCommitServes(t *testing.T) {
	world := testenv.New(t)
	world.WaitEvent("source failing") // there is no branch yet
	wantStatus(t, world.Gateway, "shop", "/", http.StatusServiceUnavailable)
	if status, _ := world.Ready(""); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz before the first commit: got %d, want 503", status)
	}

	first := world.Commit(map[string]string{
		fileOf("shop"): forwarding("shop", world.Upstream.URL),
	})
	world.WaitRevision(first)

	echo := world.Get("shop.test", "/cart?id=7").Echo(t)
	if echo.Server != "upstream" || echo.Method != http.MethodGet || echo.Path != "/cart?id=7" {
		t.Errorf("the upstream saw %s %s, want GET /cart?id=7", echo.Method, echo.Path)
	}
	if status, state := world.Ready(first[:7]); status != http.StatusOK || state != "applied" {
		t.Errorf("/readyz?revision=%s: got %d %q, want 200 applied", first[:7], status, state)
	}
	applied := world.WaitEvent("reload applied", "revision", first)
	for key, want := range map[string]string{
		"generation": "1", "tenants": "1", "tenants_changed": "1", "tenants_kept": "0", "author": "Ada <ada@example.com>",
	} {
		if got := applied.Text(key); got != want {
			t.Errorf("reload applied: %s is %q, want %q", key, got, want)
		}
	}
	served := world.WaitEvent("request", "path", "/cart")
	if got := served.Text("revision"); got != first {
		t.Errorf("the request's revision is %q, want %q", got, first)
	}
}

func TestAChangeGoesLive(t *testing.T) {
	world := testenv.New(t, shop("one"))
	wantBody(t, world.Gateway, "shop", "one")
	second := world.Commit(map[string]string{
		fileOf("shop"): answering("shop", "two"),
		fileOf("blog"): answering("blog", "news"),
	})
	world.WaitRevision(second)
	wantBody(t, world.Gateway, "shop", "two")
	wantBody(t, world.Gateway, "blog", "news")
	event := world.WaitEvent("reload applied", "revision", second)
	if got := event.Text("trigger"); got != "poll" {
		t.Errorf("trigger: got %q, want poll", got)
	}
}

func TestACommitThatChangesNoTenantKeepsTheGeneration(t *testing.T) {
	world := testenv.New(t, shop("one"))
	before := world.Health()
	second := world.Commit(map[string]string{"README.md": "Nothing to see.\n"})
	world.WaitRevision(second)
	after := world.Health()
	if after.Revision != second || after.Generation != before.Generation {
		t.Errorf("got revision %s generation %d, want %s and still %d", after.Revision, after.Generation, second, before.Generation)
	}
}

func TestARemovedTenantIsGone(t *testing.T) {
	world := testenv.New(t, shop("one"))
	world.WaitRevision(world.Commit(map[string]string{fileOf("blog"): answering("blog", "news")}))
	wantBody(t, world.Gateway, "blog", "news")
	world.WaitRevision(world.Remove(fileOf("blog")))
	wantStatus(t, world.Gateway, "blog", "/", http.StatusNotFound)
	wantBody(t, world.Gateway, "shop", "one")
}

func TestARevertRollsBack(t *testing.T) {
	world := testenv.New(t, shop("good"))
	world.WaitRevision(world.Commit(map[string]string{fileOf("shop"): answering("shop", "a mistake that loads")}))
	wantBody(t, world.Gateway, "shop", "a mistake that loads")
	world.WaitRevision(world.Revert())
	wantBody(t, world.Gateway, "shop", "good")
}

func TestAForcePushGoesBack(t *testing.T) {
	world := testenv.New(t, shop("good"))
	good := world.Head()
	lost := world.Commit(map[string]string{fileOf("shop"): answering("shop", "a mistake that loads")})
	world.WaitRevision(lost)
	world.WaitRevision(world.Reset(good))
	wantBody(t, world.Gateway, "shop", "good")

	// And forward again, on a history that the gateway has never seen.
	world.WaitRevision(world.Commit(map[string]string{fileOf("shop"): answering("shop", "better")}))
	wantBody(t, world.Gateway, "shop", "better")
}

func TestGitDaemonServesARepositoryAsWell(t *testing.T) {
	world := testenv.New(t, shop("one"), testenv.GitDaemon())
	world.WaitRevision(world.Commit(map[string]string{fileOf("shop"): answering("shop", "two")}))
	wantBody(t, world.Gateway, "shop", "two")
}
