package proxy

import (
	"fmt"
	"path"

	"keystone-gateway/lua"
	"keystone-gateway/spec"
)

// newRouter makes the layers in their order: scripts, YAML, fallback.
func (t *Tenant) newRouter(program *lua.Program, scripts string) (*router, []spec.Diagnostic) {
	var use, notFound lua.Chain
	var scripted []registration
	if program != nil {
		use, notFound = program.Use(), program.NotFound()
		for _, r := range program.Routes() {
			scripted = append(scripted, scriptRoute(r, scripts))
		}
	}
	if notFound == nil {
		notFound = use
	}
	r := &router{
		missing: &route{chain: notFound, end: notFoundEnd},
		refused: &route{chain: use, end: notAllowedEnd},
	}
	var wrong []spec.Diagnostic
	yaml := make([]registration, 0, len(t.spec.Routes))
	for i := range t.spec.Routes {
		reg, d := t.yamlRoute(&t.spec.Routes[i], use)
		yaml, wrong = append(yaml, reg), append(wrong, d...)
	}
	for _, registrations := range [][]registration{scripted, yaml} {
		l, d := newLayer(t.Name(), registrations)
		wrong = append(wrong, d...)
		if l != nil {
			r.layers = append(r.layers, l)
		}
	}
	if pool := t.upstreams[defaultUpstream]; pool != nil && len(t.spec.Routes) == 0 && len(t.spec.Upstreams[defaultUpstream].Servers) > 0 {
		r.fallback = &route{pattern: "/*", chain: use, end: func(x *Exchange) { x.forward(pool) }, info: []RouteInfo{{
			Method: "*", Pattern: "/*", Layer: "default", Target: "upstream " + defaultUpstream, File: t.spec.File, Line: t.spec.Place.Line,
		}}}
	}
	return r, wrong
}

// defaultUpstream takes what no route of a tenant without YAML routes takes.
const defaultUpstream = "default"

func scriptRoute(r lua.Route, scripts string) registration {
	reg := registration{file: path.Join(scripts, r.File), place: spec.Place{Line: r.Line}}
	method := "*"
	if r.Method != "" {
		method, reg.methods = r.Method, []string{r.Method}
	}
	reg.route = &route{pattern: r.Pattern, chain: r.Chain, end: noAnswerEnd, info: []RouteInfo{{
		Method: method, Pattern: r.Pattern, Layer: "script", Target: fmt.Sprintf("lua %s:%d", r.File, r.Line), File: reg.file, Line: r.Line,
	}}}
	return reg
}

func (t *Tenant) yamlRoute(r *spec.Route, use lua.Chain) (registration, []spec.Diagnostic) {
	var wrong []spec.Diagnostic
	rt := &route{pattern: r.Path, chain: use}
	var target string
	switch {
	case r.Redirect != nil:
		target = "redirect " + r.Redirect.To
		rt.end = redirectEnd(*r.Redirect)
	case r.Respond != nil:
		target = fmt.Sprintf("respond %d", r.Respond.Status)
		rt.end = respondEnd(*r.Respond)
	default:
		target = "upstream " + r.Upstream
		pool := t.upstreams[r.Upstream]
		if pool == nil {
			wrong = append(wrong, spec.Diagnostic{
				File: t.spec.File, Line: r.Place.Line, Column: r.Place.Column, Severity: spec.Error, Tenant: t.Name(),
				Message: fmt.Sprintf("route %q: upstream %q is not defined", r.Path, r.Upstream),
			})
		}
		rt.end = forwardEnd(pool, compileRewrite(r.Rewrite))
	}
	methods := r.Methods
	if len(methods) == 0 {
		methods = []string{"*"}
	}
	for _, method := range methods {
		rt.info = append(rt.info, RouteInfo{Method: method, Pattern: r.Path, Layer: "yaml", Target: target, File: t.spec.File, Line: r.Place.Line})
	}
	return registration{methods: r.Methods, route: rt, file: t.spec.File, place: r.Place}, wrong
}
