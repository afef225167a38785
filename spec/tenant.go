package spec

import (
	"slices"

	"go.yaml.in/yaml/v3"
)

// defaultUpstream is the one that `services` is short for.
const defaultUpstream = "default"

// definition is one entry of a list of tenants, as far as it could be read.
// Immutable; what Load keeps of a file that did not change.
type definition struct {
	name        string // "" when it has no usable one
	file        string
	place       Place
	claims      []Claim
	scripts     []script
	diagnostics []Diagnostic
	tenant      *Tenant // nil when there are errors among diagnostics
}

// tenantReader holds what is only needed while one tenant is read.
type tenantReader struct {
	*decoder
	t *Tenant

	services *Upstream // what services, health_interval and load_balancing make
	written  []route
	scripts  []script
	vague    bool // domains or path_prefix could not be read: claims are not known
}

// define reads one entry of a list of tenants.
func (d *decoder) define(n *yaml.Node, in *Input) *definition {
	outside := d.found
	d.tenant, d.found = usableName(n), nil
	defer func() { d.tenant, d.found = "", outside }()

	r := &tenantReader{decoder: d, t: &Tenant{
		Name:          d.tenant,
		Upstreams:     map[string]*Upstream{},
		RequestLimits: in.Defaults.RequestLimits,
		Lua:           in.Defaults.Lua,
		DrainTimeout:  in.Defaults.DrainTimeout,
		File:          d.file,
		Place:         place(n),
	}}
	if present, ok := r.read(n, in); ok {
		r.complete(n, present, in)
		r.vague = r.vague || present["domains"] == nil && meansDomains(n)
	}

	def := &definition{name: d.tenant, file: d.file, place: place(n), scripts: r.scripts, diagnostics: d.found}
	if !r.vague {
		def.claims = r.t.Claims()
	}
	if Errors(d.found) == 0 {
		r.t.Hash = r.t.hash()
		def.tenant = r.t
	}
	return def
}

// meansDomains tells whether n has a key that was not understood, and may have
// been meant to give domains: a claim on every host must not come of that.
func meansDomains(n *yaml.Node) bool {
	for key := range keys(n) {
		if key == "<<" || didYouMean(key, slices.Values([]string{"domains"})) != "" {
			return true
		}
	}
	return false
}

// usableName looks ahead for the name, so that everything wrong with a tenant
// is said in its name.
func usableName(n *yaml.Node) string {
	name := child(n, "name")
	if name != nil && name.Kind == yaml.AliasNode {
		name = name.Alias
	}
	if name == nil || name.Kind != yaml.ScalarNode || name.Tag != "!!str" || checkTenantName(name.Value) != nil {
		return ""
	}
	return name.Value
}

// checkTenantName holds names to a DNS label, less those that are directories
// of scripts and secrets for all.
func checkTenantName(s string) error {
	ok := s != "" && len(s) <= 63 && s[0] != '-' && s[len(s)-1] != '-'
	for i := range len(s) {
		ok = ok && (isLower(s[i]) || isDigit(s[i]) || s[i] == '-')
	}
	switch {
	case !ok:
		return flawf("a-z, 0-9 and hyphens inside, at most 63", "%q is not a name for a tenant", s)
	case s == "lib" || s == "shared":
		return flawf("choose another name", "the name %q is reserved", s)
	}
	return nil
}

// read takes in every key by itself.
func (r *tenantReader) read(n *yaml.Node, in *Input) (map[string]*yaml.Node, bool) {
	t := r.t
	return r.mapping(n, append([]field{
		{"name", func(n *yaml.Node) {
			if s, ok := r.str(n); ok {
				r.check(n, checkTenantName(s))
			}
		}},
		{"domains", r.domains},
		{"path_prefix", r.pathPrefix},
		{"strip_prefix", func(n *yaml.Node) {
			defer r.within("strip_prefix")()
			t.StripPrefix = r.boolean(n)
		}},
		{"lua_routes", func(n *yaml.Node) { r.scripts = r.luaRoutes(n, t.Name, in.Scripts) }},
		{"services", r.readServices},
		{"load_balancing", func(n *yaml.Node) { r.balancing(n, r.defaults()) }},
		{"health_interval", r.healthInterval},
		{"upstreams", func(n *yaml.Node) { r.upstreams(n, t.Upstreams) }},
		{"routes", func(n *yaml.Node) { r.written = r.routes(n) }},
		{"request_limits", func(n *yaml.Node) { r.requestLimits(n, &t.RequestLimits) }},
		{"lua", func(n *yaml.Node) { r.luaLimits(n, &t.Lua) }},
		{"drain_timeout", func(n *yaml.Node) { r.drainTimeout(n, &t.DrainTimeout, in.Defaults.MaxDrainTimeout) }},
	}, later("middleware", "encoded_slashes", "compression", "secrets", "env", "tls")...))
}

// complete checks and settles what takes more than one key.
func (r *tenantReader) complete(n *yaml.Node, present map[string]*yaml.Node, in *Input) {
	t := r.t
	if present["name"] == nil {
		r.failf(n, "add name: ...", "a tenant has no name")
	}
	if present["domains"] == nil && present["path_prefix"] == nil {
		r.failf(n, `add domains: [...], or path_prefix: "/" for every request that no other tenant takes`, "it has neither domains nor path_prefix")
	}
	if len(t.Domains) > 0 && t.PathPrefix == "/" {
		t.PathPrefix = ""
	}
	if t.StripPrefix && (t.PathPrefix == "" || t.PathPrefix == "/") && !r.vague {
		r.warnf(present["strip_prefix"], "remove it, or add a path_prefix", "strip_prefix has nothing to strip")
	}
	r.completeServices(present)
	t.Routes = r.checkRoutes(r.written, t.Upstreams)
	r.scripts = withGlobals(in, r.scripts, place(n))
	for _, s := range r.scripts {
		t.Scripts = append(t.Scripts, s.path)
	}
	if len(t.Routes) == 0 && len(t.Scripts) == 0 && t.Upstreams[defaultUpstream] == nil && Errors(r.found) == 0 {
		r.warnf(n, "add services, routes or lua_routes", "it serves nothing but 404")
	}
}

// domains reads the hosts. One that is broken leaves the others known; none at
// all leaves open what the tenant wants.
func (r *tenantReader) domains(n *yaml.Node) {
	defer r.within("domains")()
	items := r.list(n, func(_ int, n *yaml.Node) {
		s, ok := r.str(n)
		if !ok {
			return
		}
		host, err := parseDomain(s)
		switch {
		case !r.check(n, err):
		case slices.Contains(r.t.Domains, host):
			r.failf(n, "remove one of the two", "%q is there twice", host)
		default:
			r.t.Domains = append(r.t.Domains, host)
		}
	})
	if items == 0 {
		r.failf(n, "remove the key for any host", "the list is empty")
	}
	r.vague = r.vague || len(r.t.Domains) == 0
}

// pathPrefix reads what the tenant's paths begin with.
func (r *tenantReader) pathPrefix(n *yaml.Node) {
	defer r.within("path_prefix")()
	s, ok := r.str(n)
	if ok {
		var err error
		r.t.PathPrefix, err = parsePrefix(s)
		ok = r.check(n, err)
	}
	r.vague = r.vague || !ok
}

// defaults is the upstream that the short keys fill in.
func (r *tenantReader) defaults() *Upstream {
	if r.services == nil {
		r.services = newUpstream(defaultUpstream, Place{})
	}
	return r.services
}

// readServices reads the short form of upstreams.default.servers.
func (r *tenantReader) readServices(n *yaml.Node) {
	defer r.within("services")()
	u := r.defaults()
	u.Place = place(n)
	r.servers(n, &u.Servers)
	if checkedAlone(u.Servers) {
		u.HealthCheck = newHealthCheck()
	}
}

// healthInterval reads the short form of health_check.interval.
func (r *tenantReader) healthInterval(n *yaml.Node) {
	defer r.within("health_interval")()
	v, ok := r.secondsOrDuration(n, minProbeInterval, maxProbeInterval)
	if c := r.defaults().HealthCheck; ok && c != nil {
		c.setInterval(v)
	}
}

// completeServices makes the default upstream of the short keys. An empty list
// of services is none.
func (r *tenantReader) completeServices(present map[string]*yaml.Node) {
	u, at := r.services, present["services"]
	if at == nil {
		for _, key := range []string{"health_interval", "load_balancing"} {
			if v := present[key]; v != nil {
				r.warnf(v, "it belongs to services; upstreams have their own", "%s has no effect without services", key)
			}
		}
		return
	}
	if r.t.Upstreams[defaultUpstream] != nil {
		r.failf(at, "services is short for upstreams.default.servers: keep one", "services and upstreams.default cannot stand together")
		return
	}
	if v := present["health_interval"]; v != nil && u.HealthCheck == nil {
		r.warnf(v, "add health: /healthz to a service", "health_interval has no effect, as no service has health")
	}
	if len(u.Servers) > 0 || Errors(r.found) > 0 {
		r.t.Upstreams[defaultUpstream] = u
	}
}
