// Package proxy turns tenants into a table of routes and serves it.
package proxy

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"keystone-gateway/internal/telemetry"
	"keystone-gateway/lua"
	"keystone-gateway/proxy/upstream"
	"keystone-gateway/spec"
)

// BuilderOptions are what all tenants share.
type BuilderOptions struct {
	Registry *upstream.Registry
	Cache    *lua.Cache
	States   *lua.States
	Metrics  *telemetry.Metrics
	Log      *slog.Logger
}

// Builder makes tenants from specs. Safe for concurrent use.
type Builder struct{}

// NewBuilder makes one.
func NewBuilder(o BuilderOptions) *Builder { panic("unimplemented") }

// Build compiles t from the files of in. It is inert: nothing is dialled,
// probed or counted before the tenant is part of a swapped generation. On
// failure it returns a nil tenant, and what is wrong.
func (b *Builder) Build(ctx context.Context, t *spec.Tenant, in *spec.Input) (*Tenant, *BuildError) {
	panic("unimplemented")
}

// BuildError is why a tenant could not be built, and the script files that
// were looked at until then: while they and the spec are the same it would
// fail again.
type BuildError struct {
	Diagnostics []spec.Diagnostic
	Inputs      []lua.Input
}

func (e *BuildError) Error() string { panic("unimplemented") }

// Tenant is one compiled version of a tenant. Immutable after Build. A request
// leases it; it is closed once, after the last lease is gone.
type Tenant struct{}

// Name of the tenant.
func (t *Tenant) Name() string { panic("unimplemented") }

// Spec it was built from.
func (t *Tenant) Spec() *spec.Tenant { panic("unimplemented") }

// Inputs are the script files it was built from, absent ones among them.
func (t *Tenant) Inputs() []lua.Input { panic("unimplemented") }

// Discard closes a tenant that never became part of a generation.
func (t *Tenant) Discard() { panic("unimplemented") }

// Health of the tenant's upstreams.
func (t *Tenant) Health() []UpstreamHealth { panic("unimplemented") }

// Routes lists what it serves, for people to read.
func (t *Tenant) Routes() []RouteInfo { panic("unimplemented") }

// UpstreamHealth is one upstream's servers.
type UpstreamHealth struct {
	Name    string                  `json:"name"`
	Servers []upstream.ServerHealth `json:"servers"`
}

// RouteInfo describes one route.
type RouteInfo struct {
	Method  string `json:"method"` // "*" for any
	Pattern string `json:"pattern"`
	Layer   string `json:"layer"`  // script|yaml|default
	Target  string `json:"target"` // "upstream search", "redirect ...", "respond 200", "lua shop/main.lua:14"
	File    string `json:"file"`
	Line    int    `json:"line"`
}

// State of a tenant's slot.
type State string

// The states; the values are those of the admin API.
const (
	Current State = "current"
	Stale   State = "stale"
	Invalid State = "invalid"
)

// Slot is a tenant's place in a generation.
type Slot struct {
	Name   string
	Tenant *Tenant // what serves; nil: Claims answer 503
	State  State
	Since  time.Time
	// Kept is the revision of a kept version, "" while current.
	Kept   string
	Claims []spec.Claim
	File   string // where the applied tree, or a kept version, defines it
	Line   int
	Err    string // why it is not current: the first diagnostic
}

// Generation is one routing table. Immutable.
type Generation struct{}

// NewGeneration indexes slots by their claims. Claims must not overlap between
// slots with a tenant; one without yields to one with.
func NewGeneration(number uint64, slots []*Slot) *Generation { panic("unimplemented") }

// Number counts generations from one.
func (g *Generation) Number() uint64 { panic("unimplemented") }

// Slots by name; not to be changed.
func (g *Generation) Slots() map[string]*Slot { panic("unimplemented") }

// Options of a Server.
type Options struct {
	TrustedProxies []netip.Prefix
	Timeouts       Timeouts
	// MaxHeaderSize and MaxURLSize bound what is read before a tenant is known.
	Limits    spec.RequestLimits
	AccessLog bool
	Metrics   *telemetry.Metrics
	Log       *slog.Logger
	// Drained is told of each retired tenant that closed, on the drainer's goroutine.
	Drained func(tenant string, took time.Duration, cut int)
}

// Timeouts of the listener.
type Timeouts struct {
	ReadHeader, Idle, BodyIdle, WriteIdle time.Duration
}

// Server serves generations.
type Server struct{}

// New makes a server without a generation: it answers 503.
func New(o Options) *Server { panic("unimplemented") }

// Swap publishes g as what revision says: one atomic store, cannot fail.
// Pools of new tenants start, those of tenants no longer named are handed to
// the drainer. One caller at a time.
func (s *Server) Swap(g *Generation, revision string) { panic("unimplemented") }

// Applied returns what serves now; nil and "" before the first Swap.
func (s *Server) Applied() (*Generation, string) { panic("unimplemented") }

// Draining counts retired tenants that still serve.
func (s *Server) Draining() int { panic("unimplemented") }

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { panic("unimplemented") }

// Run drains retired tenants until ctx is done, then cuts what is left.
func (s *Server) Run(ctx context.Context) error { panic("unimplemented") }

// Serve accepts on l until Shutdown. Returns nil after Shutdown.
func (s *Server) Serve(l net.Listener) error { panic("unimplemented") }

// Shutdown stops accepting, lets exchanges finish until ctx is done, then cuts
// them (tunnels at TCP) and returns how many it cut.
func (s *Server) Shutdown(ctx context.Context) (cut int, err error) { panic("unimplemented") }
