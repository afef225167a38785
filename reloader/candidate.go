package reloader

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"keystone-gateway/proxy"
	"keystone-gateway/spec"
)

// State is what serves, as the reloader knows it. Immutable.
type State struct {
	spec     *spec.Gateway // the last tree that was looked at, applied or not
	tenants  map[string]*served
	failures map[string]*failure
	// rejected: that tree was, so the same tree will be.
	rejected bool
	revision string // that serves
	number   uint64 // of the generation
}

// served is one tenant as it stands: what serves of it (tenant nil: nothing),
// and why it is not what the tree says.
type served struct {
	version
	slot   *proxy.Slot
	orphan bool
	// wish identifies what the tree said of it when it was last looked at.
	wish string
}

// Candidate is a revision that was built and settled, and serves nothing yet.
type Candidate struct {
	previous *State
	next     State
	offers   map[string]*version
	fresh    []*proxy.Tenant // built for this candidate
	found    []spec.Diagnostic

	taken, kept, refused, recovered []string // names; kept, refused and recovered on transitions

	changed int  // tenants and files that the tree says something else of
	removed int  // tenants that served and are gone
	failing int  // tenants and files that cannot go live as written
	same    bool // every slot is the one that serves
	sorted  bool
}

// Diagnostics of the whole tree, sorted by file and line.
func (c *Candidate) Diagnostics() []spec.Diagnostic {
	if !c.sorted {
		spec.Sort(c.found)
		c.sorted = true
	}
	return c.found
}

// Tenants counts those that would serve.
func (c *Candidate) Tenants() int {
	n := 0
	for _, s := range c.next.tenants {
		if s.tenant != nil {
			n++
		}
	}
	return n
}

// Invalid counts tenants and files of the tree that cannot go live as written.
func (c *Candidate) Invalid() int { return c.failing }

// Routes lists each tenant's routes, for people to read.
func (c *Candidate) Routes() map[string][]proxy.RouteInfo {
	routes := make(map[string][]proxy.RouteInfo, len(c.offers))
	for name, v := range c.offers {
		routes[name] = v.tenant.Routes()
	}
	return routes
}

// Discard closes what was built. The candidate must not be used afterwards.
func (c *Candidate) Discard() {
	for _, t := range c.fresh {
		t.Discard()
	}
	c.fresh = nil
}

// discardLosers closes what was built and is not to serve.
func (c *Candidate) discardLosers() {
	for _, t := range c.fresh {
		if s := c.next.tenants[t.Name()]; s == nil || s.tenant != t {
			t.Discard()
		}
	}
	c.fresh = nil
}

// settle asks who owns what, and turns the answer into slots.
func (c *Candidate) settle() {
	gateway := c.next.spec
	next := tree{
		wishes: make(map[string]wish, len(gateway.Tenants)+len(gateway.Failed)),
		files:  make(map[string]fileState, len(gateway.Files)),
	}
	for name, t := range gateway.Tenants {
		next.wishes[name] = wish{claims: t.Claims(), ok: c.offers[name] != nil}
	}
	for name, f := range gateway.Failed {
		next.wishes[name] = wish{claims: f.Claims}
	}
	for name, f := range gateway.Files {
		changed := true
		if c.previous.spec != nil {
			before := c.previous.spec.Files[name]
			changed = before == nil || before.Hash != f.Hash
		}
		next.files[name] = fileState{broken: f.Broken, changed: changed}
		if f.Broken {
			c.failing++
			if changed {
				c.changed++
			}
		}
	}
	now := make(map[string]hold, len(c.previous.tenants))
	for name, s := range c.previous.tenants {
		if s.tenant != nil {
			now[name] = hold{claims: s.spec.Claims(), file: s.slot.File, orphan: s.orphan}
		}
	}

	verdicts := settle(next, now)
	c.same = true
	for _, name := range slices.Sorted(maps.Keys(verdicts)) {
		c.place(name, verdicts[name])
	}
	for name, s := range c.previous.tenants {
		if _, stays := c.next.tenants[name]; stays {
			continue
		}
		c.same = false
		if s.tenant != nil {
			c.removed++
		}
	}
}

// place gives one tenant its slot in the next state.
func (c *Candidate) place(name string, v verdict) {
	if v.choice == gone {
		return
	}
	before := c.previous.tenants[name]
	s := &served{wish: c.wishOf(name)}
	slot := &proxy.Slot{Name: name}
	switch v.choice {
	case takeNew:
		s.version = *c.offers[name]
		slot.State = proxy.Current
		slot.File, slot.Line = s.spec.File, s.spec.Place.Line
	case keepOld:
		s.version = before.version
		s.orphan = v.reason == fileVanished
		slot.State = proxy.Stale
		slot.File, slot.Line = before.slot.File, before.slot.Line
		slot.Kept = before.slot.Kept
		if before.slot.State == proxy.Current {
			slot.Kept = c.previous.revision
		}
	case out:
		slot.State = proxy.Invalid
		slot.File, slot.Line = c.placeOf(name)
	}
	slot.Tenant = s.tenant
	if s.tenant != nil {
		slot.Claims = s.spec.Claims()
	} else {
		slot.Claims = c.claimsOf(name)
	}
	if v.choice != takeNew {
		slot.Err = c.explain(name, v)
		c.failing++
	}
	s.slot = slot
	c.account(name, s, before)
	c.next.tenants[name] = s
}

// account compares a tenant with what it was, and keeps the old slot where
// nothing changed, so that it stays the same object.
func (c *Candidate) account(name string, s, before *served) {
	if before == nil || before.wish != s.wish {
		c.changed++
		if s.slot.State == proxy.Current {
			c.taken = append(c.taken, name)
		}
	}
	was := proxy.State("")
	if before != nil {
		was = before.slot.State
	}
	switch {
	case s.slot.State == proxy.Stale && was != proxy.Stale:
		c.kept = append(c.kept, name)
	case s.slot.State == proxy.Invalid && was != proxy.Invalid:
		c.refused = append(c.refused, name)
	case s.slot.State == proxy.Current && (was == proxy.Stale || was == proxy.Invalid):
		c.recovered = append(c.recovered, name)
		if before.wish == s.wish { // it got its host, or was tried again
			c.changed++
			c.taken = append(c.taken, name)
		}
	}
	if before != nil && sameSlot(before.slot, s.slot) {
		s.slot = before.slot
		return
	}
	c.same = false
	if before != nil && was == s.slot.State && before.tenant == s.tenant {
		s.slot.Since = before.slot.Since
	}
}

func sameSlot(a, b *proxy.Slot) bool {
	return a.Tenant == b.Tenant && a.State == b.State && a.Kept == b.Kept && a.File == b.File &&
		a.Line == b.Line && a.Err == b.Err && slices.Equal(a.Claims, b.Claims)
}

// wishOf identifies what the tree says of a tenant: the same string, the same
// wish. What did not load is identified by its file, as no more is known of it.
func (c *Candidate) wishOf(name string) string {
	gateway, before := c.next.spec, c.previous.tenants[name]
	if v := c.offers[name]; v != nil {
		if before != nil && before.tenant == v.tenant && before.slot.State == proxy.Current {
			return before.wish
		}
		return v.identity()
	}
	if f := c.next.failures[name]; f != nil {
		return f.identity()
	}
	if f := gateway.Failed[name]; f != nil {
		return "failed " + f.File + " " + gateway.Files[f.File].Hash
	}
	if f := gateway.Files[before.slot.File]; f != nil {
		return "unreadable " + f.Path + " " + f.Hash
	}
	return "absent"
}

func (c *Candidate) claimsOf(name string) []spec.Claim {
	if t := c.next.spec.Tenants[name]; t != nil {
		return t.Claims()
	}
	return c.next.spec.Failed[name].Claims
}

func (c *Candidate) placeOf(name string) (file string, line int) {
	if t := c.next.spec.Tenants[name]; t != nil {
		return t.File, t.Place.Line
	}
	if f := c.next.spec.Failed[name]; f != nil {
		return f.File, f.Place.Line
	}
	return "", 0
}

// explain says why a tenant is not what the tree says, and adds the diagnostics
// that only settling could find.
func (c *Candidate) explain(name string, v verdict) string {
	switch v.reason {
	case lostClaim:
		t := c.next.spec.Tenants[name]
		d := spec.Diagnostic{
			File: t.File, Line: t.Place.Line, Column: t.Place.Column, Severity: spec.Error, Tenant: name,
			Message: fmt.Sprintf("tenant %q: %s is already served by tenant %q%s", name, claimText(v.claim), v.other, c.whereText(v.other)),
			Hint:    "one (host, path_prefix) belongs to one tenant: change one of the two",
		}
		if _, contested := c.next.spec.Tenants[v.other]; contested && c.previous.tenants[v.other] == nil {
			d.Message = fmt.Sprintf("tenant %q: %s is claimed by tenant %q%s as well", name, claimText(v.claim), v.other, c.whereText(v.other))
		}
		c.found = append(c.found, d)
		c.tellHolder(name, v)
		return d.String()
	case fileBroken:
		file := c.previous.tenants[name].slot.File
		for _, d := range c.found {
			if d.File == file && d.Severity == spec.Error {
				return d.String()
			}
		}
		return file + ": the file could not be parsed"
	case fileVanished:
		return "its file is gone while another file of the same revision could not be parsed"
	case heirFailed:
		return fmt.Sprintf("it was removed, but tenant %q, which takes %s over, could not go live", v.other, claimText(v.claim))
	default:
		for _, d := range c.diagnosticsOf(name) {
			if d.Severity == spec.Error {
				return d.String()
			}
		}
		return "it could not be loaded"
	}
}

// tellHolder adds the other side of a lost claim: the winner's diagnostic names
// the loser, unless the winner lost to it as well and so has one of its own.
func (c *Candidate) tellHolder(loser string, v verdict) {
	file, line := c.placeOf(v.other)
	if before := c.previous.tenants[v.other]; file == "" && before != nil {
		file, line = before.slot.File, before.slot.Line
	}
	if c.previous.tenants[v.other] == nil || file == "" {
		return
	}
	c.found = append(c.found, spec.Diagnostic{
		File: file, Line: line, Severity: spec.Warning, Tenant: v.other,
		Message: fmt.Sprintf("tenant %q: %s, which it serves, is claimed by tenant %q%s too", v.other, claimText(v.claim), loser, c.whereText(loser)),
	})
}

func (c *Candidate) whereText(name string) string {
	file, line := c.placeOf(name)
	if file == "" {
		return ""
	}
	return fmt.Sprintf(" (%s:%d)", file, line)
}

func (c *Candidate) diagnosticsOf(name string) []spec.Diagnostic {
	if f := c.next.failures[name]; f != nil {
		return f.found
	}
	if f := c.next.spec.Failed[name]; f != nil {
		return f.Diagnostics
	}
	return nil
}

func claimText(c spec.Claim) string {
	switch {
	case c.Host == "":
		return fmt.Sprintf("path_prefix %q", c.Prefix)
	case c.Prefix == "":
		return fmt.Sprintf("domain %q", c.Host)
	default:
		return fmt.Sprintf("domain %q with path_prefix %q", c.Host, c.Prefix)
	}
}

// generation assembles the routing table of c. since is when it goes live.
func (c *Candidate) generation(number uint64, since time.Time) *proxy.Generation {
	slots := make([]*proxy.Slot, 0, len(c.next.tenants))
	for _, s := range c.next.tenants {
		if s.slot.Since.IsZero() {
			s.slot.Since = since
		}
		slots = append(slots, s.slot)
	}
	return proxy.NewGeneration(number, slots)
}
