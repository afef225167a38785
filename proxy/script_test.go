package proxy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"keystone-gateway/lua"
	"keystone-gateway/spec"
)

// scripted builds a tenant with scripts and swaps to it.
func (w *world) scripted(t *spec.Tenant, files map[string]string) {
	w.tb.Helper()
	tenant, err := w.builder.Build(w.tb.Context(), t, treeOf(files))
	if err != nil {
		w.tb.Fatalf("build: %v", err)
	}
	w.swap(tenant)
}

func treeOf(files map[string]string) *spec.Input {
	in := &spec.Input{FS: fstest.MapFS{}, Hashes: map[string]string{}, Scripts: "scripts"}
	tree := fstest.MapFS{}
	for name, source := range files {
		sum := sha256.Sum256([]byte(source))
		tree["scripts/"+name] = &fstest.MapFile{Data: []byte(source)}
		in.Hashes["scripts/"+name] = hex.EncodeToString(sum[:])
	}
	in.FS = tree
	return in
}

func scriptedTenant(url string, limits spec.LuaLimits) *spec.Tenant {
	t := tenantOf("shop", url, "shop.example")
	t.Scripts = []string{"shop/main.lua"}
	t.Lua = limits
	t.RequestLimits = spec.RequestLimits{MaxBodySize: 1000}
	return t
}

func newScriptWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, nil)
	w.builder.o.Cache, w.builder.o.States = lua.NewCache(), lua.NewStates(0)
	return w
}

func TestScriptsDecide(t *testing.T) {
	t.Parallel()
	up, other := newEcho(t, "default"), newEcho(t, "other")
	w := newScriptWorld(t)
	shop := scriptedTenant(up.URL, spec.LuaLimits{Instructions: 100_000})
	shop.Upstreams["other"] = upstreamOf("other", other.URL)
	shop.PathPrefix, shop.StripPrefix = "/v1", true
	w.scripted(shop, map[string]string{"shop/main.lua": `
		keystone.use(function(req)
			if req.headers["X-Deny"] then return 403, "denied" end
			req.headers["X-Used"] = "yes"
		end)
		keystone.get("/hello/{name}", function(req) return 200, "hello " .. req.params.name .. " at " .. req.path end)
		keystone.post("/length", function(req) return 200, tostring(#req:body()) end)
		keystone.post("/both", function(req)
			local n = #req:body()
			req.headers["X-Length"] = tostring(n)
			return keystone.proxy("other")
		end)
		keystone.get("/other/*", function(req)
			return keystone.proxy("other", { path = "/a//b/../" .. req.params["*"], query = "q=1", host = "Other.example", headers = { ["X-Set"] = "1", Cookie = false } })
		end)
		keystone.get("/nothing", function(req) end)
		keystone.get("/error", function(req) error("secret inside") end)
		keystone.get("/loop", function(req) while true do end end)
		keystone.get("/split", function(req) return 200, "x", { ["X-A"] = "a\r\nX-B: b" } end)
		keystone.get("/frame", function(req) return keystone.proxy("other", { headers = { ["Transfer-Encoding"] = "chunked" } }) end)
		keystone.get("/climb", function(req) return keystone.proxy("other", { path = "/../../x" }) end)
	`})
	tests := []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		want                     string
		check                    func(*testing.T, echoed)
	}{
		{name: "answers", method: "GET", path: "/v1/hello/a%20b", status: 200, want: "hello a b at /hello/a%20b"},
		{name: "reads a body", method: "POST", path: "/v1/length", body: "12345", status: 200, want: "5"},
		{name: "cannot read a body that is too large", method: "POST", path: "/v1/length", body: strings.Repeat("x", 1001), status: 413},
		{name: "reads a body that the upstream gets all the same", method: "POST", path: "/v1/both", body: "12345", status: 200, check: func(t *testing.T, e echoed) {
			if e.Server != "other" || e.Body != "12345" || e.Header.Get("X-Length") != "5" || e.Length != 5 {
				t.Errorf("forwarded %+v", e)
			}
		}},
		{name: "forwards as it says", method: "GET", path: "/v1/other/x/y?z=1", headers: []string{"Cookie", "a=b"}, status: 200, check: func(t *testing.T, e echoed) {
			if e.Server != "other" || e.URI != "/a/x/y?q=1" || e.Host != "other.example" || e.Header.Get("X-Set") != "1" || e.Header.Get("Cookie") != "" {
				t.Errorf("forwarded %+v", e)
			}
			if e.Header.Get("X-Forwarded-Host") != "shop.example" || e.Header.Get("X-Forwarded-Prefix") != "/v1" {
				t.Errorf("announced %v", e.Header)
			}
		}},
		{name: "stands before the default upstream", method: "GET", path: "/v1/rest", status: 200, check: func(t *testing.T, e echoed) {
			if e.Server != "default" || e.URI != "/rest" || e.Header.Get("X-Used") != "yes" {
				t.Errorf("forwarded %+v", e)
			}
		}},
		{name: "denies before the default upstream", method: "GET", path: "/v1/rest", headers: []string{"X-Deny", "1"}, status: 403, want: "denied"},
		{name: "decides nothing", method: "GET", path: "/v1/nothing", status: 500},
		{name: "fails", method: "GET", path: "/v1/error", status: 500},
		{name: "loops", method: "GET", path: "/v1/loop", status: 503},
		{name: "splits a header", method: "GET", path: "/v1/split", status: 500},
		{name: "sets the framing", method: "GET", path: "/v1/frame", status: 500},
		{name: "climbs above the root", method: "GET", path: "/v1/climb", status: 500},
		{name: "a method that only default takes", method: "PUT", path: "/v1/hello/a", status: 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp := w.do(tt.method, "http://shop.example"+tt.path, strings.NewReader(tt.body), tt.headers...)
			body := readAll(t, resp)
			if resp.StatusCode != tt.status {
				t.Fatalf("status %d, want %d: %s", resp.StatusCode, tt.status, body)
			}
			if tt.want != "" && body != tt.want {
				t.Errorf("body %q, want %q", body, tt.want)
			}
			if strings.Contains(body, "secret inside") {
				t.Errorf("the client was told %q", body)
			}
			if tt.check != nil {
				tt.check(t, parseEcho(t, body))
			}
		})
	}
	line := w.logs.wait(t, "script failed", nil)
	if line["tenant"] != "shop" || line["request_id"] == "" || line["file"] == "" || line["line"] == 0.0 {
		t.Errorf("logged %v", line)
	}
}

func TestScriptsStandBeforeYAMLAndItsAbsence(t *testing.T) {
	t.Parallel()
	w := newScriptWorld(t)
	shop := scriptedTenant("", spec.LuaLimits{})
	shop.Routes = []spec.Route{
		{Path: "/ping", Respond: &spec.Respond{Status: 200, Body: "pong"}},
		{Path: "/both", Methods: []string{"GET", "POST"}, Respond: &spec.Respond{Status: 200, Body: "yaml"}},
	}
	w.scripted(shop, map[string]string{"shop/main.lua": `
		keystone.use(function(req) if req.headers["X-Deny"] then return 403, "denied" end end)
		keystone.get("/both", function() return 200, "script" end)
		keystone.not_found(function(req) return 404, "nothing at " .. req.path end)
	`})
	tests := []struct {
		name, method, path string
		headers            []string
		status             int
		body, allow        string
	}{
		{name: "a script's route before YAML's", method: "GET", path: "/both", status: 200, body: "script"},
		{name: "YAML's under a method the script lacks", method: "POST", path: "/both", status: 200, body: "yaml"},
		{name: "a method that neither has", method: "PUT", path: "/both", status: 405, allow: "GET, HEAD, POST"},
		{name: "use before YAML", method: "GET", path: "/ping", headers: []string{"X-Deny", "1"}, status: 403, body: "denied"},
		{name: "use before 405", method: "PUT", path: "/both", headers: []string{"X-Deny", "1"}, status: 403, body: "denied"},
		{name: "use before 404", method: "GET", path: "/none", headers: []string{"X-Deny", "1"}, status: 403, body: "denied"},
		{name: "not_found", method: "GET", path: "/none", status: 404, body: "nothing at /none"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp := w.do(tt.method, "http://shop.example"+tt.path, nil, tt.headers...)
			body := readAll(t, resp)
			if resp.StatusCode != tt.status || tt.body != "" && body != tt.body || resp.Header.Get("Allow") != tt.allow {
				t.Errorf("%d %q, Allow %q; want %d %q, %q", resp.StatusCode, body, resp.Header.Get("Allow"), tt.status, tt.body, tt.allow)
			}
		})
	}
}

func TestScriptsThatDoNotCompileAreDiagnostics(t *testing.T) {
	t.Parallel()
	w := newScriptWorld(t)
	tests := []struct {
		name, source string
		line         int
	}{
		{"a syntax error", "local x = 1\nif then", 2},
		{"a route defined twice", "local h = function() return 200 end\nkeystone.get('/a/{x}', h)\nkeystone.get('/a/{y}', h)", 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tenant, err := w.builder.Build(t.Context(), scriptedTenant("", spec.LuaLimits{}), treeOf(map[string]string{"shop/main.lua": tt.source}))
			if tenant != nil || err == nil {
				t.Fatal("built")
			}
			d := err.Diagnostics[0]
			if d.File != "scripts/shop/main.lua" || d.Line != tt.line || d.Tenant != "shop" {
				t.Errorf("diagnostic %+v", d)
			}
			if len(err.Inputs) != 1 || err.Inputs[0].Path != "shop/main.lua" || err.Inputs[0].Hash == "" {
				t.Errorf("inputs %v", err.Inputs)
			}
		})
	}
}

func TestHeadersThatScriptsMayNotSet(t *testing.T) {
	t.Parallel()
	for name, values := range map[string][]string{
		"Connection": {"close"}, "Content-Length": {"1"}, "host": {"x"}, "TE": {"x"}, "": {"x"}, "a b": {"x"}, "X-A": {"a\nb"}, "X-B": {"\x00"},
	} {
		if err := checkHeader(name, values); err == nil {
			t.Errorf("%q: %q was let through", name, values)
		}
	}
	if err := checkHeader("X-Ok", []string{"a\tb \xc3\xa9"}); err != nil {
		t.Error(err)
	}
}

func TestWhatAClientGetsForAScriptThatFailed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		err        error
		status     int
		retryAfter string
	}{
		{"a script's error", &lua.Error{Kind: lua.KindScript}, 500, ""},
		{"over its budget", &lua.Error{Kind: lua.KindBudget}, 503, ""},
		{"no state free", &lua.Error{Kind: lua.KindBusy}, 503, "1"},
		{"a body too large", &lua.Error{Kind: lua.KindBody, Err: lua.ErrBodyTooLarge}, 413, ""},
		{"an error of another kind", errors.New("odd"), 500, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			answer := httptest.NewRecorder()
			x := New(Options{}).begin(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
			x.tenant, x.route = &Tenant{spec: &spec.Tenant{}}, &route{}
			x.scriptFailed(tt.err)
			if answer.Code != tt.status || answer.Header().Get("Retry-After") != tt.retryAfter {
				t.Errorf("%d, Retry-After %q; want %d, %q", answer.Code, answer.Header().Get("Retry-After"), tt.status, tt.retryAfter)
			}
		})
	}
}

func TestWhatIsLoggedOfAFailingScriptIsBounded(t *testing.T) {
	t.Parallel()
	var l limiter
	now := time.Now()
	for i, want := range []struct {
		after   time.Duration
		ok      bool
		skipped int
	}{{0, true, 0}, {0, false, 0}, {999 * time.Millisecond, false, 0}, {time.Second, true, 2}, {3 * time.Second, true, 0}} {
		if ok, skipped := l.allow(now.Add(want.after)); ok != want.ok || skipped != want.skipped {
			t.Errorf("%d: %v, %d", i, ok, skipped)
		}
	}
}
