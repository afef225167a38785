package proxy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"slices"

	"keystone-gateway/internal/telemetry"
	"keystone-gateway/lua"
	"keystone-gateway/proxy/upstream"
	"keystone-gateway/spec"
)

// BuilderOptions are what all tenants share.
type BuilderOptions struct {
	Registry *upstream.Registry
	Cache    *lua.Cache
	States   *lua.States
	// MaxStates of one tenant's pool; 0: lua's default.
	MaxStates int
	Metrics   *telemetry.Metrics
	Log       *slog.Logger // nil: nothing is logged
}

// Builder makes tenants from specs. Safe for concurrent use.
type Builder struct{ o BuilderOptions }

// NewBuilder makes one.
func NewBuilder(o BuilderOptions) *Builder {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Builder{o: o}
}

// BuildError is why a tenant could not be built, and the script files that
// were looked at until then: while they and the spec are the same it would
// fail again.
type BuildError struct {
	Diagnostics []spec.Diagnostic
	Inputs      []lua.Input
	// Transient: nothing is wrong with the tenant, but what it takes to build
	// it could not be had in time. The same content may well build later.
	Transient bool
}

func (e *BuildError) Error() string {
	if len(e.Diagnostics) == 0 {
		return "the tenant cannot be built"
	}
	text := e.Diagnostics[0].String()
	if more := len(e.Diagnostics) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return text
}

// Build compiles t from the files of in. It is inert: nothing is dialled,
// probed or counted before the tenant is part of a swapped generation. On
// failure it returns a nil tenant, and what is wrong.
func (b *Builder) Build(ctx context.Context, t *spec.Tenant, in *spec.Input) (*Tenant, *BuildError) {
	tenant := &Tenant{spec: t, metrics: b.o.Metrics, upstreams: make(map[string]*upstream.Pool, len(t.Upstreams)), lease: newLease()}
	program, failure := b.compile(ctx, t, in)
	if failure != nil {
		return nil, failure
	}
	if program != nil {
		tenant.inputs = program.Inputs()
	}
	for name, u := range t.Upstreams {
		tenant.upstreams[name] = b.o.Registry.NewPool(t.Name, u)
	}
	router, wrong := tenant.newRouter(program, in.Scripts)
	if len(wrong) > 0 {
		spec.Sort(wrong)
		return nil, &BuildError{Diagnostics: wrong, Inputs: tenant.inputs}
	}
	tenant.router = router
	tenant.entry = around(nil)
	if program != nil {
		// Last, because it is dear: a second state, which must register alike.
		scripts, err := program.NewPool(ctx)
		if err != nil {
			return nil, scriptsFailed(t, in, err)
		}
		tenant.scripts = scripts
	}
	return tenant, nil
}

// around puts middleware, outermost first, around dispatch. It returns nil for
// no middleware.
func around(middleware []func(http.Handler) http.Handler) http.Handler {
	if len(middleware) == 0 {
		return nil
	}
	var h http.Handler = http.HandlerFunc(dispatch)
	for _, m := range slices.Backward(middleware) {
		h = m(h)
	}
	return h
}

// compile returns nil for a tenant without scripts.
func (b *Builder) compile(ctx context.Context, t *spec.Tenant, in *spec.Input) (*lua.Program, *BuildError) {
	if len(t.Scripts) == 0 {
		return nil, nil
	}
	names := make([]string, 0, len(t.Upstreams))
	for name := range t.Upstreams {
		names = append(names, name)
	}
	slices.Sort(names)
	program, err := lua.Compile(ctx, lua.Options{
		Tenant: t.Name, Scripts: t.Scripts, Source: treeSource{in}, Upstreams: names,
		Limits: lua.Limits{Instructions: t.Lua.Instructions, Alloc: t.Lua.AllocPerCall, Timeout: t.Lua.Timeout, MaxStates: b.o.MaxStates},
		Cache:  b.o.Cache, States: b.o.States, Log: b.o.Log.With(slog.String("tenant", t.Name)),
	})
	if err != nil {
		return nil, scriptsFailed(t, in, err)
	}
	return program, nil
}

// scriptsFailed turns what lua found into diagnostics.
func scriptsFailed(t *spec.Tenant, in *spec.Input, err error) *BuildError {
	built := &BuildError{}
	add := func(file string, line int, message string) {
		d := spec.Diagnostic{File: t.File, Line: t.Place.Line, Column: t.Place.Column, Severity: spec.Error, Tenant: t.Name, Message: message}
		if file != "" {
			d.File, d.Line, d.Column = path.Join(in.Scripts, file), line, 0
		}
		built.Diagnostics = append(built.Diagnostics, d)
	}
	failure, ok := errors.AsType[*lua.Failure](err)
	if !ok {
		add("", 0, "scripts: "+err.Error())
		return built
	}
	built.Inputs = failure.Inputs
	built.Transient = !slices.ContainsFunc(failure.Errors, func(e *lua.Error) bool {
		return e.Kind != lua.KindBusy && e.Kind != lua.KindCanceled
	})
	for _, e := range failure.Errors {
		message := e.Msg
		if message == "" {
			message = e.Error()
		}
		add(e.File, e.Line, message)
	}
	if len(failure.Errors) == 0 {
		add("", 0, "scripts: "+err.Error())
	}
	spec.Sort(built.Diagnostics)
	return built
}

// treeSource finds scripts in a tree.
type treeSource struct{ in *spec.Input }

// Lookup implements lua.Source. A file that is listed and cannot be read is
// absent: the tree is a snapshot in memory or in an object store.
func (s treeSource) Lookup(name string) (data []byte, hash string, ok bool) {
	full := path.Join(s.in.Scripts, name)
	hash, ok = s.in.Hashes[full]
	if !ok {
		return nil, "", false
	}
	data, err := fs.ReadFile(s.in.FS, full)
	if err != nil {
		return nil, "", false
	}
	return data, hash, true
}
