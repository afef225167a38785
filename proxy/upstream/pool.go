package upstream

import (
	"slices"
	"sync/atomic"
	"time"

	"keystone-gateway/spec"
)

// identity names what balancing state belongs to, across versions of a tenant.
type identity struct{ tenant, upstream string }

// Pool is one tenant's view of one upstream: its servers, whose turn it is, and
// what is tried after a failure. It is safe for concurrent use.
type Pool struct {
	registry *Registry
	identity identity
	spec     *spec.Upstream
	retries  int // on another server, when connecting failed

	// serving is nil before Start and after Close. It is written under
	// Registry.mu.
	serving atomic.Pointer[serving]
	closed  bool // guarded by Registry.mu
}

// serving is what a pool holds between Start and Close.
type serving struct {
	balancer
	since time.Time
}

func newPool(r *Registry, tenant string, u *spec.Upstream) *Pool {
	p := &Pool{registry: r, identity: identity{tenant, u.Name}, spec: u}
	if slices.Contains(u.Retry.On, "connect") {
		p.retries = u.Retry.Attempts
	}
	return p
}

// Name of the upstream.
func (p *Pool) Name() string { return p.identity.upstream }

// Start takes references on the endpoints, starts probes, and adopts the
// balancing state of the running pool of the same tenant and name, if any. To
// keep connections and what probes know, start a new version before the old one
// is closed. A pool starts once.
func (p *Pool) Start() {
	r := p.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.closed || p.serving.Load() != nil {
		return
	}
	s := &serving{since: time.Now()}
	for i := range p.spec.Servers {
		server := &p.spec.Servers[i]
		m := &member{
			name:     server.Name,
			base:     server.Path,
			weight:   max(server.Weight, 1),
			endpoint: r.hold(addressOf(server)),
		}
		if c, ok := checkOf(p.spec, server); ok {
			m.probe = r.probes.hold(c)
		}
		s.members = append(s.members, m)
	}
	if old := r.running[p.identity]; old != nil {
		s.adopt(&old.serving.Load().balancer)
	}
	r.running[p.identity] = p
	p.serving.Store(s)
}

// Close gives the references back; an endpoint that nobody holds any more
// closes its idle connections. Trips under way are not cut, new ones find no
// server. May be called twice, and without Start.
func (p *Pool) Close() {
	r := p.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	p.closed = true
	s := p.serving.Swap(nil)
	if s == nil {
		return
	}
	for _, m := range s.members {
		r.drop(m.endpoint)
		if m.probe != nil {
			r.probes.drop(m.probe)
		}
	}
	if r.running[p.identity] == p {
		delete(r.running, p.identity)
	}
}

// Servers lists the servers' health, in the order written. Before Start and
// after Close it is what would be assumed.
func (p *Pool) Servers() []ServerHealth {
	s := p.serving.Load()
	list := make([]ServerHealth, len(p.spec.Servers))
	for i := range p.spec.Servers {
		server := &p.spec.Servers[i]
		c, checked := checkOf(p.spec, server)
		h := ServerHealth{
			Name:    server.Name,
			URL:     addressOf(server).String() + server.Path,
			Checked: checked,
			Healthy: !c.startDown,
		}
		if s != nil {
			h.Since = s.since
			if probe := s.members[i].probe; probe != nil {
				h.Healthy, h.Since, h.Err = probe.report()
			}
		}
		list[i] = h
	}
	return list
}

// Healthy counts servers that may be picked: none before Start and after Close.
func (p *Pool) Healthy() int {
	s := p.serving.Load()
	if s == nil {
		return 0
	}
	n := 0
	for _, m := range s.members {
		if m.up() {
			n++
		}
	}
	return n
}
