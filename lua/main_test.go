package lua

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// files is a Source: content by path.
type files map[string]string

func (f files) Lookup(path string) ([]byte, string, bool) {
	s, ok := f[path]
	sum := sha256.Sum256([]byte(s))
	return []byte(s), hex.EncodeToString(sum[:]), ok
}

// options are those of tenant shop with one script.
func options(script string) Options {
	return Options{
		Tenant:    "shop",
		Scripts:   []string{"shop/main.lua"},
		Source:    files{"shop/main.lua": script},
		Upstreams: []string{"search"},
	}
}

func compiled(t testing.TB, o Options) *Program {
	t.Helper()
	p, err := Compile(t.Context(), o)
	if err != nil {
		t.Fatalf("Compile: %v", err)
	}
	return p
}

func pooled(t testing.TB, p *Program) *Pool {
	t.Helper()
	pool, err := p.NewPool(t.Context())
	if err != nil {
		t.Fatalf("NewPool: %v", err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// scripted is the pool of a tenant with one script.
func scripted(t testing.TB, script string) (*Program, *Pool) {
	t.Helper()
	p := compiled(t, options(script))
	return p, pooled(t, p)
}

// handling is the pool of a tenant whose one handler has this body.
func handling(t testing.TB, body string) (*Pool, Chain) {
	t.Helper()
	p, pool := scripted(t, "keystone.any('/', function(req)\n"+body+"\nend)")
	return pool, p.Routes()[0].Chain
}

func asking(target string) *Request {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, target, nil)
	return &Request{HTTP: r, Scheme: "http", Host: r.Host, Path: r.URL.Path, ID: "id1", IP: "192.0.2.1", Tenant: "shop", Route: "/", Rev: "abc"}
}

// asError is err as an *Error, which a call's error always is.
func asError(t testing.TB, err error) *Error {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got error %v, want an *Error", err)
	}
	return e
}

// failure is why a script does not load.
func failure(t testing.TB, o Options) *Failure {
	t.Helper()
	p, err := Compile(t.Context(), o)
	if err == nil {
		var pool *Pool
		if pool, err = p.NewPool(t.Context()); err == nil {
			pool.Close()
			t.Fatal("the scripts loaded")
		}
	}
	f, ok := errors.AsType[*Failure](err)
	if !ok {
		t.Fatalf("got error %v, want a *Failure", err)
	}
	return f
}

// eval runs body as a handler and gives what it returned, or the error, as
// text.
func eval(t testing.TB, body string) string {
	t.Helper()
	pool, chain := handling(t, `
		local function show(...)
			local parts = {}
			for i = 1, select('#', ...) do parts[i] = tostring((select(i, ...))) end
			return table.concat(parts, ',')
		end
		return 200, show((function() `+body+` end)())`)
	d, err := pool.Call(t.Context(), chain, asking("/"))
	if err != nil {
		return "error: " + strings.TrimPrefix(err.Error(), "shop/main.lua:")
	}
	return string(d.Body)
}
