package reloader

import (
	"maps"
	"slices"
	"strings"

	"keystone-gateway/proxy"
)

// Status is what an operator asks first.
type Status struct {
	Head         string // the last fetched revision, "" before
	Applied      string // the revision that serves, "" before the first
	Generation   uint64
	TenantsStale []string // names, sorted
	Last         *Attempt // the last attempt, nil before
	SourceErr    string   // why the source cannot be read now, "" when it can
	Source       string   // described, credentials masked
}

// Status answers at once, whatever a source does.
func (r *Reloader) Status() Status { return *r.status.Load() }

// RevisionState answers "has this commit been applied?".
type RevisionState string

// The states of a revision; the values are those of /readyz.
const (
	RevisionApplied  RevisionState = "applied"
	RevisionPending  RevisionState = "pending"
	RevisionRejected RevisionState = "rejected"
	RevisionUnknown  RevisionState = "unknown"
)

// revisionResult is what became of one revision.
type revisionResult struct {
	id     string
	result Result
}

// remembered bounds how many revisions State knows by themselves; of older ones
// it knows what their descendants tell.
const remembered = 256

// remember notes what became of a revision; the newest is last, and counts.
func (r *Reloader) remember(a *Attempt) {
	recent := slices.DeleteFunc(slices.Clone(r.recent), func(x revisionResult) bool { return x.id == a.RevisionID })
	recent = append(recent, revisionResult{id: a.RevisionID, result: a.Result})
	if len(recent) > remembered {
		recent = recent[len(recent)-remembered:]
	}
	r.recent = recent
	r.seen.Store(&recent)
}

// State says what became of a revision, of which id is the whole or the first
// 7 hex digits or more. One that was never built counts as what became of the
// head that contains it.
func (r *Reloader) State(id string) RevisionState {
	status := r.Status()
	for _, x := range slices.Backward(*r.seen.Load()) {
		if !strings.HasPrefix(x.id, id) {
			continue
		}
		if x.result == Rejected {
			return RevisionRejected
		}
		return RevisionApplied
	}
	switch {
	case !r.o.Source.Contains(id):
		return RevisionUnknown
	case status.Head == status.Applied:
		return RevisionApplied
	case status.Last != nil && status.Last.Result == Rejected:
		return RevisionRejected
	default:
		return RevisionPending
	}
}

// report publishes the status after an attempt.
func (r *Reloader) report(a *Attempt) {
	s := r.Status()
	s.Last = a
	s.Applied, s.Generation, s.TenantsStale = r.state.revision, r.state.number, r.state.stale()
	if a.Result != Failed {
		s.Head = a.RevisionID
	}
	r.status.Store(&s)
}

// serving counts the tenants that serve.
func (s *State) serving() int {
	n := 0
	for _, t := range s.tenants {
		if t.tenant != nil {
			n++
		}
	}
	return n
}

// stale names the tenants that are kept on an older version, sorted.
func (s *State) stale() []string {
	names := []string{}
	for _, name := range slices.Sorted(maps.Keys(s.tenants)) {
		if s.tenants[name].slot.State == proxy.Stale {
			names = append(names, name)
		}
	}
	return names
}
