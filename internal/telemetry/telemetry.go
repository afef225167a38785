// Package telemetry holds the log handler, the metrics and the names of both.
package telemetry

import (
	"io"
	"log/slog"
	"net/http"
	"time"
)

// NewLogger writes one record a line; format is "json" or "text".
func NewLogger(w io.Writer, level slog.Level, format string) *slog.Logger { panic("unimplemented") }

// Metrics is the process's metric registry. Its methods are safe for
// concurrent use; a nil *Metrics records nothing.
type Metrics struct{}

// NewMetrics registers all metrics, Go and process collectors included.
func NewMetrics() *Metrics { panic("unimplemented") }

// Handler serves them in the Prometheus text format.
func (m *Metrics) Handler() http.Handler { panic("unimplemented") }

// Tenant returns the handle of a tenant ("-" for no tenant), the same for the
// same name until DropTenant. Cheap to use on the request path.
func (m *Metrics) Tenant(name string) *Tenant { panic("unimplemented") }

// DropTenant removes all series of a tenant.
func (m *Metrics) DropTenant(name string) { panic("unimplemented") }

// Tenant records what happens to one tenant's requests.
type Tenant struct{}

// Request counts a response.
func (t *Tenant) Request(status int, took time.Duration) { panic("unimplemented") }

// Upstream counts a trip; result is "ok" or an upstream.Kind.
func (t *Tenant) Upstream(upstream, result string) { panic("unimplemented") }

// LuaCall counts a call; result is ok|error|budget|busy.
func (t *Tenant) LuaCall(result string) { panic("unimplemented") }

// Reload counts an attempt: applied|unchanged|rejected|failed.
func (m *Metrics) Reload(result string) { panic("unimplemented") }

// Stage observes how long a stage of a reload took: fetch|load|compile|swap|total.
func (m *Metrics) Stage(stage string, took time.Duration) { panic("unimplemented") }

// LastReload sets whether the last attempt succeeded, and when it did.
func (m *Metrics) LastReload(ok bool, at time.Time) { panic("unimplemented") }

// Applied sets keystone_config_info and keystone_generation.
func (m *Metrics) Applied(revision string, generation uint64) { panic("unimplemented") }

// SettingsChanged sets keystone_settings_changed.
func (m *Metrics) SettingsChanged(changed bool) { panic("unimplemented") }

// SourceSync counts a fetch: ok|unchanged|error, and on success notes when.
func (m *Metrics) SourceSync(result string, at time.Time) { panic("unimplemented") }

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

// Observe sets the function that each scrape asks.
func (m *Metrics) Observe(f func() Observed) { panic("unimplemented") }
