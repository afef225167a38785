package spec_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"keystone-gateway/spec"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "rewrite the expectations in testdata")
	os.Exit(m.Run())
}

// updating tells whether expectations are to be rewritten.
func updating() bool { return flag.Lookup("update").Value.String() == "true" }

// defaults are the settings of a process that says nothing.
func defaults() spec.Defaults {
	return spec.Defaults{
		RequestLimits:   spec.RequestLimits{MaxBodySize: 10 << 20, MaxHeaderSize: 64 << 10, MaxHeaders: 100, MaxURLSize: 8192},
		Lua:             spec.LuaLimits{Instructions: 1_000_000, AllocPerCall: 16 << 20, Timeout: 5 * time.Second},
		DrainTimeout:    30 * time.Second,
		MaxDrainTimeout: 10 * time.Minute,
	}
}

// tree makes an input of files, as a source would.
func tree(files map[string]string) *spec.Input {
	in := &spec.Input{
		FS:       fstest.MapFS{},
		Hashes:   map[string]string{},
		Tenants:  "configs/tenants",
		Scripts:  "scripts",
		Defaults: defaults(),
	}
	for path, content := range files {
		put(in, path, content)
	}
	return in
}

// put adds or replaces one file.
func put(in *spec.Input, path, content string) {
	sum := sha256.Sum256([]byte(content))
	in.FS.(fstest.MapFS)[path] = &fstest.MapFile{Data: []byte(content)}
	in.Hashes[path] = hex.EncodeToString(sum[:])
}

// archive is one file of testdata.
type archive struct {
	path     string
	files    map[string]string // the tree
	settings string            // the settings file that the tenants stand in, if any
	want     map[string]string // what is expected: diagnostics, tenants
	parsed   *txtar.Archive
}

// archives reads testdata.
func archives(t testing.TB) []archive {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	var all []archive
	for _, path := range paths {
		parsed, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		a := archive{path: path, files: map[string]string{}, want: map[string]string{}, parsed: parsed}
		for _, f := range parsed.Files {
			if strings.Contains(f.Name, "/") {
				a.files[f.Name] = unquote(string(f.Data))
			} else {
				a.want[f.Name] = string(f.Data)
			}
		}
		first, _, _ := strings.Cut(string(parsed.Comment), "\n")
		a.settings, _ = strings.CutPrefix(first, "settings: ")
		if a.settings == first {
			a.settings = ""
		}
		all = append(all, a)
	}
	return all
}

// TestTrees loads every archive of testdata. Its files are a tree; `diagnostics`
// is what Load says of it and `tenants` what loaded and what failed. A first
// line "settings: FILE" names the settings file that the tenants stand in.
func TestTrees(t *testing.T) {
	for _, a := range archives(t) {
		t.Run(strings.TrimSuffix(filepath.Base(a.path), ".txtar"), func(t *testing.T) {
			in := tree(a.files)
			in.SettingsFile = a.settings
			g, ds := spec.Load(in, nil)
			got := map[string]string{"diagnostics": lines(ds), "tenants": summary(t, g)}
			if updating() {
				a.rewrite(t, got)
				return
			}
			if diff := cmp.Diff(a.want, got); diff != "" {
				t.Errorf("loaded (-want +got):\n%s", diff)
			}
			again, sameDiagnostics := spec.Load(in, g)
			if diff := cmp.Diff(got["diagnostics"], lines(sameDiagnostics)); diff != "" {
				t.Errorf("loaded again (-first +second):\n%s", diff)
			}
			if diff := cmp.Diff(got["tenants"], summary(t, again)); diff != "" {
				t.Errorf("loaded again (-first +second):\n%s", diff)
			}
		})
	}
}

// unquote makes the bytes that an archive cannot show.
func unquote(s string) string {
	return strings.NewReplacer("<TAB>", "\t", "<NUL>", "\x00", "<BOM>", "\uFEFF", "<UTF16>", "\xFF\xFE", "<LATIN1>", "\xE9", "<CR>", "\r", "<LS>", "\u2028", "<EMPTY>\n", "").Replace(s)
}

// lines are diagnostics as people see them.
func lines(ds []spec.Diagnostic) string {
	var b strings.Builder
	for _, d := range ds {
		fmt.Fprintln(&b, d)
	}
	return b.String()
}

// summary shows a gateway: each tenant that loaded, as JSON, and the others.
func summary(t *testing.T, g *spec.Gateway) string {
	t.Helper()
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(g.Tenants)) {
		data, err := json.MarshalIndent(g.Tenants[name], "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s\n", data)
	}
	for _, name := range slices.Sorted(maps.Keys(g.Failed)) {
		f := g.Failed[name]
		fmt.Fprintf(&b, "failed %s at %s:%d, claims %q\n", name, f.File, f.Place.Line, f.Claims)
	}
	for _, path := range slices.Sorted(maps.Keys(g.Files)) {
		if f := g.Files[path]; f.Broken {
			fmt.Fprintf(&b, "broken %s, names %q\n", path, f.Names)
		}
	}
	return b.String()
}

// rewrite replaces the expectations.
func (a archive) rewrite(t *testing.T, got map[string]string) {
	t.Helper()
	a.parsed.Files = slices.DeleteFunc(a.parsed.Files, func(f txtar.File) bool { return !strings.Contains(f.Name, "/") })
	for _, name := range slices.Sorted(maps.Keys(got)) {
		a.parsed.Files = append(a.parsed.Files, txtar.File{Name: name, Data: []byte(got[name])})
	}
	if err := os.WriteFile(a.path, txtar.Format(a.parsed), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestRefusedEntries: what a source could not take is a broken file, or costs
// the tenants that name it.
func TestRefusedEntries(t *testing.T) {
	const yaml = "tenants:\n  - {name: a, domains: [a.test], lua_routes: main}\n"
	in := &spec.Input{
		FS:      fstest.MapFS{"t/a.yaml": {Data: []byte(yaml)}},
		Hashes:  map[string]string{"t/a.yaml": "1"},
		Refused: map[string]string{"t/dir": "a submodule", "s/main.lua": "too large", "elsewhere": "a link"},
		Tenants: "t", Scripts: "s",
	}
	g, ds := spec.Load(in, nil)
	var got []string
	for _, d := range ds {
		got = append(got, d.String())
	}
	want := []string{
		"s/main.lua: error: cannot be read: too large",
		`t/a.yaml:2:46: error: script "main.lua" cannot be read: too large`,
		"t/dir: error: cannot be read: a submodule",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("diagnostics (-want +got):\n%s", diff)
	}
	if g.Failed["a"] == nil || !g.Files["t/dir"].Broken {
		t.Errorf("failed %v, files %v", g.Failed, g.Files)
	}
}
