package reloader

import (
	"errors"

	"keystone-gateway/repo"
	"keystone-gateway/spec"
)

// eventsInFull is how many tenants of one kind a reload names one by one; more
// are counted.
const eventsInFull = 20

// tell logs and counts what became of a candidate.
func (r *Reloader) tell(a *Attempt, c *Candidate) {
	log := r.o.Log.With("revision", a.RevisionID, "trigger", string(a.Trigger))
	r.tellTenants(log.Warn, "tenant kept", c.kept)
	r.tellTenants(log.Warn, "tenant rejected", c.refused)
	r.tellTenants(log.Info, "tenant recovered", c.recovered)

	took := float64(a.Took.Microseconds()) / 1000
	switch a.Result {
	case Applied:
		log.Info("reload applied",
			"generation", a.Generation, "previous", a.Previous, "author", a.Revision.Author, "subject", a.Revision.Subject,
			"tenants", a.Tenants, "tenants_changed", a.TenantsChanged, "tenants_kept", a.TenantsKept, "took_ms", took)
	case Unchanged:
		log.Info("reload unchanged", "generation", a.Generation, "previous", a.Previous, "took_ms", took)
	default:
		log.Error("reload rejected", "stage", a.Stage, "err", a.Err, "diagnostics", texts(a.Diagnostics), "took_ms", took)
	}

	m := r.o.Metrics
	m.Reload(string(a.Result))
	m.Stage("total", a.Took)
	m.LastReload(a.Result != Rejected, r.o.Now())
	if a.Result != Rejected {
		m.Applied(r.state.revision, r.state.number)
	}
}

func (r *Reloader) tellTenants(say func(msg string, args ...any), event string, names []string) {
	if len(names) > eventsInFull {
		say(event, "count", len(names))
		return
	}
	for _, name := range names {
		slot := r.state.tenants[name].slot
		facts := []any{"tenant", name}
		if slot.Kept != "" {
			facts = append(facts, "since", slot.Kept)
		}
		if slot.Err != "" {
			facts = append(facts, "err", slot.Err)
		}
		say(event, facts...)
	}
}

// tellFailed reports an attempt that got no candidate. Polls that fail are told
// of once, by tellSource.
func (r *Reloader) tellFailed(a *Attempt, asked bool) {
	r.o.Metrics.Reload(string(Failed))
	r.o.Metrics.LastReload(false, r.o.Now())
	if asked {
		r.o.Log.Error("reload rejected", "revision", a.RevisionID, "trigger", string(a.Trigger), "stage", a.Stage, "err", a.Err)
	}
}

// tellSource reports a source's transitions between failing and not.
func (r *Reloader) tellSource(o outcome) {
	result := "ok"
	_, refused := errors.AsType[*repo.TreeError](o.err)
	switch {
	case refused: // the source is well, what it holds is not
	case o.stage == "fetch" && o.err != nil:
		result = "error"
	case o.snapshot == o.job.last:
		result = "unchanged"
	}
	r.o.Metrics.SourceSync(result, r.o.Now())

	s := r.Status()
	switch {
	case result == "error":
		s.SourceErr = o.err.Error()
		if !r.failing {
			r.o.Log.Error("source failing", "trigger", string(o.job.trigger), "source", s.Source, "err", s.SourceErr)
		}
	case r.failing:
		r.o.Log.Info("source recovered", "trigger", string(o.job.trigger), "source", s.Source)
		s.SourceErr = ""
	}
	r.failing = result == "error"
	r.status.Store(&s)
}

func texts(diagnostics []spec.Diagnostic) []string {
	out := make([]string, 0, min(len(diagnostics), eventsInFull))
	for _, d := range diagnostics[:min(len(diagnostics), eventsInFull)] {
		out = append(out, d.String())
	}
	return out
}
