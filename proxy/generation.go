package proxy

import (
	"cmp"
	"slices"
	"time"

	"keystone-gateway/spec"
)

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
type Generation struct {
	number uint64
	slots  map[string]*Slot
	index  index
}

// NewGeneration indexes slots by their claims. Claims must not overlap between
// slots with a tenant; one without yields to one with.
func NewGeneration(number uint64, slots []*Slot) *Generation {
	sorted := slices.SortedFunc(slices.Values(slots), func(a, b *Slot) int { return cmp.Compare(a.Name, b.Name) })
	g := &Generation{number: number, slots: make(map[string]*Slot, len(slots)), index: newIndex(sorted)}
	for _, slot := range sorted {
		g.slots[slot.Name] = slot
	}
	return g
}

// Number counts generations from one.
func (g *Generation) Number() uint64 { return g.number }

// Slots by name; not to be changed.
func (g *Generation) Slots() map[string]*Slot { return g.slots }

// tenants calls yield for each tenant that serves in g; g may be nil.
func (g *Generation) tenants(yield func(*Tenant) bool) {
	if g == nil {
		return
	}
	for _, slot := range g.slots {
		if slot.Tenant != nil && !yield(slot.Tenant) {
			return
		}
	}
}
