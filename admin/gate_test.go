package admin_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"

	"keystone-gateway/admin"
	"keystone-gateway/reloader"
)

func TestCheckListen(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		addr           string
		without, token bool // may it be listened on without a token, with one
	}{
		{"127.0.0.1:9090", true, true},
		{"127.1.2.3:9090", true, true},
		{"[::1]:9090", true, true},
		{"[::ffff:127.0.0.1]:9090", true, true},
		{"localhost:0", true, true},
		{":9090", false, true},
		{"0.0.0.0:9090", false, true},
		{"[::]:9090", false, true},
		{"10.0.0.1:9090", false, true},
		{"ops.example.com:9090", false, true},
		{"127.0.0.1.example.com:9090", false, true},
		{"127.0.0.1", false, false},
		{"", false, false},
	} {
		if err := admin.CheckListen(tt.addr, false); (err == nil) != tt.without {
			t.Errorf("CheckListen(%q, without a token) = %v", tt.addr, err)
		}
		if err := admin.CheckListen(tt.addr, true); (err == nil) != tt.token {
			t.Errorf("CheckListen(%q, with a token) = %v", tt.addr, err)
		}
	}
}

func TestNewRefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*admin.Options){
		"no token and no loopback":      func(o *admin.Options) { o.Token, o.Listen = nil, "0.0.0.0:9090" },
		"a base path without its slash": func(o *admin.Options) { o.BasePath = "admin" },
		"a pattern as base path":        func(o *admin.Options) { o.BasePath = "/{x}" },
		"a base path with dots":         func(o *admin.Options) { o.BasePath = "/a/../b" },
		"an empty segment":              func(o *admin.Options) { o.BasePath = "/a//b" },
		"a query in the base path":      func(o *admin.Options) { o.BasePath = "/a?b" },
	} {
		o := options(&server{}, &asker{})
		change(&o)
		if _, err := admin.New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestBasePath(t *testing.T) {
	t.Parallel()
	for base, page := range map[string]string{
		"":             "/health",
		"/":            "/health",
		"/admin":       "/admin/health",
		"/admin/":      "/admin/health",
		"/ops/gate-1/": "/ops/gate-1/health",
	} {
		o := options(&server{}, &asker{})
		o.BasePath = base
		a := open(t, o)
		if code, _ := get(t, a, page); code != http.StatusOK {
			t.Errorf("base path %q: GET %s: status %d", base, page, code)
		}
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	bearer := func(value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", value) }
	}
	none := func(r *http.Request) { r.Header.Del("Authorization") }
	a := open(t, options(&server{}, &asker{reload: func(context.Context) (*reloader.Attempt, error) {
		return &reloader.Attempt{Result: reloader.Unchanged}, nil
	}}))
	for _, tt := range []struct {
		name, method, path string
		change             func(*http.Request)
		want               int
	}{
		{"health with it", "GET", "/admin/health", bearer("Bearer " + token), 200},
		{"the scheme in any case", "GET", "/admin/health", bearer("bearer " + token), 200},
		{"health without it", "GET", "/admin/health", none, 401},
		{"a wrong one", "GET", "/admin/health", bearer("Bearer " + token + "x"), 401},
		{"the beginning of it", "GET", "/admin/health", bearer("Bearer " + token[:3]), 401},
		{"an empty one", "GET", "/admin/health", bearer("Bearer "), 401},
		{"another scheme", "GET", "/admin/health", bearer("Basic " + token), 401},
		{"no scheme", "GET", "/admin/health", bearer(token), 401},
		{"reload without it", "POST", "/admin/reload", none, 401},
		{"reload with it", "POST", "/admin/reload", nil, 200},
		{"an unknown page without it", "GET", "/admin/nothing", none, 401},
		{"an unknown page with it", "GET", "/admin/nothing", nil, 404},
		{"the root without it", "GET", "/", none, 401},
		{"pages of machines need none", "GET", "/healthz", none, 200},
		{"readiness needs none", "GET", "/readyz", none, 503},
		{"metrics need none", "GET", "/metrics", none, 200},
		{"below an open page", "GET", "/metrics/x", none, 401},
		{"an open page by another way", "GET", "/healthz/../admin/health", none, 401},
	} {
		w := ask(t, a, tt.method, tt.path, "", tt.change)
		if w.Code != tt.want {
			t.Errorf("%s: status %d, want %d", tt.name, w.Code, tt.want)
		}
		if got := w.Header().Get("WWW-Authenticate"); (got != "") != (tt.want == 401) {
			t.Errorf("%s: status %d with WWW-Authenticate %q", tt.name, w.Code, got)
		}
	}
}

func TestTokenIsReadEachTime(t *testing.T) {
	t.Parallel()
	now, fault := token, error(nil)
	o := options(&server{}, &asker{})
	o.Token = func() (string, error) { return now, fault }
	a := open(t, o)
	status := func() int {
		code, _ := get(t, a, "/admin/health")
		return code
	}
	if got := status(); got != http.StatusOK {
		t.Errorf("before the change: %d", got)
	}
	now = "another"
	if got := status(); got != http.StatusUnauthorized {
		t.Errorf("the old token after a change: %d", got)
	}
	now = " \n"
	if got := status(); got != http.StatusServiceUnavailable {
		t.Errorf("an empty token file: %d", got)
	}
	now, fault = token, errors.New("gone")
	if got := status(); got != http.StatusServiceUnavailable {
		t.Errorf("a token file that is gone: %d", got)
	}
}

func TestWithoutTokenReadOnly(t *testing.T) {
	t.Parallel()
	r := &asker{}
	o := options(&server{}, r)
	o.Token = nil
	a := open(t, o)
	if code, _ := get(t, a, "/admin/health"); code != http.StatusOK {
		t.Errorf("reading: status %d", code)
	}
	code, body := post(t, a, "/admin/reload", "")
	if code != http.StatusForbidden || !strings.Contains(body["hint"].(string), "SIGHUP") {
		t.Errorf("reload: %d %v, want 403 with a hint", code, body)
	}
	if r.asked != 0 {
		t.Error("the reloader was asked")
	}
}

func TestHostHeader(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		listen, host string
		want         int
	}{
		{"127.0.0.1:9090", "127.0.0.1:9090", 200},
		{"127.0.0.1:9090", "127.0.0.1", 200},
		{"127.0.0.1:9090", "localhost:9090", 200},
		{"127.0.0.1:9090", "LocalHost", 200},
		{"127.0.0.1:9090", "localhost.:9090", 200},
		{"127.0.0.1:9090", "[::1]:9090", 200},
		{"127.0.0.1:9090", "[::1]", 200},
		{"127.0.0.1:9090", "127.8.8.8:80", 200}, // a port may be forwarded
		{"127.0.0.1:9090", "", 200},
		{"127.0.0.1:9090", "evil.example.com", 403},
		{"127.0.0.1:9090", "evil.example.com:9090", 403},
		{"127.0.0.1:9090", "127.0.0.1.evil.example.com", 403},
		{"127.0.0.1:9090", "localhost.evil.example.com", 403},
		{"127.0.0.1:9090", "10.0.0.1", 403},
		{"localhost:9090", "evil.example.com", 403},
		{"0.0.0.0:9090", "gateway.example.com", 200},
		{"10.0.0.1:9090", "gateway.example.com", 200},
	} {
		o := options(&server{}, &asker{})
		o.Listen = tt.listen
		a := open(t, o)
		for _, path := range []string{"/healthz", "/metrics", "/admin/health"} {
			w := ask(t, a, http.MethodGet, path, "", func(r *http.Request) { r.Host = tt.host })
			if w.Code != tt.want {
				t.Errorf("listening on %s, Host %q: GET %s: status %d, want %d", tt.listen, tt.host, path, w.Code, tt.want)
			}
		}
	}
}

func TestCrossSite(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, method, path string
		header             http.Header
		want               int
	}{
		{"a page of another site posts", "POST", "/admin/reload", http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403},
		{"a page of a sibling site posts", "POST", "/admin/reload", http.Header{"Sec-Fetch-Site": {"same-site"}}, 403},
		{"a foreign origin", "POST", "/admin/reload", http.Header{"Origin": {"https://evil.example.com"}}, 403},
		{"an opaque origin", "POST", "/admin/reload", http.Header{"Origin": {"null"}}, 403},
		{"our own page", "POST", "/admin/reload", http.Header{"Sec-Fetch-Site": {"same-origin"}}, 200},
		{"our own origin", "POST", "/admin/reload", http.Header{"Origin": {"http://127.0.0.1:9090"}}, 200},
		{"a client that is no browser", "POST", "/admin/reload", nil, 200},
		{"reading", "GET", "/admin/health", http.Header{"Sec-Fetch-Site": {"cross-site"}}, 200},
	} {
		r := &asker{reload: func(context.Context) (*reloader.Attempt, error) {
			return &reloader.Attempt{Result: reloader.Unchanged}, nil
		}}
		w := ask(t, open(t, options(&server{}, r)), tt.method, tt.path, "", func(r *http.Request) {
			maps.Copy(r.Header, tt.header)
		})
		if w.Code != tt.want {
			t.Errorf("%s: status %d, want %d", tt.name, w.Code, tt.want)
		}
		if tt.want == http.StatusForbidden && r.asked > 0 {
			t.Errorf("%s: the reloader was asked", tt.name)
		}
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	a := open(t, options(&server{}, &asker{}))
	for _, tt := range []struct {
		method, path string
		want         int
		allow        string
	}{
		{"POST", "/healthz", 405, "GET, HEAD"},
		{"DELETE", "/admin/health", 405, "GET, HEAD"},
		{"PUT", "/admin/tenants/shop", 405, "GET, HEAD"},
		{"OPTIONS", "/admin/reload", 405, "POST"},
		{"GET", "/admin/reload", 405, "POST"},
		{"HEAD", "/admin/reload", 405, "POST"},
		{"HEAD", "/admin/health", 200, ""},
		{"GET", "/admin/tenants/nobody", 404, ""},
		{"GET", "/admin/history", 404, ""},
		{"GET", "/", 404, ""},
	} {
		w := ask(t, a, tt.method, tt.path, "", nil)
		if w.Code != tt.want || w.Header().Get("Allow") != tt.allow {
			t.Errorf("%s %s: status %d, Allow %q; want %d, %q",
				tt.method, tt.path, w.Code, w.Header().Get("Allow"), tt.want, tt.allow)
		}
		if kind := w.Header().Get("Content-Type"); tt.want >= 400 && kind != "application/problem+json" {
			t.Errorf("%s %s: an error as %q", tt.method, tt.path, kind)
		}
		if w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s may be stored", tt.method, tt.path)
		}
	}
}
