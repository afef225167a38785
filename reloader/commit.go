package reloader

import (
	"errors"
	"fmt"

	"keystone-gateway/repo"
	"keystone-gateway/spec"
)

// outcome of a built candidate, before anything is touched.
func (c *Candidate) outcome(p Policy, allowEmpty bool) (Result, error) {
	switch {
	case p.RejectInvalid && c.failing > 0:
		return Rejected, fmt.Errorf("%d tenants or files are invalid, and reload.on_invalid is reject", c.failing)
	case c.failing > 0 && len(c.taken) == 0 && c.removed == 0 && (c.changed > 0 || c.previous.rejected):
		return Rejected, errors.New("nothing of it could be taken: everything it changes is invalid")
	case c.removed > 0 && c.Tenants() == 0 && !allowEmpty && !p.AllowEmpty:
		return Rejected, errEmpty
	case c.same && c.previous.number > 0:
		return Unchanged, nil
	default:
		return Applied, nil
	}
}

var errEmpty = errors.New("it would take the last tenant away; set reload.allow_empty, or reload with -allow-empty, if that is meant")

// Policy says how changes are taken.
type Policy struct {
	RejectInvalid bool // a revision with anything invalid is refused whole
	AllowEmpty    bool // a revision may take the last tenant away
}

// commit makes a candidate serve, or not. It is the one point of no return:
// what comes before it can fail and has touched nothing, and it cannot fail.
func (r *Reloader) commit(o outcome) *Attempt {
	c := o.candidate
	result, err := c.outcome(r.o.Policy, o.job.allowEmpty)
	a := r.attemptOf(o, result)
	a.Revision, a.RevisionID = o.snapshot.Revision, o.snapshot.Revision.ID
	a.Diagnostics = errorsOf(c.Diagnostics())
	if err != nil {
		a.Stage, a.Err = "settle", err.Error()
	}

	c.next.number, c.next.revision = c.previous.number, c.previous.revision
	switch {
	case result == Rejected && (r.o.Policy.RejectInvalid || errors.Is(err, errEmpty)):
		// The revision counts as a whole: no tenant is any the worse for it.
		same := *c.previous
		same.failures = c.next.failures
		r.state = &same
		c.Discard()
		c.kept, c.refused, c.recovered = nil, nil, nil
	case result == Rejected:
		// Who serves does not change, but who is stale does.
		c.next.rejected = true
		r.publish(c)
	case result == Unchanged:
		c.next.revision = a.RevisionID
		r.publish(c)
	default:
		c.next.number, c.next.revision = c.previous.number+1, a.RevisionID
		r.publish(c)
	}
	a.Generation, a.Tenants = r.state.number, r.state.serving()
	a.TenantsChanged, a.TenantsKept = len(c.taken)+c.removed, len(r.state.stale())
	a.Took = r.o.Now().Sub(o.started)
	r.tell(a, c)
	return a
}

// refuse reports a revision whose tree cannot be taken at all.
func (r *Reloader) refuse(bad *repo.TreeError, o outcome) *Attempt {
	a := r.attemptOf(o, Rejected)
	a.Revision, a.RevisionID = bad.Revision, bad.Revision.ID
	for _, p := range bad.Problems {
		a.Diagnostics = append(a.Diagnostics, spec.Diagnostic{File: p.Path, Severity: spec.Error, Message: p.Reason})
	}
	r.refused = bad
	r.tell(a, &Candidate{})
	r.remember(a)
	return a
}

// attemptOf starts the record of an outcome.
func (r *Reloader) attemptOf(o outcome, result Result) *Attempt {
	a := &Attempt{
		Previous: r.state.revision, Trigger: o.job.trigger, Result: result, Generation: r.state.number,
		Tenants: r.state.serving(), TenantsKept: len(r.state.stale()), At: o.started, Took: r.o.Now().Sub(o.started),
	}
	if o.err != nil {
		a.Stage, a.Err = o.stage, o.err.Error()
	}
	return a
}

// publish swaps c in. An unchanged table is only given its new revision.
func (r *Reloader) publish(c *Candidate) {
	c.discardLosers()
	current, _ := r.o.Server.Applied()
	if current == nil || !c.same || current.Number() != c.next.number {
		current = c.generation(c.next.number, r.o.Now())
	}
	r.o.Server.Swap(current, c.next.revision)
	next := c.next
	r.state = &next
}

func errorsOf(all []spec.Diagnostic) []spec.Diagnostic {
	var errs []spec.Diagnostic
	for _, d := range all {
		if d.Severity == spec.Error {
			errs = append(errs, d)
		}
	}
	return errs
}
