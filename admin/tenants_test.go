package admin_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"keystone-gateway/proxy"
)

func full(t *testing.T) http.Handler {
	t.Helper()
	return open(t, options(&server{generation: proxy.NewGeneration(4, slotsOf(build(t))), revision: applied}, &asker{}))
}

// Since when a server is up or down is the upstream package's to test.
func ignoreServerSince() cmp.Option {
	return cmp.FilterPath(func(p cmp.Path) bool {
		index, ok := p.Last().(cmp.MapIndex)
		return ok && index.Key().String() == "since" && len(p) > 6
	}, cmp.Ignore())
}

func TestTenants(t *testing.T) {
	t.Parallel()
	code, got := get(t, full(t), "/admin/tenants")
	if code != http.StatusOK || got["revision"] != applied {
		t.Errorf("status %d, revision %v", code, got["revision"])
	}
	var names []any
	for _, entry := range got["tenants"].([]any) {
		names = append(names, entry.(map[string]any)["name"])
	}
	if diff := cmp.Diff([]any{"broken", "down", "late", "partial", "scripted", "shop"}, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	want := parse(t, `{"name": "broken", "status": "unhealthy", "config": "invalid", "since": "2024-05-01T12:00:00Z",
		"error": "configs/tenants/broken.yaml:3:5: error: unknown key", "servers_healthy": 0, "servers_total": 0,
		"revision": "`+applied+`", "file": "configs/tenants/broken.yaml", "line": 3}`)
	if diff := cmp.Diff(want, got["tenants"].([]any)[0]); diff != "" {
		t.Errorf("entry (-want +got):\n%s", diff)
	}

	_, got = get(t, open(t, options(&server{}, &asker{})), "/admin/tenants")
	if diff := cmp.Diff(parse(t, `{"revision": "", "tenants": []}`), got); diff != "" {
		t.Errorf("before the first generation (-want +got):\n%s", diff)
	}
}

func TestTenant(t *testing.T) {
	t.Parallel()
	a := full(t)
	for name, want := range map[string]string{
		"shop": `{"name": "shop", "status": "healthy", "config": "current", "since": "2024-05-01T12:00:00Z",
			"servers_healthy": 2, "servers_total": 2, "revision": "` + applied + `", "file": "configs/tenants/all.yaml", "line": 2,
			"claims": [{"host": "shop.example.com", "prefix": "/api"}],
			"upstreams": [{"name": "default", "servers_healthy": 2, "servers_total": 2, "servers": [
				{"name": "a", "url": "http://127.0.0.1:9001", "healthy": true, "checked": false},
				{"name": "b", "url": "http://127.0.0.1:9002", "healthy": true, "checked": false}]}]}`,
		"late": `{"name": "late", "status": "degraded", "config": "stale", "since": "2024-05-01T12:00:00Z",
			"error": "configs/tenants/all.yaml:27:5: error: no",
			"servers_healthy": 1, "servers_total": 1, "revision": "` + older + `", "file": "configs/tenants/all.yaml", "line": 26,
			"claims": [{"host": "late.example.com", "prefix": ""}],
			"upstreams": [{"name": "default", "servers_healthy": 1, "servers_total": 1, "servers": [
				{"name": "a", "url": "http://127.0.0.1:9001", "healthy": true, "checked": false}]}]}`,
		"broken": `{"name": "broken", "status": "unhealthy", "config": "invalid", "since": "2024-05-01T12:00:00Z",
			"error": "configs/tenants/broken.yaml:3:5: error: unknown key",
			"servers_healthy": 0, "servers_total": 0, "revision": "` + applied + `", "file": "configs/tenants/broken.yaml", "line": 3,
			"claims": [{"host": "broken.example.com", "prefix": ""}], "upstreams": []}`,
	} {
		code, got := get(t, a, "/admin/tenants/"+name)
		if code != http.StatusOK {
			t.Errorf("%s: status %d", name, code)
		}
		if _, ok := got["routes"].([]any); !ok {
			t.Errorf("%s: routes are %v, want a list", name, got["routes"])
		}
		ignoreRoutes := cmpopts.IgnoreMapEntries(func(key string, _ any) bool { return key == "routes" })
		if diff := cmp.Diff(parse(t, want), got, ignoreServerSince(), ignoreRoutes); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestTenantHealth(t *testing.T) {
	t.Parallel()
	a := full(t)
	for name, want := range map[string]int{
		"shop": 200, "partial": 200, "scripted": 200, "late": 200,
		"down": 503, "broken": 503, "nobody": 404,
	} {
		code, got := get(t, a, "/admin/tenants/"+name+"/health")
		if code != want {
			t.Errorf("%s: status %d, want %d: %v", name, code, want, got)
		}
	}
	_, got := get(t, a, "/admin/tenants/down/health")
	want := parse(t, `{"name": "down", "status": "unhealthy", "config": "current", "since": "2024-05-01T12:00:00Z",
		"servers_healthy": 0, "servers_total": 1, "revision": "`+applied+`", "file": "configs/tenants/all.yaml", "line": 17,
		"upstreams": [{"name": "default", "servers_healthy": 0, "servers_total": 1, "servers": [
			{"name": "a", "url": "http://127.0.0.1:9004", "healthy": false, "checked": true}]}]}`)
	if diff := cmp.Diff(want, got, ignoreServerSince()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	a := full(t)
	_, all := get(t, a, "/admin/routes")
	seen := map[string]int{}
	for _, route := range all["routes"].([]any) {
		seen[route.(map[string]any)["tenant"].(string)]++
	}
	for _, name := range []string{"shop", "partial", "down", "scripted", "late"} {
		if seen[name] == 0 {
			t.Errorf("no route of %s", name)
		}
	}
	_, one := get(t, a, "/admin/routes?tenant=shop")
	want := []any{map[string]any{
		"tenant": "shop", "method": "GET", "pattern": "/users/{id}", "layer": "yaml",
		"target": "upstream default", "file": "configs/tenants/all.yaml", "line": 9.0,
	}}
	if diff := cmp.Diff(want, one["routes"]); diff != "" {
		t.Errorf("the routes of one tenant (-want +got):\n%s", diff)
	}
	if _, none := get(t, a, "/admin/routes?tenant=nobody"); len(none["routes"].([]any)) != 0 {
		t.Errorf("the routes of nobody: %v", none)
	}
}
