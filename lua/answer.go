package lua

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	glua "github.com/yuin/gopher-lua"
	"golang.org/x/net/http/httpguts"
)

// decided is a decision that a script holds, good for one request.
type decided struct {
	Decision
	request *request
}

// answer reads what a registered function returned. answered is false when it
// returned nothing; problem is what is wrong with what it returned.
func (s *state) answer() (d Decision, answered bool, problem string) {
	switch first := s.L.Get(1).(type) {
	case *glua.LNilType:
		return d, false, ""
	case glua.LNumber:
		d, problem = s.respond(first, s.L.Get(2), s.L.Get(3))
		return d, true, problem
	case *glua.LTable:
		d, problem = s.respond(first.RawGetString("status"), first.RawGetString("body"), first.RawGetString("headers"))
		return d, true, problem
	case *glua.LUserData:
		if a, ok := first.Value.(*decided); ok && a.request == s.request {
			return a.Decision, true, ""
		} else if ok {
			return d, true, "a response cannot be kept from one request to another"
		}
	}
	return d, true, "a response is status[, body[, headers]], a table of these, keystone.proxy(...) or keystone.redirect(...), got " +
		s.L.Get(1).Type().String()
}

// respond makes a response of its three parts.
func (s *state) respond(status, body, headers glua.LValue) (d Decision, problem string) {
	code, ok := status.(glua.LNumber)
	if !ok {
		return d, "a response's status must be a number, got " + status.Type().String()
	}
	if code != glua.LNumber(int(code)) || code < 200 || code > 599 {
		return d, fmt.Sprintf("a response's status must be 200 to 599, got %s", number(float64(code)))
	}
	d = Decision{Action: Respond, Status: int(code), Header: http.Header{}, Retries: -1}
	switch h := headers.(type) {
	case *glua.LNilType:
	case *glua.LTable:
		if d.Header, _, problem = headerTable(h, false); problem != "" {
			return d, problem
		}
	default:
		return d, "a response's headers must be a table, got " + headers.Type().String()
	}
	kind := "text/plain; charset=utf-8"
	switch b := body.(type) {
	case *glua.LNilType:
		return d, ""
	case *glua.LTable:
		kind = "application/json"
		if d.Body, problem = encodeJSON(&s.budget, b); problem != "" {
			return d, "a response's body: " + problem
		}
	default:
		t, ok := text(body)
		if !ok {
			return d, "a response's body must be a string or a table, got " + body.Type().String()
		}
		if !s.budget.take(len(t)) {
			return d, s.budget.failure.Msg
		}
		d.Body = []byte(t)
	}
	if d.Header["Content-Type"] == nil {
		d.Header["Content-Type"] = []string{kind}
	}
	return d, ""
}

// decide pushes a decision for the handler to return.
func (s *state) decide(L *glua.LState, d Decision) int {
	s.alloc(L, tableCost)
	return push(L, &glua.LUserData{Value: &decided{d, s.request}, Env: L.Env, Metatable: s.answerMeta})
}

// keystoneRedirect is keystone.redirect(url[, code]).
func keystoneRedirect(s *state, L *glua.LState) int {
	const fn = "keystone.redirect"
	s.onlyServing(L, fn)
	to, ok := L.Get(1).(glua.LString)
	if !ok {
		wrongArg(L, fn, 1, "a URL")
	}
	if _, err := url.Parse(string(to)); err != nil || to == "" || !visible(string(to)) {
		L.RaiseError("%s: argument 1 is no URL", fn)
	}
	code := http.StatusFound
	if L.Get(2) != glua.LNil {
		n, _ := L.Get(2).(glua.LNumber)
		switch code = int(n); code {
		case 301, 302, 303, 307, 308:
		default:
			wrongArg(L, fn, 2, "301, 302, 303, 307 or 308")
		}
	}
	return s.decide(L, Decision{
		Action: Respond, Status: code, Header: http.Header{"Location": {string(to)}}, Retries: -1,
	})
}

// visible tells whether s is visible ASCII alone.
func visible(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) < 0
}

// keystoneProxy is keystone.proxy(upstream[, options]).
func keystoneProxy(s *state, L *glua.LState) int {
	const fn = "keystone.proxy"
	s.onlyServing(L, fn)
	name, ok := L.Get(1).(glua.LString)
	if !ok {
		wrongArg(L, fn, 1, "the name of an upstream")
	}
	if !s.program.upstreams[string(name)] {
		L.RaiseError("%s: upstream %q is not defined", fn, clip(string(name)))
	}
	d := Decision{Action: Proxy, Upstream: string(name), Retries: -1}
	switch options := L.Get(2).(type) {
	case *glua.LNilType:
	case *glua.LTable:
		problem := ""
		options.ForEach(func(k, v glua.LValue) {
			if problem == "" {
				problem = d.option(k.String(), v)
			}
		})
		if problem != "" {
			L.RaiseError("%s: %s", fn, problem)
		}
	default:
		wrongArg(L, fn, 2, "a table")
	}
	return s.decide(L, d)
}

// option takes one option of keystone.proxy.
func (d *Decision) option(name string, v glua.LValue) (problem string) {
	str, isString := v.(glua.LString)
	num, isNumber := v.(glua.LNumber)
	switch name {
	case "path":
		if d.Path = string(str); !isString || !strings.HasPrefix(d.Path, "/") || strings.ContainsAny(d.Path, "?#") || !visible(d.Path) {
			return `path must begin with "/" and have no "?", "#", space or control character`
		}
	case "query":
		query := string(str)
		if t, ok := v.(*glua.LTable); ok {
			query, problem = encodeQuery(t)
		} else if !isString || strings.Contains(query, "#") || !visible(query) {
			problem = "query must be a table, or a string without \"#\", space or control character"
		}
		d.Query = &query
	case "host":
		if d.Host = string(str); !isString || d.Host == "" || !httpguts.ValidHostHeader(d.Host) || strings.ContainsAny(d.Host, "/@?#") {
			return "host must be a host name"
		}
	case "headers":
		t, ok := v.(*glua.LTable)
		if !ok {
			return "headers must be a table"
		}
		d.Set, d.Remove, problem = headerTable(t, true)
	case "timeout":
		if !isNumber || !(num > 0 && num <= 86400) {
			return "timeout must be a number of seconds"
		}
		d.Timeout = time.Duration(float64(num) * float64(time.Second))
	case "retries":
		if !isNumber || num != glua.LNumber(int(num)) || num < 0 || num > 10 {
			return "retries must be 0 to 10"
		}
		d.Retries = int(num)
	default:
		return fmt.Sprintf("there is no option %q (path, query, host, headers, timeout, retries)", clip(name))
	}
	return problem
}

// encodeQuery makes a query of a table, sorted by name.
func encodeQuery(t *glua.LTable) (query, problem string) {
	values := url.Values{}
	t.ForEach(func(k, v glua.LValue) {
		name, ok1 := text(k)
		value, ok2 := text(v)
		if !ok1 || !ok2 {
			problem = "query must hold strings and numbers"
			return
		}
		values.Set(name, value)
	})
	return values.Encode(), problem
}
