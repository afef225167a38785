package lua

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"

	glua "github.com/yuin/gopher-lua"
	"golang.org/x/net/http/httpguts"
)

// registration is what scripts registered in one state. Functions belong to
// their state; everything else must be the same in every state of a program.
type registration struct {
	root      group
	routes    []registered
	known     map[routeKey]int // positions in routes
	functions []function
	notFound  int32 // 1 + its number; 0 for none
}

// group is keystone.group's g, or the whole tenant.
type group struct {
	parent *group
	prefix string
	use    []int32
}

// function is one registered function.
type function struct {
	fn      *glua.LFunction
	handler bool // it must answer; middleware need not
}

// routeKey is what a script may register once.
type routeKey struct{ method, pattern string }

type registered struct {
	Route
	group *group
}

// outline is a registration without its functions: what a Program offers, and
// what two states must agree on.
type outline struct {
	routes   []Route
	use      Chain
	notFound Chain
	handlers []bool // by number, whether a function must answer
}

// outline resolves chains once all is registered, so that a use reaches routes
// registered before it too.
func (r *registration) outline() outline {
	o := outline{use: slices.Clone(Chain(r.root.use))}
	for _, route := range r.routes {
		handler := route.Chain
		route.Chain = append(route.group.chain(), handler...)
		o.routes = append(o.routes, route.Route)
	}
	if r.notFound > 0 {
		o.notFound = append(r.root.chain(), r.notFound-1)
	}
	for _, f := range r.functions {
		o.handlers = append(o.handlers, f.handler)
	}
	return o
}

// chain is the group's middleware, outermost first.
func (g *group) chain() Chain {
	if g == nil {
		return nil
	}
	return append(g.parent.chain(), g.use...)
}

// differs tells where b is not like a; nil when they are alike.
func (o outline) differs(b outline) *Error {
	const differently = "registers differently in a second state: "
	for i := range max(len(o.routes), len(b.routes)) {
		switch {
		case i >= len(b.routes):
			r := o.routes[i]
			return &Error{File: r.File, Line: r.Line, Msg: differently + r.describe() + " is missing"}
		case i >= len(o.routes):
			r := b.routes[i]
			return &Error{File: r.File, Line: r.Line, Msg: differently + r.describe() + " is new"}
		case !reflect.DeepEqual(o.routes[i], b.routes[i]):
			r, was := b.routes[i], o.routes[i]
			return &Error{File: r.File, Line: r.Line, Msg: fmt.Sprintf("%s%s was %s at %s:%d",
				differently, r.describe(), was.describe(), was.File, was.Line)}
		}
	}
	if !reflect.DeepEqual(o, b) {
		return &Error{Msg: differently + "its middleware or not_found changed"}
	}
	return nil
}

func (r Route) describe() string {
	if r.Method == "" {
		return fmt.Sprintf("any %q", r.Pattern)
	}
	return fmt.Sprintf("%s %q", r.Method, r.Pattern)
}

// keystoneLibrary is the global keystone.
func keystoneLibrary(root *group) []entry {
	return append(routing("keystone", root),
		entry{"log", keystoneLog},
		entry{"not_found", keystoneNotFound},
		entry{"proxy", keystoneProxy},
		entry{"redirect", keystoneRedirect},
	)
}

// routing is what keystone and a group's g have in common.
func routing(owner string, g *group) []entry {
	verb := func(name, method string) entry {
		return entry{name, func(s *state, L *glua.LState) int {
			s.register(L, g, owner+"."+name, method, 1)
			return 0
		}}
	}
	return []entry{
		verb("get", http.MethodGet), verb("post", http.MethodPost), verb("put", http.MethodPut),
		verb("patch", http.MethodPatch), verb("delete", http.MethodDelete),
		verb("head", http.MethodHead), verb("options", http.MethodOptions), verb("any", ""),
		{"route", func(s *state, L *glua.LState) int {
			fn := owner + ".route"
			method, ok := L.Get(1).(glua.LString)
			if !ok || !httpguts.ValidHeaderFieldName(string(method)) {
				wrongArg(L, fn, 1, "a method")
			}
			m := strings.ToUpper(string(method))
			if m == http.MethodConnect || m == http.MethodTrace {
				L.RaiseError("%s: %s is never routed", fn, m)
			}
			s.register(L, g, fn, m, 2)
			return 0
		}},
		{"group", func(s *state, L *glua.LState) int { return s.enterGroup(L, g, owner+".group") }},
		{"use", func(s *state, L *glua.LState) int {
			fn := owner + ".use"
			s.onlyLoading(L, fn)
			if t, ok := L.Get(1).(*glua.LTable); ok {
				unsupportedHooks(L, fn, t)
			}
			g.use = append(g.use, s.add(L, fn, 1, false))
			return 0
		}},
	}
}

// register adds the route whose pattern is argument n and handler n+1.
func (s *state) register(L *glua.LState, g *group, fn, method string, n int) {
	s.onlyLoading(L, fn)
	pattern := joinPattern(L, g.prefix, fn, n)
	file, line := caller(L)
	key := routeKey{method, pattern}
	r := &s.registration
	if i, ok := r.known[key]; ok {
		L.RaiseError("%s: %s is registered at %s:%d already", fn, r.routes[i].describe(), r.routes[i].File, r.routes[i].Line)
	}
	handler := s.add(L, fn, n+1, true)
	if r.known == nil {
		r.known = map[routeKey]int{}
	}
	r.known[key] = len(r.routes)
	r.routes = append(r.routes, registered{
		Route{Method: method, Pattern: pattern, Chain: Chain{handler}, File: file, Line: line}, g,
	})
}

// add numbers the function that is argument n.
func (s *state) add(L *glua.LState, fn string, n int, handler bool) int32 {
	f, ok := L.Get(n).(*glua.LFunction)
	if !ok {
		wrongArg(L, fn, n, "a function")
	}
	s.alloc(L, 2*fieldCost)
	s.registration.functions = append(s.registration.functions, function{f, handler})
	return int32(len(s.registration.functions) - 1) //nolint:gosec // memory is charged for each
}

// joinPattern checks argument n and puts the group's prefix before it.
func joinPattern(L *glua.LState, prefix, fn string, n int) string {
	s, ok := L.Get(n).(glua.LString)
	pattern := string(s)
	if !ok || !strings.HasPrefix(pattern, "/") {
		wrongArg(L, fn, n, `a pattern that begins with "/"`)
	}
	pattern = strings.TrimSuffix(prefix, "/") + pattern
	if len(pattern) > 1024 {
		L.RaiseError("%s: a pattern over 1024 bytes", fn)
	}
	for i := range len(pattern) {
		if c := pattern[i]; c <= ' ' || c >= 0x7f {
			L.RaiseError("%s: pattern %q: only visible ASCII can match", fn, pattern)
		}
	}
	return pattern
}

// maxGroups bounds groups within one another.
const maxGroups = 16

func (s *state) enterGroup(L *glua.LState, parent *group, fn string) int {
	s.onlyLoading(L, fn)
	g := &group{parent: parent, prefix: joinPattern(L, parent.prefix, fn, 1)}
	depth := 0
	for up := g; up != nil; up = up.parent {
		depth++
	}
	if depth > maxGroups {
		L.RaiseError("%s: nested more than %d levels deep", fn, maxGroups)
	}
	body, ok := L.Get(2).(*glua.LFunction)
	if !ok {
		wrongArg(L, fn, 2, "a function")
	}
	s.alloc(L, 8*tableCost)
	L.Push(body)
	L.Push(s.readOnly("group", s.table(routing("group", g))))
	L.Call(1, 0)
	return 0
}

func keystoneNotFound(s *state, L *glua.LState) int {
	const fn = "keystone.not_found"
	s.onlyLoading(L, fn)
	if s.registration.notFound > 0 {
		L.RaiseError("%s is called twice", fn)
	}
	s.registration.notFound = 1 + s.add(L, fn, 1, true)
	return 0
}

func keystoneLog(s *state, L *glua.LState) int {
	s.log(L, s.display(L, anyArg(L, 1, "keystone.log")))
	return 0
}

// unsupportedHooks refuses keystone.use{...}.
func unsupportedHooks(L *glua.LState, fn string, t *glua.LTable) {
	for _, hook := range []string{"request", "response", "log"} {
		if t.RawGetString(hook) != glua.LNil {
			L.RaiseError("%s: %s hooks are not supported in this version", fn, hook)
		}
	}
	wrongArg(L, fn, 1, "a function")
}

// unknownName is reading a name that keystone does not have.
func unknownName(_ *state, L *glua.LState) int {
	name, _ := text(L.Get(2))
	switch name {
	case "base64", "env", "equal", "fetch", "hash", "hex", "hmac", "json", "jwt", "kv", "limit", "method_not_allowed",
		"metrics", "on_error", "random_bytes", "re", "secret", "time", "url", "uuid":
		L.RaiseError("keystone.%s is not supported in this version", name)
	}
	L.RaiseError("keystone.%s does not exist", clip(name))
	return 0
}

// onlyLoading and onlyServing refuse calls in the wrong phase.
func (s *state) onlyLoading(L *glua.LState, fn string) {
	if s.phase != loading {
		L.RaiseError("%s is only available while a script loads", fn)
	}
}

func (s *state) onlyServing(L *glua.LState, fn string) {
	if s.phase != serving {
		L.RaiseError("%s is not available while a script loads", fn)
	}
}

// wrongArg names function, argument and expectation.
func wrongArg(L *glua.LState, fn string, n int, want string) {
	L.RaiseError("%s: argument %d must be %s, got %s", fn, n, want, typeOf(L, n))
}
