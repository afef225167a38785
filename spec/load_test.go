package spec_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keystone-gateway/spec"
)

// shop is a tenant by itself.
func shop(name string) string {
	return "tenants:\n  - {name: " + name + ", path_prefix: /" + name + `, services: [{url: "http://127.0.0.1:1"}]}` + "\n"
}

func TestUnchangedFilesAreNotReadAgain(t *testing.T) {
	in := tree(map[string]string{
		"configs/tenants/a.yaml": shop("a"),
		"configs/tenants/b.yaml": shop("b"),
		"configs/tenants/c.yaml": "tenants: [",
	})
	counting := &countingFS{FS: in.FS}
	in.FS = counting
	first, _ := spec.Load(in, nil)
	if got := counting.take(); len(got) != 3 {
		t.Fatalf("the first load read %v", got)
	}

	changed := tree(map[string]string{
		"configs/tenants/a.yaml": shop("a"),
		"configs/tenants/b.yaml": shop("b") + "\n# a comment\n",
		"configs/tenants/c.yaml": "tenants: [",
		"configs/tenants/d.yaml": shop("d"),
	})
	changed.FS = &countingFS{FS: changed.FS}
	second, ds := spec.Load(changed, first)
	want := []string{"configs/tenants/b.yaml", "configs/tenants/d.yaml"}
	if diff := cmp.Diff(want, changed.FS.(*countingFS).take()); diff != "" {
		t.Errorf("the second load read (-want +got):\n%s", diff)
	}
	if first.Tenants["a"] != second.Tenants["a"] {
		t.Error("a tenant of an unchanged file is another object")
	}
	if first.Tenants["b"].Hash != second.Tenants["b"].Hash {
		t.Error("a comment changed a tenant's hash")
	}
	if len(ds) != 1 || !second.Files["configs/tenants/c.yaml"].Broken {
		t.Errorf("an unchanged broken file is forgotten: %v", ds)
	}

	changed.Defaults.DrainTimeout++
	third, _ := spec.Load(changed, second)
	if got := changed.FS.(*countingFS).take(); len(got) != 4 {
		t.Errorf("with other defaults only %v were read", got)
	}
	if third.Tenants["a"].Hash == second.Tenants["a"].Hash {
		t.Error("other defaults did not change a tenant's hash")
	}
}

func TestScriptsAreLookedForWithoutAChangeOfTheTenant(t *testing.T) {
	files := map[string]string{"configs/tenants/a.yaml": "tenants:\n  - {name: a, path_prefix: /a, lua_routes: a/main}\n"}
	without, ds := spec.Load(tree(files), nil)
	if spec.Errors(ds) != 1 || without.Failed["a"] == nil {
		t.Fatalf("a missing script is not missed: %v", ds)
	}
	files["scripts/a/main.lua"] = "return"
	with, ds := spec.Load(tree(files), without)
	if len(ds) != 0 || with.Tenants["a"] == nil || len(with.Failed) != 0 {
		t.Fatalf("a script that came is not found: %v", ds)
	}
	delete(files, "scripts/a/main.lua")
	if again, _ := spec.Load(tree(files), with); again.Failed["a"] == nil {
		t.Error("a script that went is not missed")
	}
}

func TestANameThatMovesBetweenFiles(t *testing.T) {
	before, _ := spec.Load(tree(map[string]string{"configs/tenants/a.yaml": shop("a")}), nil)
	both, ds := spec.Load(tree(map[string]string{"configs/tenants/a.yaml": shop("a"), "configs/tenants/b.yaml": shop("a")}), before)
	if spec.Errors(ds) != 2 || len(both.Tenants) != 0 || both.Failed["a"] == nil {
		t.Errorf("two definitions of one name: %v, loaded %v", ds, both.Tenants)
	}
	after, ds := spec.Load(tree(map[string]string{"configs/tenants/b.yaml": shop("a")}), both)
	if len(ds) != 0 || after.Tenants["a"] == nil || after.Tenants["a"].File != "configs/tenants/b.yaml" {
		t.Errorf("after the move: %v, loaded %v", ds, after.Tenants)
	}
}

func TestGlobalScriptsComeFirst(t *testing.T) {
	in := tree(map[string]string{
		"configs/tenants/a.yaml":  "tenants:\n  - {name: a, path_prefix: /a, lua_routes: [a/main, shared]}\n",
		"scripts/a/main.lua":      "",
		"scripts/global/auth.lua": "",
		"scripts/shared.lua":      "",
	})
	in.Defaults.GlobalScripts = []string{"global/auth", "shared.lua"}
	g, ds := spec.Load(in, nil)
	if len(ds) != 0 {
		t.Fatal(ds)
	}
	if diff := cmp.Diff([]string{"global/auth.lua", "shared.lua", "a/main.lua"}, g.Tenants["a"].Scripts); diff != "" {
		t.Errorf("scripts (-want +got):\n%s", diff)
	}
}

func TestAliasesCannotGrowWithoutEnd(t *testing.T) {
	var b strings.Builder
	b.WriteString("tenants:\n  - name: bomb\n    path_prefix: /\n    upstreams:\n      a0: &a\n        servers: &s\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "          - {url: \"http://10.0.%d.%d\"}\n", i/250, i%250+1)
	}
	for i := range 1000 {
		fmt.Fprintf(&b, "      b%d: *a\n", i)
	}
	g, ds := spec.Load(tree(map[string]string{"configs/tenants/a.yaml": b.String()}), nil)
	said := slices.ContainsFunc(ds, func(d spec.Diagnostic) bool { return strings.Contains(d.Message, "aliases") })
	if g.Failed["bomb"] == nil || !said || len(ds) > 10 {
		t.Errorf("%d diagnostics: %v", len(ds), ds[:min(len(ds), 3)])
	}
}

// countingFS notes what is opened.
type countingFS struct {
	fs.FS
	opened []string
}

// Open notes the name.
func (c *countingFS) Open(name string) (fs.File, error) {
	c.opened = append(c.opened, name)
	return c.FS.Open(name)
}

// take returns what was opened since the last call, sorted.
func (c *countingFS) take() []string {
	names := slices.Sorted(slices.Values(c.opened))
	c.opened = nil
	return names
}

// FuzzLoad holds Load to its promises for any bytes: it ends without a panic,
// an error stands in a file of the tree, a tenant that loaded has nothing but
// what was checked, and loading again changes nothing.
func FuzzLoad(f *testing.F) {
	for _, archive := range archives(f) {
		for path, content := range archive.files {
			if strings.HasPrefix(path, "configs/") {
				f.Add(content)
			}
		}
	}
	f.Fuzz(func(t *testing.T, content string) {
		in := tree(map[string]string{"configs/tenants/a.yaml": content, "scripts/lib/auth.lua": "", "scripts/shop/main.lua": ""})
		g, ds := spec.Load(in, nil)
		for _, d := range ds {
			if d.File != "configs/tenants/a.yaml" || d.Line < 1 || d.Column < 1 || d.Line > strings.Count(content, "\n")+2 {
				t.Errorf("a diagnostic without a place: %+v", d)
			}
		}
		if spec.Errors(ds) == 0 && (len(g.Failed) > 0 || g.Files["configs/tenants/a.yaml"].Broken) {
			t.Errorf("something failed, and nothing says why: %v", g.Failed)
		}
		for _, tenant := range g.Tenants {
			checkLoaded(t, tenant)
		}
		if _, err := spec.Index([]byte(content)); err != nil {
			if syntax, ok := errors.AsType[*spec.SyntaxError](err); !ok || syntax.Place.Line < 1 {
				t.Errorf("an error without a place: %v", err)
			}
		}
		again, _ := spec.Load(in, g)
		if !maps.Equal(g.Tenants, again.Tenants) {
			t.Error("loading the same again made other tenants")
		}
	})
}

// checkLoaded holds a tenant to what those who compile it rely on.
func checkLoaded(t *testing.T, tenant *spec.Tenant) {
	t.Helper()
	if len(tenant.Claims()) == 0 || len(tenant.Hash) != 64 {
		t.Errorf("tenant %q claims nothing, or has no hash", tenant.Name)
	}
	for _, c := range tenant.Claims() {
		if c.Prefix == "/" && c.Host != "" || len(c.Prefix) > 1 && strings.HasSuffix(c.Prefix, "/") {
			t.Errorf("tenant %q claims %q", tenant.Name, c)
		}
	}
	for name, u := range tenant.Upstreams {
		if u == nil || u.Name != name || len(u.Servers) == 0 || u.LoadBalancing == "" {
			t.Errorf("upstream %q is %+v", name, u)
		}
		for _, s := range u.Servers {
			if s.Name == "" || s.Weight < 1 || s.Scheme != "http" && s.Scheme != "https" || !strings.Contains(s.Host, ":") {
				t.Errorf("server %+v", s)
			}
		}
	}
	for _, r := range tenant.Routes {
		register(t, r.Path)
		actions := 0
		for _, set := range []bool{r.Upstream != "", r.Redirect != nil, r.Respond != nil} {
			if set {
				actions++
			}
		}
		if actions != 1 || r.Upstream != "" && tenant.Upstreams[r.Upstream] == nil {
			t.Errorf("route %+v", r)
		}
	}
}
