package lua

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	glua "github.com/yuin/gopher-lua"
)

// withDefaults fills in what is zero.
func (l Limits) withDefaults() Limits {
	l.Instructions = cmp.Or(l.Instructions, 1_000_000)
	l.LoadInstructions = cmp.Or(l.LoadInstructions, 10_000_000)
	l.Alloc = cmp.Or(l.Alloc, 16<<20)
	l.Timeout = cmp.Or(l.Timeout, 5*time.Second)
	l.LoadTimeout = cmp.Or(l.LoadTimeout, 2*time.Second)
	l.MaxStates = cmp.Or(l.MaxStates, 4*runtime.GOMAXPROCS(0))
	return l
}

// loadAlloc is what natives may make while loading, in bytes: registrations and
// tables that stay.
const loadAlloc = 16 << 20

// Program is a tenant's compiled scripts. Immutable, but for the state that
// Compile made, which the first pool takes over.
type Program struct {
	tenant    string
	entries   []string
	upstreams map[string]bool
	limits    Limits
	states    *States
	log       *slog.Logger
	files     map[string]file // read-only once compiled
	inputs    []Input
	outline   outline

	mu    sync.Mutex
	first *state

	// Only while compiling:
	source Source
	cache  *Cache
	size   int // bytes of all files
}

// file is one script that was looked for: its prototype, or why there is none.
type file struct {
	proto *glua.FunctionProto
	err   *Error
}

// Compile parses the scripts and runs them once in a fresh state to learn what
// they require and register. The error is a *Failure.
func Compile(ctx context.Context, o Options) (*Program, error) {
	p := &Program{
		tenant:    o.Tenant,
		entries:   slices.Clone(o.Scripts),
		upstreams: map[string]bool{},
		limits:    o.Limits.withDefaults(),
		states:    o.States,
		log:       o.Log,
		files:     map[string]file{},
		source:    o.Source,
		cache:     o.Cache,
	}
	for _, name := range o.Upstreams {
		p.upstreams[name] = true
	}
	if p.states == nil {
		p.states = NewStates(0)
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	failure := &Failure{}
	for _, path := range p.entries {
		if _, err := p.file(path); err != nil {
			failure.Errors = append(failure.Errors, err)
		}
	}
	if len(failure.Errors) == 0 {
		first, err := p.newLoaded(ctx)
		if err == nil {
			p.first, p.outline = first, first.registration.outline()
			p.source, p.cache = nil, nil
			return p, nil
		}
		failure.Errors = append(failure.Errors, err)
	}
	failure.Inputs = p.Inputs()
	return nil, failure
}

// file returns the prototype of a script. While compiling it looks for the
// file; afterwards it knows those seen then, and states that ask for others do
// not load.
func (p *Program) file(path string) (*glua.FunctionProto, *Error) {
	if f, ok := p.files[path]; ok {
		return f.proto, f.err
	}
	if p.source == nil {
		return nil, &Error{File: path, Msg: "was not required in the first state"}
	}
	data, hash, ok := p.source.Lookup(path)
	if !ok {
		hash = ""
	}
	p.inputs = append(p.inputs, Input{Path: path, Hash: hash})
	var f file
	switch p.size += len(data); {
	case !ok:
		f.err = &Error{File: path, Msg: "no such file"}
	case p.size > maxSources:
		f.err = &Error{File: path, Msg: fmt.Sprintf("the scripts of %s are over the limit of 2 MiB together", p.tenant)}
	default:
		f.proto, f.err = p.cache.proto(path, hash, data)
	}
	p.files[path] = f
	return f.proto, f.err
}

// newLoaded makes a state and runs the entry scripts in it, in order.
func (p *Program) newLoaded(ctx context.Context) (*state, *Error) {
	s := newState(p) //nolint:contextcheck // a state outlives the call that makes it; begin gives it the context
	s.budget.begin(ctx, p.limits.LoadInstructions, loadAlloc, p.limits.LoadTimeout)
	defer s.budget.end()
	for _, path := range p.entries {
		proto, err := p.file(path)
		if err == nil {
			err = s.run(ctx, s.L.NewFunctionFromProto(proto), nil)
		}
		if err != nil {
			located := *err
			located.File = cmp.Or(err.File, path)
			return nil, &located
		}
	}
	s.phase = serving
	return s, nil
}

// newAlike is newLoaded for a state that has to register as the first did.
func (p *Program) newAlike(ctx context.Context) (*state, *Error) {
	s, err := p.newLoaded(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.outline.differs(s.registration.outline()); err != nil {
		if err.File == "" && len(p.entries) > 0 {
			err.File = p.entries[0]
		}
		return nil, err
	}
	return s, nil
}

// Inputs are all files the program was made from, each name that was looked
// for and absent among them, sorted by path.
func (p *Program) Inputs() []Input {
	return slices.SortedFunc(slices.Values(p.inputs), func(a, b Input) int { return cmp.Compare(a.Path, b.Path) })
}

// Routes in order of registration. Not to be changed.
func (p *Program) Routes() []Route { return p.outline.routes }

// Use is the chain of the tenant-wide middleware, for routes that are not the
// script's. Not to be changed.
func (p *Program) Use() Chain { return p.outline.use }

// NotFound is the chain (Use first) of keystone.not_found, nil without one.
func (p *Program) NotFound() Chain { return p.outline.notFound }

// NewPool makes the pool and a second state in it, and refuses (*Failure) when
// the two states did not register alike. It takes over the state that Compile
// made; both count against the States from now on.
func (p *Program) NewPool(ctx context.Context) (*Pool, error) {
	p.mu.Lock()
	first := p.first
	p.first = nil
	p.mu.Unlock()

	pool := newPool(p)
	for i := range min(2, p.limits.MaxStates) {
		adopted := first
		if i > 0 {
			adopted = nil
		}
		s, err := pool.make(ctx, adopted)
		if err != nil {
			pool.Close()
			return nil, &Failure{Errors: []*Error{err}, Inputs: p.Inputs()}
		}
		pool.park(s)
	}
	if p.limits.MaxStates == 1 { // no room for the second: it is made, compared and let go
		if _, err := p.newAlike(ctx); err != nil {
			pool.Close()
			return nil, &Failure{Errors: []*Error{err}, Inputs: p.Inputs()}
		}
	}
	return pool, nil
}
