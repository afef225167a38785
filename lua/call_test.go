package lua

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestAnswers: what a handler may return.
func TestAnswers(t *testing.T) {
	text := http.Header{"Content-Type": {"text/plain; charset=utf-8"}}
	json := http.Header{"Content-Type": {"application/json"}}
	tests := []struct {
		name, body string
		want       Decision
	}{
		{"a status", "return 204", Decision{Action: Respond, Status: 204, Header: http.Header{}}},
		{"status and body", "return 200, 'hi'", Decision{Action: Respond, Status: 200, Header: text, Body: []byte("hi")}},
		{"a number as body", "return 200, 4.5", Decision{Action: Respond, Status: 200, Header: text, Body: []byte("4.5")}},
		{"a table is JSON", "return 400, {error = 'bad \"id\"', n = {1, 2, true}, e = {}}", Decision{Action: Respond, Status: 400, Header: json, Body: []byte(`{"e":{},"error":"bad \"id\"","n":[1,2,true]}`)}},
		{"headers", "return 200, '<p>', {['content-type'] = 'text/html', ['Set-Cookie'] = {'a=1', 'b=2'}}", Decision{Action: Respond, Status: 200, Header: http.Header{"Content-Type": {"text/html"}, "Set-Cookie": {"a=1", "b=2"}}, Body: []byte("<p>")}},
		{"all in a table", "return {status = 201, body = 'x', headers = {['X-A'] = 1}}", Decision{Action: Respond, Status: 201, Header: http.Header{"Content-Type": text["Content-Type"], "X-A": {"1"}}, Body: []byte("x")}},
		{"redirect", "return keystone.redirect('/new')", Decision{Action: Respond, Status: 302, Header: http.Header{"Location": {"/new"}}}},
		{"redirect with a code", "return keystone.redirect('https://example.com/', 308)", Decision{Action: Respond, Status: 308, Header: http.Header{"Location": {"https://example.com/"}}}},
		{"proxy", "return keystone.proxy('search')", Decision{Action: Proxy, Upstream: "search"}},
		{
			"proxy with options", "return keystone.proxy('search', {path = '/internal/7', query = {b = 2, a = 'x y'}, host = 'h.example', headers = {['X-Tenant'] = req.tenant, Cookie = false}, timeout = 0.5, retries = 2})",
			Decision{Action: Proxy, Upstream: "search", Path: "/internal/7", Query: new("a=x+y&b=2"), Host: "h.example", Set: http.Header{"X-Tenant": {"shop"}}, Remove: []string{"Cookie"}, Timeout: 500 * time.Millisecond, Retries: 2},
		},
		{"proxy with an empty query", "return keystone.proxy('search', {query = ''})", Decision{Action: Proxy, Upstream: "search", Query: new("")}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.want.Retries == 0 {
				test.want.Retries = -1
			}
			pool, chain := handling(t, test.body)
			got, err := pool.Call(t.Context(), chain, asking("/"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, test.want); diff != "" {
				t.Errorf("got -, want +:\n%s", diff)
			}
		})
	}
}

// TestRefusals: what a handler may not do, and where the error says it stands.
func TestRefusals(t *testing.T) {
	tests := []struct{ name, body, want string }{
		{"nothing", "", "shop/main.lua:1: handler returned no response"},
		{"a string first", "return 'hi'", "shop/main.lua:1: a response is status[, body[, headers]], a table of these, keystone.proxy(...) or keystone.redirect(...), got string"},
		{"an informational status", "return 101", "shop/main.lua:1: a response's status must be 200 to 599, got 101"},
		{"half a status", "return 200.5", "shop/main.lua:1: a response's status must be 200 to 599, got 200.5"},
		{"no status in a table", "return {body = 'x'}", "shop/main.lua:1: a response's status must be a number, got nil"},
		{"a line break in a header", "return 200, '', {['X-A'] = 'a\\r\\nSet-Cookie: b'}", "shop/main.lua:1: the value of the header X-A has control characters"},
		{"a framing header", "return 200, '', {['transfer-encoding'] = 'chunked'}", "shop/main.lua:1: the header Transfer-Encoding cannot be set by a script"},
		{"no header name", "return 200, '', {['a b'] = 'x'}", `shop/main.lua:1: "a b" is no header name`},
		{"a body that has no JSON", "return 200, {f = print}", "shop/main.lua:1: a response's body: a function has no JSON"},
		{"a table that holds itself", "local t = {} t.t = t return 200, t", "shop/main.lua:1: a response's body: nested more than 64 levels deep, or holding itself"},
		{"an unknown upstream", "return keystone.proxy('nope')", `shop/main.lua:2: keystone.proxy: upstream "nope" is not defined`},
		{"a relative path", "return keystone.proxy('search', {path = 'x'})", `shop/main.lua:2: keystone.proxy: path must begin with "/" and have no "?", "#", space or control character`},
		{"an authority for a host", "return keystone.proxy('search', {host = 'a@b'})", "shop/main.lua:2: keystone.proxy: host must be a host name"},
		{"a hop-by-hop header", "return keystone.proxy('search', {headers = {Connection = 'X-Id'}})", "shop/main.lua:2: keystone.proxy: the header Connection cannot be set by a script"},
		{"an unknown option", "return keystone.proxy('search', {pth = '/'})", `shop/main.lua:2: keystone.proxy: there is no option "pth" (path, query, host, headers, timeout, retries)`},
		{"a redirect that breaks lines", "return keystone.redirect('/a\\r\\nX: y')", "shop/main.lua:2: keystone.redirect: argument 1 is no URL"},
		{"registering", "keystone.get('/x', print)", "shop/main.lua:2: keystone.get is only available while a script loads"},
		{"requiring", "require 'shop.x'", "shop/main.lua:2: require is only available while a script loads"},
		{"a name to come", "keystone.fetch('x')", "shop/main.lua:2: keystone.fetch is not supported in this version"},
		{"a name that is none", "keystone.gte()", "shop/main.lua:2: keystone.gte does not exist"},
		{"assigning req", "req.path = '/x'", "shop/main.lua:2: req.path cannot be assigned; req.headers and req.ctx can"},
		{"assigning params", "req.params.id = 1", "shop/main.lua:2: this part of req cannot be assigned; req.headers and req.ctx can"},
		{"a table in ctx", "req.ctx.t = {}", "shop/main.lua:2: req.ctx.t must be a string, number or boolean, got table"},
		{"Host by header", "req.headers.Host = 'x'", "shop/main.lua:2: req.headers: the header Host cannot be set by a script"},
		{"a header with a line break", "req.headers['X-A'] = 'a\\nb'", "shop/main.lua:2: req.headers: the value of the header X-A has control characters"},
		{"replacing a request's metatable", "setmetatable(req, {})", "shop/main.lua:2: bad argument #1 to 'setmetatable' (table expected, got userdata)"},
		{"a part of something else", "req.headers.all({}, 'x')", "shop/main.lua:2: all: argument 1 must be a part of a request, got table"},
		{"json to come", "req:json()", "shop/main.lua:2: req:json is not supported in this version"},
		{"writing a library through a function", "local s = string rawset(s, 'x', 1)", "shop/main.lua:2: attempt to change a read-only table"},
		{"sorting a library", "table.sort(keystone)", "shop/main.lua:2: attempt to change a read-only table"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			pool, chain := handling(t, test.body)
			_, err := pool.Call(t.Context(), chain, asking("/"))
			got := asError(t, err)
			if got.Kind != KindScript || got.Error() != test.want {
				t.Errorf("got  kind %d, %s\nwant kind %d, %s", got.Kind, got, KindScript, test.want)
			}
		})
	}
}

// TestRequest: what a script sees of a request.
func TestRequest(t *testing.T) {
	tests := []struct{ name, body, want string }{
		{"fields", "return 200, table.concat({req.method, req.scheme, req.host, req.path, req.raw_query, req.id, req.ip, req.tenant, req.route, req.revision}, ' ')", "GET http example.com /a q=1&q=2&e=%20 id1 192.0.2.1 shop / abc"},
		{"any case", "return 200, req.METHOD .. req.Path", "GET/a"},
		{"missing is nil", "return 200, tostring(req.nope) .. tostring(req.headers.nope) .. tostring(req.query.nope) .. tostring(req.params.nope) .. tostring(req.cookies.nope) .. tostring(req.ctx.nope)", "nilnilnilnilnilnil"},
		{"headers in any case", "return 200, req.headers['x-many'] .. req.headers.HOST", "1example.com"},
		{"all values", "return 200, table.concat(req.headers:all('X-Many'), ',') .. table.concat(req.query:all('q'), ',')", "1,21,2"},
		{"query is decoded", "return 200, req.query.q .. '[' .. req.query.e .. ']'", "1[ ]"},
		{"params", "return 200, req.params.id", "7"},
		{"cookies", "return 200, req.cookies.c", "v"},
		{"body", "return 200, req:body()", "payload"},
		{"body within a limit", "return 200, req:body(7)", "payload"},
		{"body over a limit", "local b, err = req:body(3) return 200, tostring(b) .. ' ' .. err", "nil body too large"},
		{"ctx", "req.ctx.s = 'x' req.ctx.n = 1.5 req.ctx.b = false req.ctx.gone = 1 req.ctx.gone = nil return 200, req.ctx.s .. req.ctx.n .. tostring(req.ctx.b) .. tostring(req.ctx.gone)", "x1.5falsenil"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			req := asking("http://example.com/a?q=1&q=2&e=%20")
			req.HTTP.Header = http.Header{"X-Many": {"1", "2"}, "Cookie": {"c=v"}}
			req.Param = func(name string) (string, bool) { return "7", name == "id" }
			req.ReadBody = func(max int64) ([]byte, error) {
				if max < 7 {
					return nil, ErrBodyTooLarge
				}
				return []byte("payload"), nil
			}
			pool, chain := handling(t, test.body)
			d, err := pool.Call(t.Context(), chain, req)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(d.Body); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestHeadersAssignedAreForwarded(t *testing.T) {
	pool, chain := handling(t, `
		req.headers['x-user'] = 'ann'
		req.headers['X-Gone'] = nil
		req.headers['X-Number'] = 4
		return keystone.proxy('search')`)
	req := asking("/")
	req.HTTP.Header = http.Header{"X-Gone": {"a", "b"}, "X-Kept": {"k"}, "X-User": {"forged", "twice"}}
	if _, err := pool.Call(t.Context(), chain, req); err != nil {
		t.Fatal(err)
	}
	want := http.Header{"X-Kept": {"k"}, "X-User": {"ann"}, "X-Number": {"4"}}
	if diff := cmp.Diff(req.HTTP.Header, want); diff != "" {
		t.Errorf("got -, want +:\n%s", diff)
	}
}

func TestBodyThatCannotBeReadEndsTheCall(t *testing.T) {
	pool, chain := handling(t, "pcall(req.body, req) return 200, 'survived'")
	req := asking("/")
	broken := errors.New("connection reset")
	req.ReadBody = func(int64) ([]byte, error) { return nil, broken }
	_, err := pool.Call(t.Context(), chain, req)
	if got := asError(t, err); got.Kind != KindBody || !errors.Is(err, broken) {
		t.Errorf("got kind %d, cause %v; want kind %d, cause %v", got.Kind, got.Err, KindBody, broken)
	}
}

func TestRequestKeptIsDead(t *testing.T) {
	p, pool := scripted(t, `
		local kept, headers
		keystone.get('/keep', function(req) kept, headers = req, req.headers return 200 end)
		keystone.get('/use', function(req) return 200, select(2, pcall(function() return kept.path end)) .. '|' .. select(2, pcall(function() return headers.x end)) end)`)
	routes := p.Routes()
	if _, err := pool.Call(t.Context(), routes[0].Chain, asking("/")); err != nil {
		t.Fatal(err)
	}
	d, err := pool.Call(t.Context(), routes[1].Chain, asking("/"))
	if err != nil {
		t.Fatal(err)
	}
	const dead = "shop/main.lua:4: the request has ended; its req cannot be kept"
	if got, want := string(d.Body), dead+"|"+dead; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestResponseKeptIsRefused(t *testing.T) {
	p, pool := scripted(t, `
		local kept
		keystone.get('/', function() kept = kept or keystone.redirect('/x') return kept end)`)
	chain := p.Routes()[0].Chain
	if _, err := pool.Call(t.Context(), chain, asking("/")); err != nil {
		t.Fatal(err)
	}
	_, err := pool.Call(t.Context(), chain, asking("/"))
	if got, want := asError(t, err).Msg, "a response cannot be kept from one request to another"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestCoroutineKeptUnstarted ends with the call that made it.
func TestCoroutineKeptUnstarted(t *testing.T) {
	p, pool := scripted(t, `
		local kept
		keystone.get('/', function()
			if kept then return 200, coroutine.status(kept) .. ' ' .. select(2, coroutine.resume(kept)) end
			kept = coroutine.create(function() end)
			return 200, coroutine.status(kept)
		end)`)
	for _, want := range []string{"suspended", "dead cannot resume dead coroutine"} {
		d, err := pool.Call(t.Context(), p.Routes()[0].Chain, asking("/"))
		if err != nil || string(d.Body) != want {
			t.Errorf("got %q, %v; want %q", d.Body, err, want)
		}
	}
}

// TestChains: middleware answers or lets go on, and what it puts into ctx is
// there for the handler.
func TestChains(t *testing.T) {
	p, pool := scripted(t, `
		keystone.use(function(req) req.ctx.seen = 'first' end)
		keystone.get('/', function(req) return 200, req.ctx.seen end)
		keystone.use(function(req) if req.headers['X-Deny'] then return 403, 'no' end end)
		keystone.not_found(function(req) return 404, 'nothing at ' .. req.path end)`)
	denied := asking("/")
	denied.HTTP.Header.Set("X-Deny", "1")
	tests := []struct {
		name   string
		chain  Chain
		req    *Request
		action Action
		body   string
	}{
		{"the handler answers", p.Routes()[0].Chain, asking("/"), Respond, "first"},
		{"middleware answers, though used later", p.Routes()[0].Chain, denied, Respond, "no"},
		{"middleware alone lets go on", p.Use(), asking("/"), Next, ""},
		{"middleware alone answers", p.Use(), denied, Respond, "no"},
		{"not_found", p.NotFound(), asking("/x"), Respond, "nothing at /x"},
		{"no function", nil, asking("/"), Next, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d, err := pool.Call(t.Context(), test.chain, test.req)
			if err != nil {
				t.Fatal(err)
			}
			if d.Action != test.action || string(d.Body) != test.body {
				t.Errorf("got %d %q, want %d %q", d.Action, d.Body, test.action, test.body)
			}
		})
	}
}

func TestBudgets(t *testing.T) {
	tests := []struct {
		name, body, want string
		limits           Limits
	}{
		{"instructions", "while true do end", "shop/main.lua:2: over the limit of instructions", Limits{Instructions: 1000}},
		{"instructions in a coroutine under pcall", "pcall(coroutine.wrap(function() pcall(function() while true do end end) end)) return 200", "shop/main.lua:2: over the limit of instructions", Limits{Instructions: 1000}},
		{"memory", "local s = ('x'):rep(2000)", "shop/main.lua:2: over the limit of memory", Limits{Alloc: 1000}},
		{"memory of a body", "return 200, req:body()", "shop/main.lua:2: over the limit of memory", Limits{Alloc: 1000}},
		{"memory of JSON", "local t = {} for i = 1, 50 do t[i] = 'xxxxxxxxxxxxxxxxxxxx' end return 200, t", "over the limit of memory", Limits{Alloc: 3000}},
		{"wall clock", "while true do end", "shop/main.lua:2: over the limit of wall clock time", Limits{Timeout: time.Nanosecond}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := options("keystone.any('/', function(req)\n" + test.body + "\nend)")
			o.Limits = test.limits
			p := compiled(t, o)
			pool := pooled(t, p)
			req := asking("/")
			req.ReadBody = func(max int64) ([]byte, error) { return make([]byte, max+1), nil } // one that does not keep to its limit
			_, err := pool.Call(t.Context(), p.Routes()[0].Chain, req)
			got := asError(t, err)
			if got.Kind != KindBudget || got.Error() != test.want {
				t.Errorf("got  kind %d, %s\nwant kind %d, %s", got.Kind, got, KindBudget, test.want)
			}
		})
	}
}

func TestRequestThatEndsEndsItsScript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := compiled(t, options(`
			keystone.any('/', function(req) req:body() while true do end end)`))
		pool := pooled(t, p)
		ctx, cancel := context.WithCancel(t.Context())
		req := asking("/")
		req.ReadBody = func(int64) ([]byte, error) { cancel(); return nil, nil }
		_, err := pool.Call(ctx, p.Routes()[0].Chain, req)
		if got := asError(t, err); got.Kind != KindCanceled {
			t.Errorf("got %v (kind %d), want kind %d", got, got.Kind, KindCanceled)
		}
	})
}

func TestInterpreterPanicsAreErrors(t *testing.T) {
	pool, chain := handling(t, "local ok, err = pcall(req.body, req) return 200, tostring(err)")
	req := asking("/")
	req.ReadBody = func(int64) ([]byte, error) { panic("secret of the process") }
	_, err := pool.Call(t.Context(), chain, req)
	got := asError(t, err)
	if got.Kind != KindScript || got.Msg != "internal error" || strings.Contains(got.Error(), "secret") {
		t.Errorf("got %v (kind %d), want an internal error", got, got.Kind)
	}
	if pool.states.Live() != 1 {
		t.Errorf("got %d states, want the one that broke thrown away", pool.states.Live())
	}
}
