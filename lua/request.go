package lua

import (
	"errors"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	glua "github.com/yuin/gopher-lua"
)

// methods are functions that scripts get by indexing, made once a state.
type methods struct {
	next, ipairs     *glua.LFunction
	body, json, form *glua.LFunction
	all              *glua.LFunction
}

// request is what a script holds as req during one call. What a script keeps
// after the call is dead.
type request struct {
	object glua.LUserData
	*Request
	dead  bool
	views [viewKinds]*view
	query url.Values // parsed when first asked for
}

// viewKind is a table-like part of a request.
type viewKind int

const (
	viewParams viewKind = iota
	viewQuery
	viewHeaders
	viewCookies
	viewContext
	viewKinds
)

// maxName bounds a name that is looked up, since looking is not charged.
const maxName = 1024

// view is req.params, req.query and so on.
type view struct {
	object glua.LUserData
	req    *request
	kind   viewKind
}

// openRequest makes the metatables of requests.
func (s *state) openRequest() {
	s.requestMeta = s.guardIndex(s.function(requestIndex))
	s.requestMeta.RawSetString("__newindex", s.function(requestAssign))
	s.viewMeta = s.guardIndex(s.function(viewIndex))
	s.viewMeta.RawSetString("__newindex", s.function(viewAssign))
	s.answerMeta = s.L.CreateTable(0, 1)
	s.answerMeta.RawSetString("__metatable", glua.LFalse)
	s.methods.body = s.function(requestBody)
	s.methods.json = s.unsupported("req:json")
	s.methods.form = s.unsupported("req:form")
	s.methods.all = s.function(viewAll)
}

// unsupported is a method that a later version has.
func (s *state) unsupported(name string) *glua.LFunction {
	return s.function(func(_ *state, L *glua.LState) int {
		L.RaiseError("%s is not supported in this version", name)
		return 0
	})
}

// newRequest wraps r for one call.
func (s *state) newRequest(r *Request) *request {
	req := &request{Request: r}
	req.object.Value = req
	req.object.Env = s.L.Env
	req.object.Metatable = s.requestMeta
	return req
}

func (s *state) view(req *request, kind viewKind) *glua.LUserData {
	if v := req.views[kind]; v != nil {
		return &v.object
	}
	v := &view{req: req, kind: kind}
	v.object.Value = v
	v.object.Env = s.L.Env
	v.object.Metatable = s.viewMeta
	req.views[kind] = v
	return &v.object
}

// requestArg is req as argument 1.
func requestArg(L *glua.LState, fn string) *request {
	if object, ok := L.Get(1).(*glua.LUserData); ok {
		if req, ok := object.Value.(*request); ok {
			req.mustLive(L)
			return req
		}
	}
	wrongArg(L, fn, 1, "a request")
	return nil
}

func viewArg(L *glua.LState, fn string) *view {
	if object, ok := L.Get(1).(*glua.LUserData); ok {
		if v, ok := object.Value.(*view); ok {
			v.req.mustLive(L)
			return v
		}
	}
	wrongArg(L, fn, 1, "a part of a request")
	return nil
}

func (r *request) mustLive(L *glua.LState) {
	if r.dead {
		L.RaiseError("the request has ended; its req cannot be kept")
	}
}

// requestIndex is req.name.
func requestIndex(s *state, L *glua.LState) int {
	req := requestArg(L, "req")
	name, _ := text(L.Get(2))
	v := s.requestField(req, name)
	if v == nil && len(name) <= maxName {
		v = s.requestField(req, strings.ToLower(name))
	}
	if v == nil {
		v = glua.LNil
	}
	return push(L, v)
}

// requestField is nil for a field that requests do not have.
func (s *state) requestField(req *request, name string) glua.LValue {
	var str string
	switch name {
	case "headers":
		return s.view(req, viewHeaders)
	case "params":
		return s.view(req, viewParams)
	case "query":
		return s.view(req, viewQuery)
	case "cookies":
		return s.view(req, viewCookies)
	case "ctx":
		return s.view(req, viewContext)
	case "body":
		return s.methods.body
	case "json":
		return s.methods.json
	case "form":
		return s.methods.form
	case "method":
		str = req.HTTP.Method
	case "scheme":
		str = req.Scheme
	case "host":
		str = req.Host
	case "path":
		str = req.Path
	case "raw_query":
		str = req.HTTP.URL.RawQuery
	case "id":
		str = req.ID
	case "ip":
		str = req.IP
	case "tenant":
		str = req.Tenant
	case "route":
		str = req.Route
	case "revision":
		str = req.Rev
	default:
		return nil
	}
	return glua.LString(str)
}

func requestAssign(_ *state, L *glua.LState) int {
	requestArg(L, "req")
	name, _ := text(L.Get(2))
	L.RaiseError("req.%s cannot be assigned; req.headers and req.ctx can", clip(name))
	return 0
}

// viewIndex is req.headers[name] and its like. Missing is nil.
func viewIndex(s *state, L *glua.LState) int {
	v := viewArg(L, "req")
	name, ok := text(L.Get(2))
	if !ok || len(name) > maxName {
		return push(L, glua.LNil)
	}
	if name == "all" && (v.kind == viewHeaders || v.kind == viewQuery) {
		return push(L, s.methods.all)
	}
	if v.kind == viewContext {
		return push(L, contextValue(v.req.Values[name]))
	}
	if value, ok := s.lookup(L, v, name); ok {
		s.alloc(L, 16)
		return push(L, glua.LString(value))
	}
	return push(L, glua.LNil)
}

// lookup finds the first value of name.
func (s *state) lookup(L *glua.LState, v *view, name string) (string, bool) {
	switch v.kind {
	case viewHeaders:
		if values := v.req.header(name); len(values) > 0 {
			return values[0], true
		}
	case viewQuery:
		if values := s.parsedQuery(L, v.req)[name]; len(values) > 0 {
			return values[0], true
		}
	case viewParams:
		if v.req.Param != nil {
			return v.req.Param(name)
		}
	case viewCookies:
		for _, line := range v.req.HTTP.Header["Cookie"] {
			s.step(L, 4+len(line)/16)
		}
		if cookie, err := v.req.HTTP.Cookie(name); err == nil {
			return cookie.Value, true
		}
	}
	return "", false
}

// header is all values of a header. net/http keeps Host apart.
func (r *request) header(name string) []string {
	name = textproto.CanonicalMIMEHeaderKey(name)
	if name == "Host" {
		return []string{r.Host}
	}
	return r.HTTP.Header[name]
}

// parsedQuery is the query; what cannot be parsed of it is left out.
func (s *state) parsedQuery(L *glua.LState, req *request) url.Values {
	if req.query == nil {
		raw := req.HTTP.URL.RawQuery
		s.alloc(L, 4*len(raw)+64)
		s.step(L, len(raw)/8)
		req.query, _ = url.ParseQuery(raw)
	}
	return req.query
}

// viewAll is req.headers:all(name): every value, as a list.
func viewAll(s *state, L *glua.LState) int {
	v := viewArg(L, "all")
	name := stringArg(L, 2, "all")
	var values []string
	if v.kind == viewHeaders {
		values = v.req.header(name)
	} else {
		values = s.parsedQuery(L, v.req)[name]
	}
	s.alloc(L, tableCost+2*slotCost*len(values))
	list := L.CreateTable(len(values), 0)
	for _, value := range values {
		list.Append(glua.LString(value))
	}
	return push(L, list)
}

// viewAssign is req.headers[name] = value and req.ctx[name] = value.
func viewAssign(s *state, L *glua.LState) int {
	v := viewArg(L, "req")
	switch v.kind {
	case viewHeaders:
		s.assignHeader(L, v.req)
	case viewContext:
		s.assignContext(L, v.req)
	default:
		L.RaiseError("this part of req cannot be assigned; req.headers and req.ctx can")
	}
	return 0
}

func (s *state) assignHeader(L *glua.LState, req *request) {
	name, problem := headerName(L.Get(2))
	if problem != "" {
		L.RaiseError("req.headers: %s", problem)
	}
	if L.Get(3) == glua.LNil {
		delete(req.HTTP.Header, name)
		return
	}
	value, problem := headerValue(name, L.Get(3))
	if problem != "" {
		L.RaiseError("req.headers: %s", problem)
	}
	s.alloc(L, fieldCost)
	if req.HTTP.Header == nil {
		req.HTTP.Header = http.Header{}
	}
	req.HTTP.Header[name] = []string{value}
}

// assignContext keeps plain values alone: others belong to this state, and the
// next function may run in another.
func (s *state) assignContext(L *glua.LState, req *request) {
	name, ok := L.Get(2).(glua.LString)
	if !ok {
		L.RaiseError("req.ctx: a name must be a string, got %s", L.Get(2).Type().String())
	}
	s.alloc(L, fieldCost)
	if req.Values == nil {
		req.Values = map[string]any{}
	}
	switch value := L.Get(3).(type) {
	case *glua.LNilType:
		delete(req.Values, string(name))
	case glua.LString:
		req.Values[string(name)] = string(value)
	case glua.LNumber:
		req.Values[string(name)] = float64(value)
	case glua.LBool:
		req.Values[string(name)] = bool(value)
	default:
		L.RaiseError("req.ctx.%s must be a string, number or boolean, got %s", clip(string(name)), value.Type().String())
	}
}

func contextValue(v any) glua.LValue {
	switch v := v.(type) {
	case string:
		return glua.LString(v)
	case float64:
		return glua.LNumber(v)
	case bool:
		return glua.LBool(v)
	}
	return glua.LNil
}

// requestBody is req:body([max]). Too large a body is nil and a message; one
// that cannot be read ends the call.
func requestBody(s *state, L *glua.LState) int {
	req := requestArg(L, "req:body")
	most := min(s.budget.alloc, maxString)
	if L.Get(2) != glua.LNil {
		n, ok := L.Get(2).(glua.LNumber)
		if !ok || n < 0 {
			wrongArg(L, "req:body", 2, "a number of bytes")
		}
		most = min(most, int64(toInt(float64(n))))
	}
	if req.ReadBody == nil {
		return push(L, glua.LString(""))
	}
	data, err := req.ReadBody(most)
	switch {
	case errors.Is(err, ErrBodyTooLarge):
		return push(L, glua.LNil, glua.LString(ErrBodyTooLarge.Error()))
	case err != nil:
		s.budget.spend(KindBody, "the body could not be read", err)
	}
	s.str(L, len(data))
	return push(L, glua.LString(data))
}
