package lua

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	glua "github.com/yuin/gopher-lua"
)

// absentAPI are scripts of the corpus whose functions this version does not
// have, each with what it needs.
func absentAPI() map[string]string {
	return map[string]string{
		"conc_07_fetch_hang":     "keystone.fetch",
		"esc_21_env_not_allowed": "keystone.env",
		"xt_01_kv_isolated":      "keystone.kv",
		"xt_03_secret_isolated":  "keystone.secret",
		"xt_09_kv_fill":          "keystone.kv",
	}
}

// TestCorpus runs hostile and careless scripts as handlers, or as they load,
// and holds each to the outcome that its first comment names.
func TestCorpus(t *testing.T) {
	paths, err := filepath.Glob("testdata/corpus/*.lua")
	if err != nil {
		t.Fatal(err)
	}
	shared, err := filepath.Glob("../../shared/lua-corpus/*.lua")
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Fatal("testdata/corpus is empty")
	}
	for _, path := range append(paths, shared...) {
		name := strings.TrimSuffix(filepath.Base(path), ".lua")
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, ok := strings.Cut(string(data), "-- expect: ")
		if !ok {
			t.Fatalf("%s names no outcome", path)
		}
		want, _, _ := strings.Cut(rest, "\n")
		want, _, _ = strings.Cut(want, " |")
		want = strings.TrimSuffix(strings.TrimSpace(want), ":")
		t.Run(name, func(t *testing.T) {
			if api, ok := absentAPI()[name]; ok {
				got, msg := outcome(t, string(data))
				if got != "error" || !strings.Contains(msg, "not supported in this version") {
					t.Errorf("%s is there now (%s): take the script off the list", api, msg)
				}
				return
			}
			if want == "load-error" {
				_ = failure(t, options(string(data))) // fails the test unless it fails
				return
			}
			got, msg := outcome(t, string(data))
			t.Logf("%s: %s", got, msg)
			if want != "any" && got != want && !(want == "ok" && strings.HasPrefix(got, "ok")) {
				t.Errorf("got %s (%s), want %s", got, msg, want)
			}
		})
	}
}

// outcome runs source as a handler's body under the default limits and names
// its class: kill, error, or ok with the values.
func outcome(t *testing.T, source string) (class, msg string) {
	p := compiled(t, options(""))
	s := p.first
	proto, bad := compile("shop/case.lua", []byte(source))
	if bad != nil {
		t.Fatalf("it does not compile: %v", bad)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	from := threadTime()
	s.budget.begin(context.Background(), p.limits.Instructions, p.limits.Alloc, p.limits.Timeout)
	var results []string
	err := s.run(t.Context(), s.L.NewFunctionFromProto(proto), func() *Error {
		for _, v := range values(s.L, 1) {
			results = append(results, s.display(s.L, v))
		}
		return nil
	}, glua.LNil)
	s.budget.end()
	if took := threadTime() - from; took > slowdown*250*time.Millisecond {
		t.Errorf("it took %v of processor time", took)
	}
	again := compiled(t, options("keystone.get('/', function() return 200, 'fine' end)"))
	d, failed := pooled(t, again).Call(t.Context(), again.Routes()[0].Chain, asking("/"))
	if failed != nil || string(d.Body) != "fine" {
		t.Errorf("the next call gave %q, %v", d.Body, failed)
	}
	switch {
	case err == nil && len(results) == 0:
		return "ok", ""
	case err == nil:
		return "ok:" + strings.Join(results, ","), ""
	case err.Kind == KindBudget:
		return "kill", err.Error()
	default:
		return "error", err.Error()
	}
}
