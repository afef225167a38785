package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Sample is one value that is asked for at scrape time.
type Sample struct {
	Tenant, Upstream, Server string
	Value                    float64
}

// Observed is what a scrape asks the running parts for.
type Observed struct {
	TenantsDraining int
	LuaStates       int
	TenantState     []Sample // 0 current, 1 stale, 2 invalid
	UpstreamHealthy []Sample // 1, 0
}

// Observe sets the function that each scrape asks. It is called from the
// goroutine of a scrape, possibly from several at once.
func (m *Metrics) Observe(f func() Observed) {
	if m != nil {
		m.observer.Store(&f)
	}
}

// observedCollector makes series from what is true at the scrape: they need no
// removal when a tenant, a server or a revision goes, and a scrape never falls
// between the removal of one and the arrival of the next.
type observedCollector struct {
	metrics *Metrics

	info, generation, draining, luaStates, tenantState, upstreamHealthy *prometheus.Desc
}

func newObservedCollector(m *Metrics) *observedCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &observedCollector{
		metrics: m,
		info: desc("keystone_config_info",
			"The revision that serves, as a label; always 1.", "revision"),
		generation: desc("keystone_generation",
			"The routing table that serves, counted from one; 0 before the first."),
		draining: desc("keystone_tenants_draining",
			"Retired versions of tenants that still serve requests."),
		luaStates: desc("keystone_lua_states",
			"Lua states alive in the process."),
		tenantState: desc("keystone_tenant_config_state",
			"0: the applied revision's version serves; 1: an older version is kept; 2: no version serves.", "tenant"),
		upstreamHealthy: desc("keystone_upstream_healthy",
			"Whether requests may be sent to a server.", "tenant", "upstream", "server"),
	}
}

// Describe implements [prometheus.Collector].
func (c *observedCollector) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{c.info, c.generation, c.draining, c.luaStates, c.tenantState, c.upstreamHealthy} {
		to <- desc
	}
}

// Collect implements [prometheus.Collector].
func (c *observedCollector) Collect(to chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		metric, err := prometheus.NewConstMetric(desc, prometheus.GaugeValue, value, labels...)
		if err != nil {
			metric = prometheus.NewInvalidMetric(desc, err)
		}
		to <- metric
	}

	var generation uint64
	if now := c.metrics.applied.Load(); now != nil {
		generation = now.generation
		gauge(c.info, 1, now.revision)
	}
	gauge(c.generation, float64(generation))

	observer := c.metrics.observer.Load()
	if observer == nil {
		return
	}
	seen := (*observer)()
	gauge(c.draining, float64(seen.TenantsDraining))
	gauge(c.luaStates, float64(seen.LuaStates))
	for _, s := range seen.TenantState {
		gauge(c.tenantState, s.Value, s.Tenant)
	}
	for _, s := range lowest(seen.UpstreamHealthy) {
		gauge(c.upstreamHealthy, s.Value, s.Tenant, s.Upstream, s.Server)
	}
}

// lowest leaves one sample for each set of labels, the lowest: an upstream may
// name two servers alike, and the registry refuses a series that comes twice.
func lowest(samples []Sample) []Sample {
	at := make(map[Sample]int, len(samples))
	kept := make([]Sample, 0, len(samples))
	for _, s := range samples {
		labels := Sample{Tenant: s.Tenant, Upstream: s.Upstream, Server: s.Server}
		if i, ok := at[labels]; ok {
			kept[i].Value = min(kept[i].Value, s.Value)
			continue
		}
		at[labels] = len(kept)
		kept = append(kept, s)
	}
	return kept
}
