// Package upstream keeps the servers that requests are forwarded to: shared
// connections and probes, and per (tenant, upstream) balancing and failover.
package upstream

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"keystone-gateway/spec"
)

// Policy says which addresses may be dialled; judged on the address after DNS.
// The zero Policy allows all but the own listeners.
type Policy struct {
	Deny  []netip.Prefix
	Allow []netip.Prefix // wins over Deny
	// Own returns the addresses of the gateway's own listeners, always denied.
	Own func() []netip.AddrPort
}

// Options of a Registry.
type Options struct {
	Policy Policy
	Log    *slog.Logger
	// Workers that probe at the same time; 0: 32.
	Workers int
}

// Registry owns endpoints: connections and probes, shared by all who name them.
type Registry struct{}

// NewRegistry makes one without endpoints and without goroutines.
func NewRegistry(o Options) *Registry { panic("unimplemented") }

// Run probes until ctx is done.
func (r *Registry) Run(ctx context.Context) error { panic("unimplemented") }

// Close closes idle connections. May be called twice.
func (r *Registry) Close() error { panic("unimplemented") }

// Endpoints counts those that some pool holds.
func (r *Registry) Endpoints() int { panic("unimplemented") }

// NewPool compiles u for tenant. It is inert: no dial, no probe, no reference
// on an endpoint until Start.
func (r *Registry) NewPool(tenant string, u *spec.Upstream) *Pool { panic("unimplemented") }

// Pool is one tenant's view of one upstream.
type Pool struct{}

// Start takes references on the endpoints, starts probes, and adopts the
// balancing state of the running pool of the same tenant and name, if any.
func (p *Pool) Start() { panic("unimplemented") }

// Close gives the references back. May be called twice.
func (p *Pool) Close() { panic("unimplemented") }

// Name of the upstream.
func (p *Pool) Name() string { panic("unimplemented") }

// Trip carries what a caller may override and what it is told.
type Trip struct {
	Retries int           // tries after the first; -1: the upstream's
	Timeout time.Duration // until the response's head; 0: the default

	Server   string // out: the name of the server that answered or failed last
	Attempts int    // out: tries made
}

// RoundTrip picks a server, sends req (whose URL.Scheme and URL.Host it sets,
// and to whose path it prepends the server's) and returns the response's head.
// A 101 response's Body is an io.ReadWriteCloser. Before anything was sent, a
// failed connect is tried on another server. The error is an *Error.
func (p *Pool) RoundTrip(req *http.Request, trip *Trip) (*http.Response, error) {
	panic("unimplemented")
}

// Servers lists the servers' health, in the order written.
func (p *Pool) Servers() []ServerHealth { panic("unimplemented") }

// Healthy counts servers that may be picked.
func (p *Pool) Healthy() int { panic("unimplemented") }

// ServerHealth is what is known of one server.
type ServerHealth struct {
	Name    string    `json:"name"`
	URL     string    `json:"url"` // credentials masked
	Healthy bool      `json:"healthy"`
	Checked bool      `json:"checked"` // an active check exists
	Since   time.Time `json:"since"`   // of the last transition
	Err     string    `json:"last_error,omitempty"`
}

// Kind classifies a failed trip.
type Kind string

// The kinds; their values are the metric's result label.
const (
	KindNoServer Kind = "no_server" // 503
	KindConnect  Kind = "connect"   // 502: refused, reset while connecting, denied by policy
	KindProtocol Kind = "protocol"  // 502: broken or reset answer
	KindTimeout  Kind = "timeout"   // 504
	KindClient   Kind = "client"    // the client's body failed or it went away
)

// Error is a failed trip.
type Error struct {
	Kind   Kind
	Server string
	Err    error
}

func (e *Error) Error() string { return string(e.Kind) }
func (e *Error) Unwrap() error { return e.Err }
