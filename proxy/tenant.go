package proxy

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strings"

	"keystone-gateway/internal/telemetry"
	"keystone-gateway/lua"
	"keystone-gateway/proxy/upstream"
	"keystone-gateway/spec"
)

// Tenant is one compiled version of a tenant. Immutable after Build. A request
// leases it; it is closed once, after the last lease is gone.
type Tenant struct {
	spec      *spec.Tenant
	inputs    []lua.Input
	scripts   *lua.Pool // nil without scripts
	upstreams map[string]*upstream.Pool
	router    *router
	// entry is the tenant's middleware around dispatch; nil for none.
	entry   http.Handler
	faults  limiter // bounds what is logged about failing scripts
	metrics *telemetry.Metrics

	// Set when the tenant first becomes part of a generation.
	counters *telemetry.Tenant
	onClose  func(*Tenant)

	lease lease
}

// Name of the tenant.
func (t *Tenant) Name() string { return t.spec.Name }

// Spec it was built from.
func (t *Tenant) Spec() *spec.Tenant { return t.spec }

// Inputs are the script files it was built from, absent ones among them.
func (t *Tenant) Inputs() []lua.Input { return t.inputs }

// Discard closes a tenant that never became part of a generation.
func (t *Tenant) Discard() {
	if t.lease.retire() {
		t.close()
	}
}

// start makes the tenant ready to serve: probes and counting begin here.
func (t *Tenant) start(onClose func(*Tenant)) {
	t.counters = t.metrics.Tenant(t.Name())
	t.onClose = onClose
	for _, name := range slices.Sorted(maps.Keys(t.upstreams)) {
		t.upstreams[name].Start()
	}
}

// close gives back what the tenant holds. It runs once, on the goroutine that
// gave up the last lease.
func (t *Tenant) close() {
	if t.scripts != nil {
		t.scripts.Close()
	}
	for _, pool := range t.upstreams {
		pool.Close()
	}
	if t.onClose != nil {
		t.onClose(t)
	}
}

// serve answers a request that leased t.
func (t *Tenant) serve(x *Exchange) {
	limits := &t.spec.RequestLimits
	r := x.request
	if status := x.size.over(limits); status != 0 {
		x.problem(status, nil)
		return
	}
	if limits.MaxBodySize > 0 && x.body != nil && !(r.ProtoMajor >= 2 && isGRPC(r.Header.Get("Content-Type"))) {
		if r.ContentLength > limits.MaxBodySize {
			x.problem(http.StatusRequestEntityTooLarge, errBodyTooLarge)
			return
		}
		x.body.limit(limits.MaxBodySize)
	}
	if t.spec.StripPrefix && len(t.spec.PathPrefix) > 1 {
		x.stripped = t.spec.PathPrefix
		if x.routePath = x.path[len(x.stripped):]; x.routePath == "" {
			x.routePath = "/"
		}
	}
	if err := x.setPath(x.routePath); err != nil {
		x.problem(http.StatusBadRequest, err)
		return
	}
	x.route = t.router.find(x)
	if t.entry != nil {
		t.entry.ServeHTTP(&x.writer, r)
		return
	}
	x.dispatch()
}

// dispatch is the innermost handler of a tenant's middleware: scripts, then
// what the route ends in.
func dispatch(_ http.ResponseWriter, r *http.Request) { exchangeOf(r).dispatch() }

func (x *Exchange) dispatch() {
	if len(x.route.chain) == 0 || !x.runScripts(x.route.chain) {
		x.route.end(x)
	}
}

// Health of the tenant's upstreams.
func (t *Tenant) Health() []UpstreamHealth {
	health := make([]UpstreamHealth, 0, len(t.upstreams))
	for _, name := range slices.Sorted(maps.Keys(t.upstreams)) {
		health = append(health, UpstreamHealth{Name: name, Servers: t.upstreams[name].Servers()})
	}
	return health
}

// Routes lists what it serves, for people to read.
func (t *Tenant) Routes() []RouteInfo {
	var infos []RouteInfo
	for _, l := range t.router.layers {
		at := len(infos)
		seen := make(map[*route]bool)
		for _, r := range l.routes {
			if !seen[r] {
				seen[r] = true
				infos = append(infos, r.info...)
			}
		}
		slices.SortFunc(infos[at:], func(a, b RouteInfo) int {
			return cmp.Or(strings.Compare(a.Pattern, b.Pattern), strings.Compare(a.Method, b.Method))
		})
	}
	if t.router.fallback != nil {
		infos = append(infos, t.router.fallback.info...)
	}
	return infos
}

// UpstreamHealth is one upstream's servers.
type UpstreamHealth struct {
	Name    string                  `json:"name"`
	Servers []upstream.ServerHealth `json:"servers"`
}

// RouteInfo describes one route.
type RouteInfo struct {
	Method  string `json:"method"` // "*" for any
	Pattern string `json:"pattern"`
	Layer   string `json:"layer"`  // script|yaml|default
	Target  string `json:"target"` // "upstream search", "redirect ...", "respond 200", "lua shop/main.lua:14"
	File    string `json:"file"`
	Line    int    `json:"line"`
}
