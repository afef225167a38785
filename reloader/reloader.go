// Package reloader turns what a source says into what the proxy serves.
package reloader

import (
	"context"
	"time"

	"keystone-gateway/repo"
	"keystone-gateway/spec"
)

// Result of an attempt; the values are the metric's label.
type Result string

// The results.
const (
	Applied   Result = "applied"
	Unchanged Result = "unchanged"
	Rejected  Result = "rejected"
	Failed    Result = "failed" // the source could not be read
)

// Attempt is one try to make a revision live. Immutable.
type Attempt struct {
	Revision       repo.Revision     `json:"-"`
	RevisionID     string            `json:"revision"`
	Previous       string            `json:"previous,omitempty"`
	Trigger        repo.Trigger      `json:"trigger"`
	Result         Result            `json:"result"`
	Stage          string            `json:"stage,omitempty"` // where it ended, when rejected or failed
	Err            string            `json:"error,omitempty"`
	Diagnostics    []spec.Diagnostic `json:"diagnostics,omitempty"`
	Generation     uint64            `json:"generation"`
	Tenants        int               `json:"tenants"`
	TenantsChanged int               `json:"tenants_changed"`
	TenantsKept    int               `json:"tenants_kept"`
	At             time.Time         `json:"at"`
	Took           time.Duration     `json:"-"`
}

// Status is what an operator asks first.
type Status struct {
	Head         string   // the last fetched revision, "" before
	Applied      string   // the revision that serves, "" before the first
	Generation   uint64
	TenantsStale []string // names, sorted
	Last         *Attempt // the last attempt, nil before
	SourceErr    string   // why the source cannot be read now, "" when it can
	Source       string   // described, credentials masked
}

// RevisionState answers "has this commit been applied?".
type RevisionState string

// The states of a revision; the values are those of /readyz.
const (
	RevisionApplied  RevisionState = "applied"
	RevisionPending  RevisionState = "pending"
	RevisionRejected RevisionState = "rejected"
	RevisionUnknown  RevisionState = "unknown"
)

// Reloader owns the one way from a source to the server.
type Reloader struct{}

// Status answers at once, whatever a source does.
func (r *Reloader) Status() Status { panic("unimplemented") }

// State says what became of a revision, 7 hex digits or more of it; an
// ancestor of the applied one counts as applied.
func (r *Reloader) State(id string) RevisionState { panic("unimplemented") }

// Reload asks for one attempt now and waits for its outcome or ctx. allowEmpty
// lets this attempt take the last tenant away.
func (r *Reloader) Reload(ctx context.Context, trigger repo.Trigger, allowEmpty bool) (*Attempt, error) {
	panic("unimplemented")
}
