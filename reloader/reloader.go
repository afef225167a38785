// Package reloader turns what a source says into what the proxy serves.
//
// One goroutine, [Reloader.Run], selects and decides; a worker fetches and
// builds for it. [Build] takes a tree through load, compile and settle without
// touching anything that serves; what it gives is then swapped in by one step
// that cannot fail, or discarded.
//
//	nudge, ask -> Source.Fetch -> spec.Load -> Builder.Build -> settle -> Server.Swap
//
// The package knows nothing of where trees come from, what Lua is or how a
// request is routed.
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

// Reload asks for one attempt now and waits for its outcome, or ctx. allowEmpty
// lets this attempt take the last tenant away.
func (r *Reloader) Reload(ctx context.Context, trigger repo.Trigger, allowEmpty bool) (*Attempt, error) {
	answer := make(chan *Attempt, 1)
	select {
	case r.asks <- ask{trigger: trigger, allowEmpty: allowEmpty, answer: answer}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-r.done:
		return nil, errStopped
	}
	select {
	case a := <-answer:
		return a, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-r.done:
		return nil, errStopped
	}
}

// Ask asks for one attempt and does not wait for it.
func (r *Reloader) Ask(trigger repo.Trigger) {
	select {
	case r.asks <- ask{trigger: trigger}:
	case <-r.done:
	}
}
