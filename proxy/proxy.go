// Package proxy turns tenants into a table of routes and serves it.
//
// A Builder compiles a spec.Tenant into a Tenant: its routes, its scripts, its
// upstreams. Nothing of that is seen from outside until a Generation that
// holds it is swapped in:
//
//	tenant, wrong := builder.Build(ctx, t, input)
//	server.Swap(proxy.NewGeneration(1, []*proxy.Slot{{Name: t.Name, Tenant: tenant, State: proxy.Current, Claims: t.Claims()}}), revision)
//
// A request then takes one way, each step in a file of its name: its target
// and headers are made canonical (canonical.go, headers.go), or it is refused;
// the generation's index finds the slot that owns its host and path (match.go)
// and the tenant is leased (lease.go); the tenant's router finds the route
// (router.go); scripts decide (script.go); the route's end answers or forwards
// (forward.go, tunnel.go). The Exchange carries what is known of the request
// all the way and is its context.
//
// A tenant that a swap takes out of the table goes on serving the requests
// that lease it. The last of them closes it; those that run longer than its
// drain_timeout are ended (drain.go).
package proxy

import (
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"keystone-gateway/internal/telemetry"
	"keystone-gateway/spec"
)

// Options of a Server.
type Options struct {
	TrustedProxies []netip.Prefix
	Timeouts       Timeouts
	// MaxHeaderSize and MaxURLSize bound what is read before a tenant is known.
	Limits    spec.RequestLimits
	AccessLog bool
	Metrics   *telemetry.Metrics
	Log       *slog.Logger // nil: nothing is logged
	// Drained is told of each retired tenant that closed, on the drainer's goroutine.
	Drained func(tenant string, took time.Duration, cut int)
}

// Timeouts of the listener. A zero Idle is ReadHeader; any other zero is none.
type Timeouts struct {
	ReadHeader, Idle, BodyIdle, WriteIdle time.Duration
}

// Server serves generations.
type Server struct {
	o          Options
	trust      trust
	http       *http.Server
	live       atomic.Pointer[live] // never nil
	untenanted *telemetry.Tenant
	buffers    sync.Pool // of *[copyBuffer]byte
	silent     sync.Map  // net.Conn -> nothing: connections that never sent a byte

	// mu guards the three below. No lease is locked while it is held.
	mu       sync.Mutex
	open     map[*Tenant]struct{} // started and not closed
	versions map[string]int       // those of open, by name: the last to go takes the metrics along
	idle     []chan struct{}      // closed when open becomes empty

	drain drain
}

// live is what serves: one pointer, so that nobody sees a generation with
// another's revision.
type live struct {
	generation *Generation // nil: none yet, or none any more
	revision   string
}

// New makes a server without a generation: it answers 503.
func New(o Options) *Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		o: o, trust: o.TrustedProxies, untenanted: o.Metrics.Tenant(noTenant),
		open: make(map[*Tenant]struct{}), versions: make(map[string]int), drain: newDrain(o.Drained),
	}
	s.live.Store(&live{})
	s.http = s.newHTTPServer()
	return s
}
