package lua

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLoadErrors: why scripts do not load, with the place.
func TestLoadErrors(t *testing.T) {
	tests := []struct{ name, script, want string }{
		{"syntax", "local x = 1\nlocal = 2", `shop/main.lua:2: syntax error near "="`},
		{"an open block", "if true then\n\n", "shop/main.lua:1: syntax error at the end of the file"},
		{"an open string", "x = 'abc", `shop/main.lua:1: unterminated string at the end of the file`},
		{"bytecode", "\x1bLuaQ", "shop/main.lua:1: precompiled scripts are not accepted"},
		{"too large", "--" + strings.Repeat("x", 256<<10), "shop/main.lua: 262146 bytes is over the limit of 256 KiB for a source file"},
		{"an error", "\nerror('no')", "shop/main.lua:2: no"},
		{"an endless loop", "while true do end", "shop/main.lua:1: over the limit of instructions"},
		{"a handler that is none", "keystone.get('/', 5)", "shop/main.lua:1: keystone.get: argument 2 must be a function, got number"},
		{"no handler", "keystone.get('/')", "shop/main.lua:1: keystone.get: argument 2 must be a function, got no value"},
		{"a pattern that is none", "keystone.post('x', print)", `shop/main.lua:1: keystone.post: argument 1 must be a pattern that begins with "/", got string`},
		{"a pattern with a space", "keystone.post('/a b', print)", `shop/main.lua:1: keystone.post: pattern "/a b": only visible ASCII can match`},
		{"a route twice", "keystone.get('/a', print)\nkeystone.get('/a', print)", `shop/main.lua:2: keystone.get: GET "/a" is registered at shop/main.lua:1 already`},
		{"a method that is none", "keystone.route('G T', '/', print)", "shop/main.lua:1: keystone.route: argument 1 must be a method, got string"},
		{"CONNECT", "keystone.route('connect', '/', print)", "shop/main.lua:1: keystone.route: CONNECT is never routed"},
		{"hooks to come", "keystone.use{response = print}", "shop/main.lua:1: keystone.use: response hooks are not supported in this version"},
		{"not_found twice", "keystone.not_found(print) keystone.not_found(print)", "shop/main.lua:1: keystone.not_found is called twice"},
		{"proxying", "keystone.proxy('search')", "shop/main.lua:1: keystone.proxy is not available while a script loads"},
		{"an API to come", "local f = keystone.on_error", "shop/main.lua:1: keystone.on_error is not supported in this version"},
		{"a module elsewhere", "require 'other.x'", `shop/main.lua:1: require "other.x": only modules of shop and lib can be required`},
		{"a module by path", "require '../etc/passwd'", `shop/main.lua:1: require "../etc/passwd": a module is named like "shop.auth", for shop/auth.lua`},
		{"a module that is not there", "require 'shop.none'", `shop/main.lua:1: require "shop.none": shop/none.lua: no such file`},
		{"a module that is broken", "require 'shop.broken'", `shop/broken.lua:2: syntax error near "("`},
		{"a module that fails", "require 'shop.fails'", "shop/fails.lua:1: no"},
		{"modules in a circle", "require 'shop.a'", `shop/b.lua:1: require "shop.a": it requires itself`},
		{"deep brackets", strings.Repeat("(", 200) + "1" + strings.Repeat(")", 200), "shop/main.lua:1: nested more than 150 levels deep"},
		{"deep functions", strings.Repeat("function f() ", 200) + strings.Repeat("end ", 200), "shop/main.lua:1: nested more than 150 levels deep"},
		{"a long chain to the left", "return 1" + strings.Repeat("+1", 200), "shop/main.lua:1: nested more than 150 levels deep"},
		{"a long chain of indexing", "return a" + strings.Repeat(".a", 200), "shop/main.lua:1: nested more than 150 levels deep"},
		{"a long chain of powers", "return 1" + strings.Repeat("^1", 200), "shop/main.lua:1: nested more than 150 levels deep"},
		{"many nots", "return " + strings.Repeat("not ", 200) + "1", "shop/main.lua:1: nested more than 150 levels deep"},
		{"many minuses", "return " + strings.Repeat("- ", 200) + "1", "shop/main.lua:1: nested more than 150 levels deep"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := options("")
			o.Source = files{
				"shop/main.lua":   test.script,
				"shop/broken.lua": "x = 1\nlocal (",
				"shop/fails.lua":  "error('no')",
				"shop/a.lua":      "require 'shop.b'",
				"shop/b.lua":      "require 'shop.a'",
				"shop/none2.lua":  "",
			}
			o.Limits.LoadInstructions = 100_000
			if got := failure(t, o).Error(); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestAllBrokenEntryScriptsAreNamed(t *testing.T) {
	o := options("x x")
	o.Scripts = []string{"shop/main.lua", "gone.lua", "two.lua"}
	o.Source = files{"shop/main.lua": "x x", "two.lua": "y ="}
	got := failure(t, o)
	want := "shop/main.lua:1: parse error near \"x\"\ngone.lua: no such file\ntwo.lua:1: syntax error at the end of the file"
	if got.Error() != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var paths []string
	for _, in := range got.Inputs {
		paths = append(paths, fmt.Sprint(in.Path, " ", in.Hash != ""))
	}
	if diff := cmp.Diff(paths, []string{"gone.lua false", "shop/main.lua true", "two.lua true"}); diff != "" {
		t.Errorf("inputs: got -, want +:\n%s", diff)
	}
}

// TestInputs: everything a program was made from, and looked for in vain.
func TestInputs(t *testing.T) {
	o := options("")
	src := files{
		"shop/main.lua":  "local a = require 'shop.auth' assert(a == require 'shop.auth' and a.name == 'auth') pcall(require, 'lib.none')",
		"shop/auth.lua":  "require 'lib.deep.x' return {name = 'auth'}",
		"lib/deep/x.lua": "x = 1",
		"shop/other.lua": "never = required",
	}
	o.Source = src
	p := compiled(t, o)
	var want []Input
	for _, path := range []string{"lib/deep/x.lua", "lib/none.lua", "shop/auth.lua", "shop/main.lua"} {
		in := Input{Path: path}
		if _, hash, ok := src.Lookup(path); ok {
			in.Hash = hash
		}
		want = append(want, in)
	}
	if diff := cmp.Diff(p.Inputs(), want); diff != "" {
		t.Errorf("got -, want +:\n%s", diff)
	}
	pooled(t, p) // the second state finds them too
}

func TestSourcesOfOneTenantAreBounded(t *testing.T) {
	o := options("")
	src := files{}
	o.Scripts = nil
	for i := range 9 {
		path := fmt.Sprintf("shop/%d.lua", i)
		src[path] = "--" + strings.Repeat("x", 250<<10)
		o.Scripts = append(o.Scripts, path)
	}
	o.Source = src
	want := "shop/8.lua: the scripts of shop are over the limit of 2 MiB together"
	if got := failure(t, o).Error(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestRoutes: what is registered, in which order chains run, and where it says
// it stands.
func TestRoutes(t *testing.T) {
	p := compiled(t, options(`
keystone.get("/a", function() end)                -- 0
keystone.use(function() end)                      -- 1
keystone.group("/api/", function(g)
  g.post("/b/{id}", function() end)               -- 2
  g.use(function() end)                           -- 3
  g.group("/deep", function(h)
    h.use(function() end)                         -- 4
    h.route("report", "/c", function() end)       -- 5
    keystone.any("/root", function() end)         -- 6
  end)
end)
keystone.not_found(function() end)                -- 7
keystone.use(function() end)                      -- 8
`))
	want := []Route{
		{"GET", "/a", Chain{1, 8, 0}, "shop/main.lua", 2},
		{"POST", "/api/b/{id}", Chain{1, 8, 3, 2}, "shop/main.lua", 5},
		{"REPORT", "/api/deep/c", Chain{1, 8, 3, 4, 5}, "shop/main.lua", 9},
		{"", "/root", Chain{1, 8, 6}, "shop/main.lua", 10},
	}
	if diff := cmp.Diff(p.Routes(), want); diff != "" {
		t.Errorf("routes: got -, want +:\n%s", diff)
	}
	if diff := cmp.Diff([]Chain{p.Use(), p.NotFound()}, []Chain{{1, 8}, {1, 8, 7}}); diff != "" {
		t.Errorf("use, not_found: got -, want +:\n%s", diff)
	}
	plain := compiled(t, options(""))
	if plain.Use() != nil || plain.NotFound() != nil || plain.Routes() != nil {
		t.Errorf("got %v, %v, %v of an empty script, want nothing", plain.Use(), plain.NotFound(), plain.Routes())
	}
}

// TestScriptsShareAState: entry scripts run in order in one state, and what
// one defines the next may use.
func TestScriptsShareAState(t *testing.T) {
	o := options("")
	o.Scripts = []string{"first.lua", "shop/main.lua"}
	o.Source = files{
		"first.lua":     "local hidden = 1 function shared() return 'from first' end",
		"shop/main.lua": "assert(hidden == nil) keystone.get('/', function() return 200, shared() end)",
	}
	p := compiled(t, o)
	d, err := pooled(t, p).Call(t.Context(), p.Routes()[0].Chain, asking("/"))
	if err != nil || string(d.Body) != "from first" {
		t.Errorf("got %q, %v", d.Body, err)
	}
}

func TestSecondStateMustRegisterAlike(t *testing.T) {
	const differently = "registers differently in a second state: "
	tests := []struct{ name, script, want string }{
		{"another pattern", "keystone.get('/' .. math.random(1, 2^50), print)", "shop/main.lua:1: " + differently},
		{"another shape", "for i = 1, math.random(2, 2^10) do keystone.use(print) end", "shop/main.lua: " + differently + "its middleware or not_found changed"},
		{"more routes", "for i = 1, math.random(2, 2^10) do keystone.get('/' .. i, print) end", "shop/main.lua:1: " + differently},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for { // one in a thousand times two states agree by chance
				p := compiled(t, options(test.script))
				pool, err := p.NewPool(t.Context())
				if err == nil {
					pool.Close()
					continue
				}
				if !strings.HasPrefix(err.Error(), test.want) {
					t.Errorf("got  %s\nwant %s...", err, test.want)
				}
				if live := p.states.Live(); live != 0 {
					t.Errorf("%d states are left", live)
				}
				return
			}
		})
	}
}

// TestScriptThatFailsOnlyInASecondState is refused, by its own error.
func TestScriptThatFailsOnlyInASecondState(t *testing.T) {
	script := "if math.random() < 0.5 then error('unlucky') end"
	for {
		p, err := Compile(t.Context(), options(script))
		if err != nil {
			continue // it failed in the first
		}
		pool, err := p.NewPool(t.Context())
		if err == nil {
			pool.Close()
			continue
		}
		if want := "shop/main.lua:1: unlucky"; err.Error() != want {
			t.Errorf("got %s, want %s", err, want)
		}
		return
	}
}

func TestCompileEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Compile(ctx, options("while true do end"))
	f, ok := err.(*Failure) //nolint:errorlint // the type is the contract
	if !ok || f.Errors[0].Kind != KindCanceled {
		t.Errorf("got %v, want a *Failure of kind %d", err, KindCanceled)
	}
}

func TestCacheSharesPrototypes(t *testing.T) {
	cache := NewCache()
	o := options("return 1")
	o.Cache = cache
	a, b := compiled(t, o), compiled(t, o)
	if a.files["shop/main.lua"].proto != b.files["shop/main.lua"].proto {
		t.Error("one file was compiled twice")
	}
	o.Source = files{"shop/main.lua": "return 2"}
	if c := compiled(t, o); c.files["shop/main.lua"].proto == a.files["shop/main.lua"].proto {
		t.Error("another content gave the same prototype")
	}
}
