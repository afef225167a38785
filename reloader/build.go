package reloader

import (
	"context"
	"fmt"
	"maps"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"

	"keystone-gateway/proxy"
	"keystone-gateway/spec"
)

// Build takes a tree through load, compile and settle. It is the one path of
// run, validate and every other command; nothing of it is seen by traffic.
// previous is what serves now, nil for nothing. now is what a failed tenant
// would be kept on. The caller owns the candidate: Discard it, or let it serve.
//
// retry builds content again that failed before.
func Build(ctx context.Context, b *proxy.Builder, in *spec.Input, previous *State, retry bool) (*Candidate, error) {
	if previous == nil {
		previous = &State{}
	}
	gateway, diagnostics := spec.Load(in, previous.spec)
	c := &Candidate{
		previous: previous,
		next:     State{spec: gateway, tenants: make(map[string]*served, len(gateway.Tenants)), failures: make(map[string]*failure)},
		found:    diagnostics,
	}
	if err := c.compile(ctx, b, in, retry); err != nil {
		c.Discard()
		return nil, err
	}
	c.settle()
	return c, nil
}

// version is one compiled tenant and the definition that stands for it in the
// tree: the same compiled tenant may move to another file.
type version struct {
	spec   *spec.Tenant
	tenant *proxy.Tenant
}

// failure is content that could not be built. While it is the same it is not
// built again.
type failure struct {
	hash  string
	files map[string]string // path in the tree -> hash, "" for absent
	found []spec.Diagnostic
	// transient failures are no fault of the content, which is tried again.
	transient bool
}

func (f *failure) same(t *spec.Tenant, in *spec.Input) bool {
	if f.hash != t.Hash || f.transient {
		return false
	}
	for name, hash := range f.files {
		if in.Hashes[name] != hash {
			return false
		}
	}
	return true
}

// madeFrom says whether v is what building t from in would give.
func (v *version) madeFrom(t *spec.Tenant, in *spec.Input) bool {
	if v.tenant.Spec().Hash != t.Hash {
		return false
	}
	for _, input := range v.tenant.Inputs() {
		if in.Hashes[path.Join(in.Scripts, input.Path)] != input.Hash {
			return false
		}
	}
	return true
}

// identity of what a version was made from.
func (v *version) identity() string {
	files := make(map[string]string)
	for _, input := range v.tenant.Inputs() {
		files[input.Path] = input.Hash
	}
	return identity("built", v.spec.Hash, files)
}

func (f *failure) identity() string { return identity("unbuilt", f.hash, f.files) }

func identity(kind, hash string, files map[string]string) string {
	var b strings.Builder
	b.WriteString(kind + " " + hash)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		b.WriteString(" " + name + "=" + files[name])
	}
	return b.String()
}

// compile fills c.offers: each tenant that serves already with the same
// content, and each other that can be built.
func (c *Candidate) compile(ctx context.Context, b *proxy.Builder, in *spec.Input, retry bool) error {
	c.offers = make(map[string]*version, len(c.next.spec.Tenants))
	var todo []*spec.Tenant
	for name, t := range c.next.spec.Tenants {
		if s := c.previous.tenants[name]; s != nil && s.tenant != nil && s.madeFrom(t, in) {
			c.offers[name] = &version{spec: t, tenant: s.tenant}
			continue
		}
		if f := c.previous.failures[name]; f != nil && !retry && f.same(t, in) {
			c.next.failures[name] = f
			continue
		}
		todo = append(todo, t)
	}

	built := make([]*proxy.Tenant, len(todo))
	failures := make([]*failure, len(todo))
	jobs := make(chan int)
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(todo)) {
		workers.Go(func() {
			for i := range jobs {
				built[i], failures[i] = buildOne(ctx, b, todo[i], in)
			}
		})
	}
	for i := range todo {
		jobs <- i
	}
	close(jobs)
	workers.Wait()

	for i, t := range todo {
		if failures[i] != nil {
			c.next.failures[t.Name] = failures[i]
			continue
		}
		c.offers[t.Name] = &version{spec: t, tenant: built[i]}
		c.fresh = append(c.fresh, built[i])
	}
	// A cancelled build says nothing about the content it was building.
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("compile: %w", context.Cause(ctx))
	}
	for _, f := range c.next.failures {
		c.found = append(c.found, f.found...)
	}
	return nil
}

func buildOne(ctx context.Context, b *proxy.Builder, t *spec.Tenant, in *spec.Input) (*proxy.Tenant, *failure) {
	tenant, err := b.Build(ctx, t, in)
	if err == nil {
		return tenant, nil
	}
	f := &failure{hash: t.Hash, files: make(map[string]string, len(err.Inputs)), found: err.Diagnostics, transient: err.Transient}
	for _, input := range err.Inputs {
		f.files[path.Join(in.Scripts, input.Path)] = input.Hash
	}
	return nil, f
}
