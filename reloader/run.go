package reloader

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"keystone-gateway/internal/telemetry"
	"keystone-gateway/proxy"
	"keystone-gateway/repo"
	"keystone-gateway/spec"
)

// Options of a Reloader. All but Metrics and Now are needed.
type Options struct {
	Source  repo.Source
	Builder *proxy.Builder
	Server  *proxy.Server
	// Input says where in a snapshot tenants and scripts lie, and what settings
	// reach them; its FS and Hashes are filled in for each snapshot.
	Input   spec.Input
	Policy  Policy
	Metrics *telemetry.Metrics
	Log     *slog.Logger
	Now     func() time.Time
}

// Reloader owns the one way from a source to the server.
type Reloader struct {
	o      Options
	nudges chan repo.Trigger // holds one: a nudge carries nothing, so one is all
	asks   chan ask
	status atomic.Pointer[Status]

	// What follows belongs to Run's goroutine alone.
	state   *State
	last    *repo.Snapshot // the last one that was looked at
	recent  []revisionResult
	failing bool            // the source, at the last fetch
	refused *repo.TreeError // why the last tree could not even be read, nil if it could

	seen atomic.Pointer[[]revisionResult]
	done chan struct{} // closed when Run has returned
}

// New makes a reloader; Run makes it work.
func New(o Options) *Reloader {
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &Reloader{
		o:      o,
		nudges: make(chan repo.Trigger, 1),
		asks:   make(chan ask),
		state:  &State{},
		done:   make(chan struct{}),
	}
	r.status.Store(&Status{Source: o.Source.String()})
	r.seen.Store(&[]revisionResult{})
	return r
}

// ask is somebody who waits for the outcome of an attempt that starts after it.
type ask struct {
	trigger    repo.Trigger
	allowEmpty bool
	answer     chan<- *Attempt // holds one
}

// job is one attempt to make.
type job struct {
	trigger    repo.Trigger
	asked      bool // by somebody: tried in full and logged whatever comes of it
	allowEmpty bool
	answers    []chan<- *Attempt
	state      *State // what serves; the worker only reads it
	last       *repo.Snapshot
}

func (j *job) merge(trigger repo.Trigger, a *ask) {
	if j.trigger == "" || a != nil {
		j.trigger = trigger
	}
	if a != nil {
		j.asked = true
		j.allowEmpty = j.allowEmpty || a.allowEmpty
		if a.answer != nil {
			j.answers = append(j.answers, a.answer)
		}
	}
}

// outcome is what the worker brings back: a candidate, or why there is none.
type outcome struct {
	job       job
	started   time.Time
	snapshot  *repo.Snapshot
	candidate *Candidate // nil when err is set or nothing changed
	stage     string
	err       error
}

// Run watches the source until ctx is done. It starts two goroutines and waits
// for both: the source's watcher, and the worker that fetches and builds, so
// that this one always answers. May be called once.
func (r *Reloader) Run(ctx context.Context) error {
	defer close(r.done)
	ctx, cancel := context.WithCancel(ctx)
	jobs := make(chan job)
	outcomes := make(chan outcome)
	var wait sync.WaitGroup
	wait.Go(func() {
		err := r.o.Source.Watch(ctx, r.nudge)
		if err != nil && ctx.Err() == nil {
			r.o.Log.Error("source watcher ended", "err", err.Error())
		}
	})
	wait.Go(func() {
		for j := range jobs {
			outcomes <- r.attempt(ctx, j)
		}
	})

	pending := &job{trigger: repo.TriggerStart, asked: true}
	busy := false
	for ctx.Err() == nil {
		if pending != nil && !busy {
			pending.state, pending.last = r.state, r.last
			jobs <- *pending
			pending, busy = nil, true
		}
		select {
		case t := <-r.nudges:
			pending = merged(pending, t, nil)
		case a := <-r.asks:
			pending = merged(pending, a.trigger, &a)
		case o := <-outcomes:
			busy = false
			r.decide(ctx, o)
		case <-ctx.Done():
		}
	}
	cancel()
	close(jobs)
	if busy {
		if o := <-outcomes; o.candidate != nil {
			o.candidate.Discard()
		}
	}
	wait.Wait()
	return ctx.Err()
}

func merged(j *job, t repo.Trigger, a *ask) *job {
	if j == nil {
		j = &job{}
	}
	j.merge(t, a)
	return j
}

func (r *Reloader) nudge(t repo.Trigger) {
	select {
	case r.nudges <- t:
	default:
	}
}

// attempt fetches and builds. It runs on the worker, and touches nothing that
// serves.
func (r *Reloader) attempt(ctx context.Context, j job) outcome {
	o := outcome{job: j, started: r.o.Now(), stage: "fetch"}
	if j.asked {
		r.o.Log.Info("reload started", "trigger", string(j.trigger), "revision", j.state.revision)
	}
	o.snapshot, o.err = r.o.Source.Fetch(ctx)
	r.o.Metrics.Stage("fetch", r.o.Now().Sub(o.started))
	if o.err != nil {
		return o
	}
	if o.snapshot == j.last && !j.asked {
		return o // a nudge, and nothing new
	}
	if !j.asked {
		r.o.Log.Info("reload started", "trigger", string(j.trigger), "revision", o.snapshot.Revision.ID)
	}
	o.stage = "build"
	in := r.o.Input
	in.FS, in.Hashes, in.Refused = o.snapshot.FS, o.snapshot.Hashes, o.snapshot.Refused
	built := r.o.Now()
	o.candidate, o.err = Build(ctx, r.o.Builder, &in, j.state, j.asked)
	r.o.Metrics.Stage("build", r.o.Now().Sub(built))
	return o
}

// decide is where an outcome becomes what serves. It runs on Run's goroutine.
func (r *Reloader) decide(ctx context.Context, o outcome) {
	if ctx.Err() != nil { // shutting down: not the source's fault
		if o.candidate != nil {
			o.candidate.Discard()
		}
		return
	}
	r.tellSource(o)
	bad, refused := errors.AsType[*repo.TreeError](o.err)
	var a *Attempt
	switch {
	case o.err == nil && o.candidate == nil:
		return
	case refused && bad == r.refused && !o.job.asked:
		return // the source still has what was refused
	case refused:
		a = r.refuse(bad, o)
	case o.err != nil:
		a = r.attemptOf(o, Failed)
		a.RevisionID = r.state.revision
		r.tellFailed(a, o.job.asked)
	default:
		swapping := r.o.Now()
		a = r.commit(o)
		r.o.Metrics.Stage("swap", r.o.Now().Sub(swapping))
		r.last, r.refused = o.snapshot, nil
		r.remember(a)
	}
	r.report(a)
	for _, answer := range o.job.answers {
		answer <- a
	}
}

// errStopped answers those who still wait when Run ends.
var errStopped = errors.New("the gateway is shutting down")
