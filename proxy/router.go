package proxy

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"keystone-gateway/lua"
	"keystone-gateway/spec"
)

// routableMethods are those that a route can name.
func routableMethods() []string {
	return []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodOptions, methodQuery,
	}
}

const (
	methodQuery = "QUERY" // RFC 10008
	allMethods  = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
)

// routedMethod is the method that a request is routed by. chi knows a fixed
// set; a token outside of it is routed as TRACE, which is never served itself,
// so that only routes for any method take it.
func routedMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodOptions, methodQuery:
		return method
	}
	return http.MethodTrace
}

// route is what is done with a request: the functions of scripts, in order,
// and what comes after them when none of them answered.
type route struct {
	pattern string // chi's, as written; "" where nothing matched
	chain   lua.Chain
	end     func(*Exchange)
	info    []RouteInfo // one a method
}

// router finds a tenant's route: layer after layer, then the fallback.
// Immutable.
type router struct {
	layers   []*layer
	fallback *route // takes all that no layer takes; nil for none
	missing  *route // 404
	refused  *route // 405
}

// layer is one chi mux and the routes that its patterns stand for.
type layer struct {
	mux    *chi.Mux
	routes map[routeKey]*route
}

// routeKey names a route in a layer; Method is "" for any.
type routeKey struct{ method, pattern string }

// find sets x.route, and x.allow when it is the one for a 405.
func (r *router) find(x *Exchange) *route {
	method := routedMethod(x.method)
	for _, l := range r.layers {
		if found := l.find(&x.routing, method, x.routePath); found != nil {
			return found
		}
	}
	if r.fallback != nil {
		return r.fallback
	}
	if allowed := r.allowed(x.routePath); len(allowed) > 0 {
		x.allow = strings.Join(allowed, ", ")
		return r.refused
	}
	return r.missing
}

func (l *layer) find(c *chi.Context, method, path string) *route {
	pattern := l.mux.Find(c, method, path)
	if pattern == "" {
		return nil
	}
	if found := l.routes[routeKey{method, pattern}]; found != nil {
		return found
	}
	return l.routes[routeKey{"", pattern}]
}

// allowed lists the methods under which any layer knows path.
func (r *router) allowed(path string) []string {
	var methods []string
	for _, method := range routableMethods() {
		if slices.ContainsFunc(r.layers, func(l *layer) bool { return l.mux.Match(chi.NewRouteContext(), method, path) }) {
			methods = append(methods, method)
		}
	}
	return methods
}

// registration is one route as its author wrote it.
type registration struct {
	methods []string // empty for any
	route   *route
	file    string // in the tree
	place   spec.Place
}

// newLayer registers routes, and says what is wrong with those that cannot be.
// It returns nil for no routes.
func newLayer(tenant string, registrations []registration) (*layer, []spec.Diagnostic) {
	if len(registrations) == 0 {
		return nil, nil
	}
	l := &layer{mux: chi.NewMux(), routes: make(map[routeKey]*route)}
	var wrong []spec.Diagnostic
	complain := func(r registration, message, hint string) {
		wrong = append(wrong, spec.Diagnostic{
			File: r.file, Line: r.place.Line, Column: r.place.Column, Severity: spec.Error,
			Tenant: tenant, Message: message, Hint: hint,
		})
	}
	// chi replaces a route by one of the same shape without a word.
	first := make(map[routeKey]registration)
	take := func(r registration, method string) bool {
		key := routeKey{method, shape(r.route.pattern)}
		if before, taken := first[key]; taken {
			complain(r, fmt.Sprintf("route %s is defined twice", describe(method, r.route.pattern)),
				fmt.Sprintf("the first is at %s:%d", before.file, before.place.Line))
			return false
		}
		first[key] = r
		return true
	}
	register := func(r registration, method string) {
		if err := l.register(method, r.route); err != nil {
			complain(r, fmt.Sprintf("route %s: %v", describe(method, r.route.pattern), err), "")
		}
	}
	// For any method first: chi lets the later registration win.
	for _, r := range registrations {
		if len(r.methods) == 0 && take(r, "") {
			register(r, "")
		}
	}
	for _, r := range registrations {
		for _, method := range r.methods {
			if take(r, method) {
				register(r, method)
			}
		}
	}
	// HEAD is served by a GET route, unless there is one for HEAD.
	for _, r := range registrations {
		_, head := first[routeKey{http.MethodHead, shape(r.route.pattern)}]
		if slices.Contains(r.methods, http.MethodGet) && !head {
			register(r, http.MethodHead)
		}
	}
	return l, wrong
}

// register adds a route to the mux, which panics about what it cannot take.
func (l *layer) register(method string, r *route) (err error) {
	if err := spec.CheckPattern(r.pattern); err != nil {
		return err
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	if method == "" {
		l.mux.Handle(r.pattern, http.NotFoundHandler())
	} else {
		l.mux.Method(method, r.pattern, http.NotFoundHandler())
	}
	l.routes[routeKey{method, r.pattern}] = r
	return nil
}

func describe(method, pattern string) string {
	if method == "" {
		return strconv.Quote(pattern)
	}
	return strconv.Quote(method + " " + pattern)
}

// shape is a pattern without the names of its parameters: two patterns of one
// shape match the same paths.
func shape(pattern string) string {
	var b strings.Builder
	depth, inName := 0, false
	for i := range len(pattern) {
		c := pattern[i]
		switch {
		case c == '{':
			depth++
			inName = inName || depth == 1
		case c == '}':
			depth--
			inName = inName && depth > 0
		case c == ':' && depth == 1:
			inName = false
		case inName:
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}
