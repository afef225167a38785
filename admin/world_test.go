package admin_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"keystone-gateway/admin"
	"keystone-gateway/lua"
	"keystone-gateway/proxy"
	"keystone-gateway/proxy/upstream"
	"keystone-gateway/reloader"
	"keystone-gateway/repo"
	"keystone-gateway/spec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	applied = "1111111111111111111111111111111111111111"
	older   = "2222222222222222222222222222222222222222"
	token   = "correct horse"
)

// tree has a tenant for each way to be well or not. Nothing probes in these
// tests: a server is as healthy as its check says it is at first.
const tree = `tenants:
  - name: shop
    domains: [shop.example.com]
    path_prefix: /api
    services:
      - {name: a, url: "http://127.0.0.1:9001"}
      - {name: b, url: "http://127.0.0.1:9002"}
    routes:
      - {match: {path: "/users/{id}", methods: [GET]}, upstream: default}
  - name: partial
    domains: [partial.example.com]
    upstreams:
      default: {servers: [{name: a, url: "http://127.0.0.1:9001"}]}
      search:
        servers: [{name: s, url: "http://127.0.0.1:9003"}]
        health_check: {path: /healthz, initial: unhealthy}
  - name: down
    domains: [down.example.com]
    upstreams:
      default:
        servers: [{name: a, url: "http://127.0.0.1:9004"}]
        health_check: {path: /healthz, initial: unhealthy}
  - name: scripted
    domains: [scripted.example.com]
    lua_routes: scripted/main
  - name: late
    domains: [late.example.com]
    services: [{name: a, url: "http://127.0.0.1:9001"}]
`

const script = `keystone.get("/ping", function(req) return { status = 200, body = "pong" } end)
`

var since = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

// build compiles the named tenants of tree as they are compiled in production.
func build(t *testing.T) map[string]*proxy.Tenant {
	t.Helper()
	files := map[string]string{"configs/tenants/all.yaml": tree, "scripts/scripted/main.lua": script}
	in := &spec.Input{FS: fstest.MapFS{}, Hashes: map[string]string{}, Tenants: "configs/tenants", Scripts: "scripts"}
	for path, content := range files {
		sum := sha256.Sum256([]byte(content))
		in.FS.(fstest.MapFS)[path] = &fstest.MapFile{Data: []byte(content)}
		in.Hashes[path] = hex.EncodeToString(sum[:])
	}
	gateway, diagnostics := spec.Load(in, nil)
	if len(diagnostics) > 0 {
		t.Fatalf("load: %+v", diagnostics)
	}
	registry := upstream.NewRegistry(upstream.Options{Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() {
		if err := registry.Close(); err != nil {
			t.Error(err)
		}
	})
	builder := proxy.NewBuilder(proxy.BuilderOptions{
		Registry: registry, Cache: lua.NewCache(), States: lua.NewStates(0), Log: slog.New(slog.DiscardHandler),
	})
	tenants := make(map[string]*proxy.Tenant)
	for name, s := range gateway.Tenants {
		tenant, err := builder.Build(t.Context(), s, in)
		if err != nil {
			t.Fatalf("build %s: %v", name, err)
		}
		t.Cleanup(tenant.Discard)
		tenants[name] = tenant
	}
	return tenants
}

// slotsOf puts each tenant in its place: late is kept on an older version, and
// broken never had one.
func slotsOf(tenants map[string]*proxy.Tenant) []*proxy.Slot {
	slots := []*proxy.Slot{{
		Name: "broken", State: proxy.Invalid, Since: since, File: "configs/tenants/broken.yaml", Line: 3,
		Claims: []spec.Claim{{Host: "broken.example.com"}},
		Err:    "configs/tenants/broken.yaml:3:5: error: unknown key",
	}}
	for name, tenant := range tenants {
		s := tenant.Spec()
		slot := &proxy.Slot{
			Name: name, Tenant: tenant, State: proxy.Current, Since: since,
			Claims: s.Claims(), File: s.File, Line: s.Place.Line,
		}
		if name == "late" {
			slot.State, slot.Kept, slot.Err = proxy.Stale, older, "configs/tenants/all.yaml:27:5: error: no"
		}
		slots = append(slots, slot)
	}
	return slots
}

// server says what it is told to.
type server struct {
	generation *proxy.Generation
	revision   string
	draining   int
}

func (s *server) Applied() (*proxy.Generation, string) { return s.generation, s.revision }
func (s *server) Draining() int                        { return s.draining }

// asker is a reloader that says what it is told to and notes what it is asked.
type asker struct {
	status reloader.Status
	states map[string]reloader.RevisionState
	reload func(ctx context.Context) (*reloader.Attempt, error)

	trigger    repo.Trigger
	allowEmpty bool
	asked      int
}

func (r *asker) Status() reloader.Status { return r.status }

func (r *asker) State(id string) reloader.RevisionState {
	if s, ok := r.states[id]; ok {
		return s
	}
	return reloader.RevisionUnknown
}

func (r *asker) Reload(ctx context.Context, trigger repo.Trigger, allowEmpty bool) (*reloader.Attempt, error) {
	r.trigger, r.allowEmpty = trigger, allowEmpty
	r.asked++
	return r.reload(ctx)
}

// options of an Admin over the given parts, with a token.
func options(s *server, r *asker) admin.Options {
	return admin.Options{
		Reloader: r,
		Server:   s,
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "# metrics\n")
		}),
		Token:    func() (string, error) { return token, nil },
		BasePath: "/admin",
		Listen:   "127.0.0.1:9090",
		Version:  "1.2.3",
		Now:      func() time.Time { return since },
	}
}

func open(t *testing.T, o admin.Options) *admin.Admin {
	t.Helper()
	a, err := admin.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// ask sends one request, with the token and to a loopback Host unless change
// says otherwise.
func ask(t *testing.T, h http.Handler, method, target, body string, change func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	r.Host = "127.0.0.1:9090"
	r.Header.Set("Authorization", "Bearer "+token)
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// get reads a JSON answer and its status.
func get(t *testing.T, h http.Handler, target string) (int, map[string]any) {
	t.Helper()
	w := ask(t, h, http.MethodGet, target, "", nil)
	return w.Code, parse(t, w.Body.String())
}

// post is get for a POST.
func post(t *testing.T, h http.Handler, target, body string) (int, map[string]any) {
	t.Helper()
	w := ask(t, h, http.MethodPost, target, body, nil)
	return w.Code, parse(t, w.Body.String())
}

// parse reads a JSON object, an answer or what it should be.
func parse(t *testing.T, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// What is faked here is what the real ones do.
var (
	_ admin.Server   = (*proxy.Server)(nil)
	_ admin.Reloader = (*reloader.Reloader)(nil)
)
