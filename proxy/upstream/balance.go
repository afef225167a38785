package upstream

import (
	"slices"
	"sync"
)

// member is one server of a started pool.
type member struct {
	name     string
	base     string // put before the request's path, as it goes on the wire
	weight   int
	endpoint *endpoint
	probe    *probe // nil without an active check

	current int // the server's credit; guarded by balancer.mu
}

// up reports whether the server may be picked.
func (m *member) up() bool { return m.probe == nil || m.probe.up.Load() }

// seat tells the servers of an upstream apart across versions of a tenant. The
// weight is no part of it: a new weight forgets nothing.
type seat struct {
	name    string
	address address
	base    string
}

func (m *member) seat() seat { return seat{m.name, m.endpoint.address, m.base} }

// balancer deals requests out by smooth weighted round robin: each turn every
// server earns its weight, the richest is picked and pays what all earned. The
// picks of a heavy server are spread, not bunched.
type balancer struct {
	members []*member // immutable

	mu sync.Mutex // guards each member's current; nothing is called while it is held
}

// pick returns a healthy member that is not among tried, nil if there is none.
func (b *balancer) pick(tried []*member) *member {
	if len(b.members) == 1 {
		if only := b.members[0]; len(tried) == 0 && only.up() {
			return only
		}
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var best *member
	total := 0
	for _, m := range b.members {
		if !m.up() || slices.Contains(tried, m) {
			continue
		}
		total += m.weight
		m.current += m.weight
		if best == nil || m.current > best.current {
			best = m
		}
	}
	if best != nil {
		best.current -= total
	}
	return best
}

// adopt goes on where old is, for the servers that both have. Credit beyond one
// round at the new weights is forgiven: it would starve a server, or flood it.
func (b *balancer) adopt(old *balancer) {
	credit := old.credit()
	b.mu.Lock()
	defer b.mu.Unlock()
	total := 0
	for _, m := range b.members {
		total += m.weight
	}
	for _, m := range b.members {
		m.current = min(max(credit[m.seat()], -total), total)
	}
}

func (b *balancer) credit() map[seat]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	credit := make(map[seat]int, len(b.members))
	for _, m := range b.members {
		credit[m.seat()] = m.current
	}
	return credit
}
