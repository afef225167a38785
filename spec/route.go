package spec

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// routes reads the list of routes. Whether the upstreams they name exist, and
// whether two of them are the same, is for checkRoutes, when all is read.
func (d *decoder) routes(n *yaml.Node) []route {
	var routes []route
	d.list(n, func(i int, n *yaml.Node) { routes = append(routes, d.route(i, n)) })
	return routes
}

// route is a Route with what is only needed while the tenant is read.
type route struct {
	Route
	label    string // for messages
	shape    string // of its pattern, "" when that is broken
	at       *yaml.Node
	upstream *yaml.Node // where it names one, else nil
}

// route reads the one at index i.
func (d *decoder) route(i int, n *yaml.Node) route {
	r := route{at: n, label: "route " + strconv.Itoa(i+1)}
	if match := child(n, "match"); match != nil {
		if path := child(match, "path"); path != nil && path.Kind == yaml.ScalarNode {
			r.label = "route " + strconv.Quote(path.Value)
		}
	}
	defer d.within("%s", r.label)()

	r.Place = place(n)
	var match pattern
	var rewrite *yaml.Node
	present, ok := d.mapping(n, append([]field{
		{"match", func(n *yaml.Node) { match = d.match(n, &r) }},
		{"upstream", func(n *yaml.Node) {
			if name, ok := d.str(n); ok {
				r.Upstream, r.upstream = name, n
			}
		}},
		{"rewrite", func(n *yaml.Node) { rewrite = n; r.Rewrite = d.rewrite(n, match) }},
		{"redirect", func(n *yaml.Node) { r.Redirect = d.redirect(n) }},
		{"respond", func(n *yaml.Node) { r.Respond = d.respond(n) }},
	}, later("middleware", "split", "mirror")...))
	if !ok {
		return r
	}
	if present["match"] == nil {
		d.failf(n, `add match: {path: "/..."}`, "it has no match")
	}
	var actions []string
	for _, key := range []string{"upstream", "redirect", "respond", "split"} {
		if present[key] != nil {
			actions = append(actions, key)
		}
	}
	switch {
	case len(actions) == 0:
		d.failf(n, "add one of upstream, redirect, respond", "nothing says what it does")
	case len(actions) > 1:
		d.failf(present[actions[1]], "keep one of them", "%s cannot stand together", strings.Join(actions, " and "))
	case rewrite != nil && actions[0] != "upstream" && actions[0] != "split":
		d.failf(rewrite, "remove it", "rewrite is for routes to an upstream")
	}
	return r
}

// match reads what requests a route takes.
func (d *decoder) match(n *yaml.Node, r *route) (taken pattern) {
	present, ok := d.mapping(n, append([]field{
		{"path", func(n *yaml.Node) {
			s, ok := d.str(n)
			if !ok {
				return
			}
			p, err := parsePattern(s)
			if d.check(n, err) && d.check(n, checkReserved(s)) {
				r.Path, r.shape, taken = s, p.shape, p
			}
		}},
		{"methods", func(n *yaml.Node) { r.Methods = d.methods(n) }},
	}, later("headers", "query")...))
	if ok && present["path"] == nil {
		d.failf(n, `add path: "/*" for every path`, "match has no path")
	}
	return taken
}

// methods reads a list of methods; lower case is taken for upper case.
func (d *decoder) methods(n *yaml.Node) []string {
	var methods []string
	items := d.list(n, func(_ int, n *yaml.Node) {
		s, ok := d.str(n)
		if !ok {
			return
		}
		m := strings.ToUpper(s)
		switch {
		case !isToken(m):
			d.failf(n, "such as GET", "%q is not a method", s)
		case m == "CONNECT" || m == "TRACE":
			d.failf(n, "remove it", "method %s is refused before any route", m)
		case slices.Contains(methods, m):
			d.failf(n, "remove one of the two", "method %s is there twice", m)
		default:
			methods = append(methods, m)
		}
	})
	if items == 0 {
		d.failf(n, "remove the key for any method", "the list of methods is empty")
	}
	return methods
}

// isToken: RFC 9110 section 5.6.2, in a length that a method can have.
func isToken(s string) bool {
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && strings.IndexByte("!#$%&'*+-.^_`|~", s[i]) < 0 {
			return false
		}
	}
	return s != "" && len(s) <= 32
}

// checkRoutes looks at all routes together and returns them as they are served.
func (d *decoder) checkRoutes(routes []route, upstreams map[string]*Upstream) []Route {
	type slot struct{ method, shape string }
	var list []Route
	taken := map[slot]route{}
	for _, r := range routes {
		leave := d.within("%s", r.label)
		if r.upstream != nil && upstreams[r.Upstream] == nil {
			hint := didYouMean(r.Upstream, maps.Keys(upstreams))
			if hint == "" {
				hint = "define it below upstreams"
			}
			d.failf(r.upstream, hint, "upstream %q is not defined", r.Upstream)
		}
		methods := r.Methods
		if len(methods) == 0 {
			methods = []string{"any method"}
		}
		for _, m := range methods {
			if r.shape == "" {
				continue
			}
			if other, twice := taken[slot{m, r.shape}]; twice {
				d.failf(r.at, "remove one of the two", "%s is already taken by %s in line %d", m, other.label, other.Place.Line)
				break
			}
			taken[slot{m, r.shape}] = r
		}
		list = append(list, r.Route)
		leave()
	}
	return list
}
