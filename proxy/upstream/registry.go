package upstream

import (
	"context"
	"log/slog"
	"sync"

	"keystone-gateway/spec"
)

// Options of a Registry.
type Options struct {
	Policy Policy
	Log    *slog.Logger // nil: nothing is logged
	// Workers that probe at the same time; 0: 32.
	Workers int
}

// Registry owns endpoints: connections and probes, shared by all who name them.
// It is safe for concurrent use.
type Registry struct {
	dialer *dialer
	probes *scheduler

	// mu guards the maps and every endpoint's refs. The scheduler's and a
	// balancer's lock may be taken while it is held, never the other way round.
	mu        sync.Mutex
	endpoints map[address]*endpoint
	running   map[identity]*Pool // the pool started last of each identity
}

// NewRegistry makes one without endpoints and without goroutines.
func NewRegistry(o Options) *Registry {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Workers <= 0 {
		o.Workers = 32
	}
	d := newDialer(newGuard(o.Policy))
	return &Registry{
		dialer:    d,
		probes:    newScheduler(o.Workers, newChecker(d), o.Log),
		endpoints: make(map[address]*endpoint),
		running:   make(map[identity]*Pool),
	}
}

// Run probes until ctx is done, waits for the probes under way and returns nil.
// It is the only starter of goroutines here; what was asked for before it runs
// is probed when it does. One Run at a time.
func (r *Registry) Run(ctx context.Context) error {
	r.probes.run(ctx)
	return nil
}

// Close closes idle connections; busy ones end with their exchange. May be
// called twice.
func (r *Registry) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.endpoints {
		e.transport.CloseIdleConnections()
	}
	return nil
}

// Endpoints counts those that some pool holds.
func (r *Registry) Endpoints() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.endpoints)
}

// Probes counts the active checks that some pool holds.
func (r *Registry) Probes() int { return r.probes.len() }

// NewPool compiles u for tenant. It is inert: no dial, no probe, no reference
// on an endpoint until Start.
func (r *Registry) NewPool(tenant string, u *spec.Upstream) *Pool {
	return newPool(r, tenant, u)
}

// hold takes a reference on the endpoint at a. The caller holds mu.
func (r *Registry) hold(a address) *endpoint {
	e := r.endpoints[a]
	if e == nil {
		e = newEndpoint(a, r.dialer)
		r.endpoints[a] = e
	}
	e.refs++
	return e
}

// drop gives a reference back. The caller holds mu.
func (r *Registry) drop(e *endpoint) {
	e.refs--
	if e.refs == 0 {
		delete(r.endpoints, e.address)
		e.transport.CloseIdleConnections()
	}
}
