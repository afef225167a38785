package telemetry

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics is the process's metric registry. Its methods are safe for
// concurrent use; a nil *Metrics records nothing.
type Metrics struct {
	registry *prometheus.Registry

	// Counted for each tenant, through its handle.
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	trips     *prometheus.CounterVec
	luaCalls  *prometheus.CounterVec

	reloads           *prometheus.CounterVec
	stages            *prometheus.HistogramVec
	lastReloadOK      prometheus.Gauge
	lastReloadSuccess prometheus.Gauge
	settingsChanged   prometheus.Gauge
	syncs             *prometheus.CounterVec
	lastSyncSuccess   prometheus.Gauge

	applied  atomic.Pointer[applied]
	observer atomic.Pointer[func() Observed]

	// mu guards tenants; a handle's own lock may be taken while it is held.
	mu      sync.Mutex
	tenants map[string]*Tenant
}

// applied is what serves now.
type applied struct {
	revision   string
	generation uint64
}

// NewMetrics registers all metrics, Go and process collectors included, with a
// registry of their own.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		tenants:  make(map[string]*Tenant),

		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "keystone_requests_total",
			Help: "Responses sent, by tenant (- for none) and class of status code.",
		}, []string{"tenant", "code_class"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "keystone_request_duration_seconds",
			Help: "Time from the request's head to the end of the response, by tenant.",
			// Eight with +Inf: every bucket is a series a tenant.
			Buckets: []float64{.001, .005, .025, .1, .5, 2.5, 10},
		}, []string{"tenant"}),
		trips: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "keystone_upstream_requests_total",
			Help: "Requests sent to an upstream, by outcome: ok, no_server, connect, protocol, timeout, client.",
		}, []string{"tenant", "upstream", "result"}),
		luaCalls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "keystone_lua_calls_total",
			Help: "Calls into a tenant's scripts, by outcome: ok, error, budget, busy.",
		}, []string{"tenant", "result"}),

		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "keystone_reloads_total",
			Help: "Attempts to make a revision live, by outcome: applied, unchanged, rejected, failed.",
		}, []string{"result"}),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "keystone_reload_duration_seconds",
			Help:    "Time spent in each stage of a reload: fetch, build, swap, total.",
			Buckets: []float64{.005, .025, .1, .5, 2.5, 10, 60},
		}, []string{"stage"}),
		lastReloadOK: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "keystone_config_last_reload_successful",
			Help: "Whether the last attempt to reload succeeded.",
		}),
		lastReloadSuccess: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "keystone_config_last_reload_success_timestamp_seconds",
			Help: "When a reload last succeeded, in Unix time.",
		}),
		settingsChanged: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "keystone_settings_changed",
			Help: "Whether the settings file differs from what the process was started with.",
		}),
		syncs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "keystone_source_sync_total",
			Help: "Reads of the source, by outcome: ok, unchanged, error.",
		}, []string{"result"}),
		lastSyncSuccess: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "keystone_source_last_success_timestamp_seconds",
			Help: "When the source was last read without error, in Unix time.",
		}),
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.requests, m.durations, m.trips, m.luaCalls,
		m.reloads, m.stages, m.lastReloadOK, m.lastReloadSuccess, m.settingsChanged,
		m.syncs, m.lastSyncSuccess,
		newObservedCollector(m),
	)
	// A counter that starts at zero shows its first increase to rate().
	for _, result := range []string{"applied", "unchanged", "rejected", "failed"} {
		m.reloads.WithLabelValues(result)
	}
	for _, result := range []string{"ok", "unchanged", "error"} {
		m.syncs.WithLabelValues(result)
	}
	return m
}

// Handler serves them in the Prometheus text format. A series that cannot be
// gathered costs itself, not the scrape.
func (m *Metrics) Handler() http.Handler {
	if m == nil {
		return http.NotFoundHandler()
	}
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError,
		Registry:      m.registry,
	})
}

// Reload counts an attempt: applied|unchanged|rejected|failed.
func (m *Metrics) Reload(result string) {
	if m != nil {
		m.reloads.WithLabelValues(result).Inc()
	}
}

// Stage observes how long a stage of a reload took: fetch|build|swap|total.
func (m *Metrics) Stage(stage string, took time.Duration) {
	if m != nil {
		m.stages.WithLabelValues(stage).Observe(took.Seconds())
	}
}

// LastReload sets whether the last attempt succeeded, and when it did.
func (m *Metrics) LastReload(ok bool, at time.Time) {
	if m == nil {
		return
	}
	m.lastReloadOK.Set(number(ok))
	if ok {
		m.lastReloadSuccess.Set(unix(at))
	}
}

// Applied sets keystone_config_info and keystone_generation.
func (m *Metrics) Applied(revision string, generation uint64) {
	if m != nil {
		m.applied.Store(&applied{revision, generation})
	}
}

// SettingsChanged sets keystone_settings_changed.
func (m *Metrics) SettingsChanged(changed bool) {
	if m != nil {
		m.settingsChanged.Set(number(changed))
	}
}

// SourceSync counts a fetch: ok|unchanged|error, and on success notes when.
func (m *Metrics) SourceSync(result string, at time.Time) {
	if m == nil {
		return
	}
	m.syncs.WithLabelValues(result).Inc()
	if result != "error" {
		m.lastSyncSuccess.Set(unix(at))
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func unix(at time.Time) float64 { return float64(at.UnixNano()) / 1e9 }
