package proxy

import "time"

// Swap publishes g as what revision says: one atomic store, cannot fail.
// Pools of new tenants start, those of tenants no longer named are handed to
// the drainer. One caller at a time.
func (s *Server) Swap(g *Generation, revision string) {
	before := s.live.Load().generation
	serving := make(map[*Tenant]bool)
	for t := range before.tenants {
		serving[t] = true
	}
	// New pools start before old ones close, so that what both name (an
	// endpoint's connections and probes) is never without an owner.
	for t := range g.tenants {
		if !serving[t] {
			s.start(t)
		}
		delete(serving, t)
	}
	s.live.Store(&live{generation: g, revision: revision})
	now := time.Now()
	for t := range serving {
		s.drain.retire(t, now)
	}
}

// Applied returns what serves now; nil and "" before the first Swap.
func (s *Server) Applied() (*Generation, string) {
	now := s.live.Load()
	return now.generation, now.revision
}

// Draining counts retired tenants that still serve.
func (s *Server) Draining() int { return s.drain.count() }

func (s *Server) start(t *Tenant) {
	s.mu.Lock()
	s.open[t] = struct{}{}
	s.versions[t.Name()]++
	s.mu.Unlock()
	t.start(s.closed)
}

// closed hears from each tenant that closed.
func (s *Server) closed(t *Tenant) {
	s.mu.Lock()
	delete(s.open, t)
	if s.versions[t.Name()]--; s.versions[t.Name()] == 0 {
		delete(s.versions, t.Name())
		s.o.Metrics.DropTenant(t.Name())
	}
	if len(s.open) == 0 {
		for _, idle := range s.idle {
			close(idle)
		}
		s.idle = nil
	}
	s.mu.Unlock()
	s.drain.closed(t)
}

// whenIdle returns a channel that is closed once no tenant is open.
func (s *Server) whenIdle() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	idle := make(chan struct{})
	if len(s.open) == 0 {
		close(idle)
	} else {
		s.idle = append(s.idle, idle)
	}
	return idle
}

// openTenants lists those that are started and not closed.
func (s *Server) openTenants() []*Tenant {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*Tenant, 0, len(s.open))
	for t := range s.open {
		list = append(list, t)
	}
	return list
}
