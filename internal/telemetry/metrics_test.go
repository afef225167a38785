package telemetry_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keystone-gateway/internal/telemetry"
)

// scrape returns the exposition's sample lines that begin with prefix, sorted.
func scrape(t *testing.T, m *telemetry.Metrics, prefix string) []string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("scrape: status %d: %s", w.Code, w.Body)
	}
	var lines []string
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, prefix) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	slices.Sort(lines)
	return lines
}

func check(t *testing.T, what string, got, want []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestTenantSeries(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics()
	shop := m.Tenant("shop")
	if got := scrape(t, m, "keystone_requests_total"); got != nil {
		t.Errorf("a handle that was only asked for made series: %q", got)
	}
	for _, status := range []int{101, 200, 204, 308, 404, 499, 503, 0, 700} {
		shop.Request(status, 4*time.Millisecond)
	}
	check(t, "requests", scrape(t, m, "keystone_requests_total"), []string{
		`keystone_requests_total{code_class="1xx",tenant="shop"} 1`,
		`keystone_requests_total{code_class="2xx",tenant="shop"} 2`,
		`keystone_requests_total{code_class="3xx",tenant="shop"} 1`,
		`keystone_requests_total{code_class="4xx",tenant="shop"} 2`,
		`keystone_requests_total{code_class="5xx",tenant="shop"} 3`,
	})
	buckets := scrape(t, m, "keystone_request_duration_seconds_bucket")
	if len(buckets) > 8 {
		t.Errorf("%d buckets, at most 8 are allowed", len(buckets))
	}
	check(t, "duration", scrape(t, m, "keystone_request_duration_seconds_count"), []string{
		`keystone_request_duration_seconds_count{tenant="shop"} 9`,
	})

	shop.Upstream("default", "ok")
	shop.Upstream("default", "ok")
	shop.Upstream("search", "timeout")
	check(t, "trips", scrape(t, m, "keystone_upstream_requests_total"), []string{
		`keystone_upstream_requests_total{result="ok",tenant="shop",upstream="default"} 2`,
		`keystone_upstream_requests_total{result="timeout",tenant="shop",upstream="search"} 1`,
	})
	shop.LuaCall("ok")
	shop.LuaCall("budget")
	check(t, "lua calls", scrape(t, m, "keystone_lua_calls_total"), []string{
		`keystone_lua_calls_total{result="budget",tenant="shop"} 1`,
		`keystone_lua_calls_total{result="ok",tenant="shop"} 1`,
	})
	if m.Tenant("shop") != shop {
		t.Error("the second handle of a tenant is another one")
	}
}

func TestDropTenantRemovesItsSeries(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics()
	record := func(h *telemetry.Tenant) {
		h.Request(200, time.Millisecond)
		h.Upstream("default", "ok")
		h.LuaCall("ok")
	}
	gone, silent := m.Tenant("gone"), m.Tenant("silent")
	record(gone)
	record(m.Tenant("stays"))
	m.DropTenant("gone")
	m.DropTenant("silent")
	m.DropTenant("never was")
	// A request that is still under way must not bring the series back.
	record(gone)
	record(silent)
	for _, line := range scrape(t, m, "keystone_") {
		if strings.Contains(line, `tenant="gone"`) || strings.Contains(line, `tenant="silent"`) {
			t.Errorf("left behind: %s", line)
		}
	}
	if n := len(scrape(t, m, `keystone_requests_total{code_class="2xx",tenant="stays"} 1`)); n != 1 {
		t.Error("the series of another tenant went too")
	}

	record(m.Tenant("gone"))
	check(t, "a tenant that came back", scrape(t, m, `keystone_requests_total{code_class="2xx",tenant="gone"}`), []string{
		`keystone_requests_total{code_class="2xx",tenant="gone"} 1`,
	})
}

func TestReloadMetrics(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics()
	if got := scrape(t, m, "keystone_config_info"); got != nil {
		t.Errorf("before the first revision: %q", got)
	}
	at := time.Unix(1_700_000_000, 500_000_000)
	m.Reload("applied")
	m.Reload("rejected")
	m.Reload("rejected")
	m.Stage("fetch", 2*time.Second)
	m.LastReload(true, at)
	m.LastReload(false, at.Add(time.Hour))
	m.Applied("aaa", 1)
	m.Applied("bbb", 2)
	m.SettingsChanged(true)
	m.SourceSync("ok", at)
	m.SourceSync("error", at.Add(time.Hour))
	check(t, "reloads", scrape(t, m, "keystone_reloads_total"), []string{
		`keystone_reloads_total{result="applied"} 1`,
		`keystone_reloads_total{result="failed"} 0`,
		`keystone_reloads_total{result="rejected"} 2`,
		`keystone_reloads_total{result="unchanged"} 0`,
	})
	check(t, "stages", scrape(t, m, "keystone_reload_duration_seconds_sum"), []string{
		`keystone_reload_duration_seconds_sum{stage="fetch"} 2`,
	})
	check(t, "config", scrape(t, m, "keystone_config_"), []string{
		`keystone_config_info{revision="bbb"} 1`,
		`keystone_config_last_reload_success_timestamp_seconds 1.7000000005e+09`,
		`keystone_config_last_reload_successful 0`,
	})
	check(t, "generation", scrape(t, m, "keystone_generation"), []string{`keystone_generation 2`})
	check(t, "settings", scrape(t, m, "keystone_settings"), []string{`keystone_settings_changed 1`})
	check(t, "source", scrape(t, m, "keystone_source_"), []string{
		`keystone_source_last_success_timestamp_seconds 1.7000000005e+09`,
		`keystone_source_sync_total{result="error"} 1`,
		`keystone_source_sync_total{result="ok"} 1`,
		`keystone_source_sync_total{result="unchanged"} 0`,
	})
}

func TestObserve(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics()
	if got := scrape(t, m, "keystone_lua_states"); got != nil {
		t.Errorf("without an observer: %q", got)
	}
	m.Observe(func() telemetry.Observed {
		return telemetry.Observed{
			TenantsDraining: 2,
			LuaStates:       7,
			TenantState:     []telemetry.Sample{{Tenant: "shop", Value: 1}},
			UpstreamHealthy: []telemetry.Sample{
				{Tenant: "shop", Upstream: "default", Server: "a", Value: 1},
				{Tenant: "shop", Upstream: "default", Server: "b", Value: 1},
				// Named alike: one that is down must show.
				{Tenant: "shop", Upstream: "default", Server: "b", Value: 0},
			},
		}
	})
	check(t, "draining", scrape(t, m, "keystone_tenants_draining"), []string{`keystone_tenants_draining 2`})
	check(t, "states", scrape(t, m, "keystone_lua_states"), []string{`keystone_lua_states 7`})
	check(t, "tenant state", scrape(t, m, "keystone_tenant_config_state"), []string{
		`keystone_tenant_config_state{tenant="shop"} 1`,
	})
	check(t, "servers", scrape(t, m, "keystone_upstream_healthy"), []string{
		`keystone_upstream_healthy{server="a",tenant="shop",upstream="default"} 1`,
		`keystone_upstream_healthy{server="b",tenant="shop",upstream="default"} 0`,
	})
}

func TestNilRecordsNothing(t *testing.T) {
	t.Parallel()
	var m *telemetry.Metrics
	m.Reload("applied")
	m.Stage("total", time.Second)
	m.LastReload(true, time.Now())
	m.Applied("aaa", 1)
	m.SettingsChanged(true)
	m.SourceSync("ok", time.Now())
	m.Observe(func() telemetry.Observed { return telemetry.Observed{} })
	m.DropTenant("shop")
	tenant := m.Tenant("shop")
	if tenant != nil {
		t.Error("nil metrics gave a handle")
	}
	tenant.Request(200, time.Second)
	tenant.Upstream("default", "ok")
	tenant.LuaCall("ok")
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("nil metrics answer %d, want 404", w.Code)
	}
}

// Requests, drops and scrapes at once: nothing is lost while a tenant stays,
// nothing is left when it has gone.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics()
	const workers, rounds = 8, 200
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range rounds {
				m.Tenant("stays").Request(200, time.Millisecond)
				m.Tenant("stays").Upstream("default", "ok")
				m.Tenant("goes").Request(200, time.Millisecond)
				m.Tenant("goes").LuaCall("ok")
			}
		})
	}
	wg.Go(func() {
		for i := range rounds {
			m.DropTenant("goes")
			m.Applied("revision", uint64(i))
		}
	})
	wg.Go(func() {
		for range 10 {
			if n := len(scrape(t, m, "keystone_config_info")); n > 1 {
				t.Errorf("%d revisions serve at once", n)
			}
		}
	})
	wg.Wait()
	m.DropTenant("goes")
	for _, want := range []string{
		`keystone_requests_total{code_class="2xx",tenant="stays"} 1600`,
		`keystone_upstream_requests_total{result="ok",tenant="stays",upstream="default"} 1600`,
	} {
		if got := scrape(t, m, want); len(got) != 1 {
			t.Errorf("missing: %s", want)
		}
	}
	for _, line := range scrape(t, m, "keystone_") {
		if strings.Contains(line, `tenant="goes"`) {
			t.Errorf("left behind: %s", line)
		}
	}
}

func TestRecordingDoesNotAllocate(t *testing.T) {
	m := telemetry.NewMetrics()
	tenant := m.Tenant("shop")
	got := testing.AllocsPerRun(100, func() {
		tenant.Request(200, 3*time.Millisecond)
		tenant.Upstream("default", "ok")
		tenant.LuaCall("ok")
	})
	if got != 0 {
		t.Errorf("%v allocations a request, want none", got)
	}
}

func BenchmarkTenantRequest(b *testing.B) {
	tenant := telemetry.NewMetrics().Tenant("shop")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			tenant.Request(200, 3*time.Millisecond)
			tenant.Upstream("default", "ok")
		}
	})
}
