package telemetry

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// The names keep Prometheus's rules for names, units and help.
func TestMetricsLint(t *testing.T) {
	t.Parallel()
	m := NewMetrics()
	tenant := m.Tenant("shop")
	tenant.Request(200, time.Millisecond)
	tenant.Upstream("default", "ok")
	tenant.LuaCall("ok")
	m.Stage("total", time.Second)
	m.Applied("aaa", 1)
	m.Observe(func() Observed {
		return Observed{
			TenantState:     []Sample{{Tenant: "shop"}},
			UpstreamHealthy: []Sample{{Tenant: "shop", Upstream: "default", Server: "a"}},
		}
	})
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "keystone_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}
