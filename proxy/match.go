package proxy

import (
	"strings"

	"keystone-gateway/spec"
)

// index finds the slot that owns a host and a path. It is immutable. What a
// lookup costs depends on the labels of the host and the segments of the
// longest prefix, not on how many tenants there are.
type index struct {
	exact    map[string]*prefixes
	wildcard map[string]*prefixes // by what follows "*."
	anywhere *prefixes            // claims without a host; nil for none
}

// prefixes are the claims of one host.
type prefixes struct {
	byPath map[string]*Slot // "/a/b"
	depth  int              // segments of the longest
	root   *Slot            // all other paths; nil for none
}

// newIndex indexes slots, in an order that does not vary, by their claims.
func newIndex(slots []*Slot) index {
	x := index{exact: make(map[string]*prefixes), wildcard: make(map[string]*prefixes)}
	for _, slot := range slots {
		for _, claim := range slot.Claims {
			x.host(claim.Host).claim(claim, slot)
		}
	}
	return x
}

func (x *index) host(host string) *prefixes {
	if host == "" {
		if x.anywhere == nil {
			x.anywhere = &prefixes{}
		}
		return x.anywhere
	}
	table := x.exact
	if suffix, ok := strings.CutPrefix(host, "*."); ok {
		table, host = x.wildcard, suffix
	}
	p := table[host]
	if p == nil {
		p = &prefixes{}
		table[host] = p
	}
	return p
}

func (p *prefixes) claim(claim spec.Claim, slot *Slot) {
	if claim.Prefix == "" || claim.Prefix == "/" {
		p.root = stronger(p.root, slot)
		return
	}
	if p.byPath == nil {
		p.byPath = make(map[string]*Slot)
	}
	p.byPath[claim.Prefix] = stronger(p.byPath[claim.Prefix], slot)
	p.depth = max(p.depth, strings.Count(claim.Prefix, "/"))
}

// stronger of two slots that claim the same: the first, unless only the second
// has a tenant.
func stronger(first, second *Slot) *Slot {
	if first == nil || first.Tenant == nil && second.Tenant != nil {
		return second
	}
	return first
}

// match returns the slot for a canonical host and path, nil for none. Where no
// prefix of a host fits, the next less exact host is asked.
func (x *index) match(host, path string) *Slot {
	if slot := x.exact[host].match(path); slot != nil {
		return slot
	}
	for suffix := host; len(x.wildcard) > 0; {
		_, rest, ok := strings.Cut(suffix, ".")
		if !ok {
			break
		}
		if slot := x.wildcard[rest].match(path); slot != nil {
			return slot
		}
		suffix = rest
	}
	return x.anywhere.match(path)
}

// match returns the slot with the longest prefix of whole segments.
func (p *prefixes) match(path string) *Slot {
	if p == nil {
		return nil
	}
	found := p.root
	end := 0
	for range p.depth {
		if end >= len(path) {
			break
		}
		next := strings.IndexByte(path[end+1:], '/')
		if next < 0 {
			end = len(path)
		} else {
			end += 1 + next
		}
		if slot := p.byPath[path[:end]]; slot != nil {
			found = slot
		}
	}
	return found
}
