package admin_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keystone-gateway/proxy"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	s := &server{generation: proxy.NewGeneration(4, slotsOf(build(t))), revision: applied, draining: 2}
	o := options(s, &asker{})
	now := since
	o.Now = func() time.Time { return now }
	a := open(t, o)
	now = since.Add(90*time.Second + 700*time.Millisecond)

	const head = `"status": "degraded", "version": "1.2.3", "uptime_seconds": 90, "revision": "` + applied + `", "generation": 4, "tenants_draining": 2`
	for target, want := range map[string]string{
		"/admin/health": `{` + head + `, "tenants": {
			"shop":     {"status": "healthy",   "config": "current", "since": "2024-05-01T12:00:00Z", "servers_healthy": 2, "servers_total": 2},
			"partial":  {"status": "degraded",  "config": "current", "since": "2024-05-01T12:00:00Z", "servers_healthy": 1, "servers_total": 2},
			"down":     {"status": "unhealthy", "config": "current", "since": "2024-05-01T12:00:00Z", "servers_healthy": 0, "servers_total": 1},
			"scripted": {"status": "healthy",   "config": "current", "since": "2024-05-01T12:00:00Z", "servers_healthy": 0, "servers_total": 0},
			"late":     {"status": "degraded",  "config": "stale",   "since": "2024-05-01T12:00:00Z", "servers_healthy": 1, "servers_total": 1,
			             "revision": "` + older + `", "error": "configs/tenants/all.yaml:27:5: error: no"},
			"broken":   {"status": "unhealthy", "config": "invalid", "since": "2024-05-01T12:00:00Z", "servers_healthy": 0, "servers_total": 0,
			             "error": "configs/tenants/broken.yaml:3:5: error: unknown key"}}}`,
		"/admin/health?summary": `{` + head + `, "counts": {"total": 6, "healthy": 2, "degraded": 2, "unhealthy": 2, "current": 4, "stale": 1, "invalid": 1}}`,
	} {
		code, got := get(t, a, target)
		if diff := cmp.Diff(parse(t, want), got); code != http.StatusOK || diff != "" {
			t.Errorf("%s: status %d (-want +got):\n%s", target, code, diff)
		}
	}
}

func TestGatewayStatus(t *testing.T) {
	t.Parallel()
	tenants := build(t)
	only := func(names ...string) *proxy.Generation {
		some := make(map[string]*proxy.Tenant)
		for _, name := range names {
			some[name] = tenants[name]
		}
		return proxy.NewGeneration(1, slotsOf(some)[1:]) // without the broken one
	}
	for name, tt := range map[string]struct {
		generation *proxy.Generation
		want       string
	}{
		"nothing yet":              {nil, "unhealthy"},
		"no tenant":                {only(), "unhealthy"},
		"all well":                 {only("shop", "scripted"), "healthy"},
		"one stale":                {only("shop", "late"), "degraded"},
		"one unhealthy":            {only("shop", "down"), "degraded"},
		"only one without version": {proxy.NewGeneration(1, slotsOf(nil)), "unhealthy"},
	} {
		_, got := get(t, open(t, options(&server{generation: tt.generation}, &asker{})), "/admin/health")
		if got["status"] != tt.want {
			t.Errorf("%s: %v, want %s", name, got["status"], tt.want)
		}
	}
}
