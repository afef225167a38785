// Package keystone_test holds the design to what the code and the documents say.
package keystone_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "keystone-gateway/"

// arrows lists which of our packages may import which, and why. It points only
// down: what is not here is not allowed.
var arrows = map[string]map[string]string{
	"cmd/keystone-gateway": {
		"configs":            "demo makes a repository of the example tree",
		"scripts":            "demo makes a repository of the example tree",
		"internal/daemon":    "run and demo start a daemon",
		"internal/telemetry": "the log's format is a setting",
		"reloader":           "validate prints what a candidate has found",
		"repo":               "demo creates the repository; a signal is a trigger",
		"spec":               "settings errors are diagnostics with places",
	},
	"testenv": {
		"internal/daemon":    "a scenario runs a whole gateway",
		"internal/telemetry": "a scenario reads the gateway's log",
		"proxy":              "a scenario looks at what serves",
		"reloader":           "a scenario waits for a revision",
		"repo":               "a scenario names triggers",
		"spec":               "a scenario reads diagnostics",
	},
	"internal/daemon": {
		"admin":              "composes it",
		"internal/telemetry": "composes it",
		"lua":                "owns the process-wide budget of states",
		"proxy":              "composes it",
		"proxy/upstream":     "owns the registry of endpoints",
		"reloader":           "composes it",
		"repo":               "chooses the source",
		"spec":               "passes defaults to it",
	},
	"admin": {
		"proxy":    "shows what serves",
		"reloader": "shows what was tried, and asks for more",
		"repo":     "names triggers",
		"spec":     "shows diagnostics",
	},
	"reloader": {
		"internal/telemetry": "counts attempts",
		"proxy":              "builds tenants and swaps generations",
		"repo":               "fetches snapshots",
		"spec":               "loads them",
	},
	"proxy": {
		"internal/telemetry": "counts requests",
		"lua":                "asks scripts for decisions",
		"proxy/middleware":   "compiles chains",
		"proxy/upstream":     "sends requests",
		"spec":               "compiles tenants",
	},
	"proxy/upstream": {
		"internal/telemetry": "counts trips",
		"spec":               "compiles upstreams",
	},
	"proxy/middleware": {
		"spec": "compiles what tenants name",
	},
	"repo":               {"internal/telemetry": "counts fetches"},
	"lua":                {"internal/telemetry": "counts calls"},
	"spec":               {},
	"configs":            {},
	"scripts":            {},
	"internal/telemetry": {},
}

// homes says where a module may be imported outside tests; what has no home
// here may not be imported at all.
var homes = map[string][]string{
	"github.com/fsnotify/fsnotify":   {"repo"},
	"github.com/go-git/":             {"repo"},
	"github.com/go-chi/chi":          {"proxy"},
	"github.com/yuin/gopher-lua":     {"lua"},
	"github.com/spf13/viper":         {"cmd/keystone-gateway"},
	"go.yaml.in/yaml":                {"spec"},
	"github.com/prometheus/":         {"internal/telemetry"},
	"golang.org/x/net/idna":          {"spec", "proxy"},                          // names of hosts
	"golang.org/x/net/http/httpguts": {"proxy", "proxy/upstream", "lua", "spec"}, // names and values of headers
	"golang.org/x/sync/":             {"reloader", "proxy", "proxy/upstream", "repo", "internal/daemon"},
	"golang.org/x/sys/":              {"repo", "proxy", "proxy/upstream", "lua"}, // files, sockets and processor time, beyond package os
}

// listed is what `go list` says of one package.
type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

// name is the import path within the module.
func (p listed) name() string { return strings.TrimPrefix(p.ImportPath, module) }

func TestImportsPointDownAndEachHasAReason(t *testing.T) {
	for _, p := range packages(t) {
		allowed, known := arrows[p.name()]
		if !known {
			t.Errorf("package %s has no level: say in arrows what it may import, and why", p.name())
			continue
		}
		for _, path := range p.Imports {
			if imported, ours := strings.CutPrefix(path, module); ours && allowed[imported] == "" {
				t.Errorf("%s imports %s, which is no arrow of the design", p.name(), imported)
			}
		}
	}
}

func TestEachDependencyHasItsHome(t *testing.T) {
	for _, p := range packages(t) {
		if p.name() == "testenv" {
			continue // tests may use what they need
		}
		for _, path := range p.Imports {
			if first, _, _ := strings.Cut(path, "/"); !strings.Contains(first, ".") {
				continue // standard library, or ours
			}
			if !slices.ContainsFunc(homesOf(path), func(home string) bool { return home == p.name() }) {
				t.Errorf("%s imports %s, whose home is %v", p.name(), path, homesOf(path))
			}
		}
	}
}

func homesOf(path string) []string {
	for prefix, packages := range homes {
		if strings.HasPrefix(path, prefix) {
			return packages
		}
	}
	return nil
}

func TestSpecReachesNothing(t *testing.T) {
	for _, p := range packages(t) {
		if p.name() != "spec" {
			continue
		}
		for _, banned := range []string{"net", "net/http", "log/slog"} {
			if slices.Contains(p.Deps, banned) {
				t.Errorf("spec depends on %s: it reads bytes and returns diagnostics, and does nothing else", banned)
			}
		}
	}
}

func TestLuaKeepsItsInterpreterToItself(t *testing.T) {
	doc := goTool(t, "doc", "-all", "./lua")
	for line := range strings.Lines(string(doc)) {
		if strings.Contains(line, "glua.") {
			t.Errorf("the exported API of lua shows a type of gopher-lua: %s", strings.TrimSpace(line))
		}
	}
}

func TestDocumentsLinkToFilesThatExist(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`) // not to other sites, nor within the page
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		pages, err := filepath.Glob(pattern)
		if err != nil || len(pages) == 0 {
			t.Fatalf("no pages match %s: %v", pattern, err)
		}
		for _, page := range pages {
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range link.FindAllStringSubmatch(string(text), -1) {
				if _, err := os.Stat(filepath.Join(filepath.Dir(page), found[1])); err != nil {
					t.Errorf("%s links to %s, which is not there", page, found[1])
				}
			}
		}
	}
}

// packages lists those of the module, without their tests.
func packages(t *testing.T) []listed {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(goTool(t, "list", "-json=ImportPath,Imports,Deps", "./...")))
	var all []listed
	for {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if p.name() != strings.TrimSuffix(module, "/") { // the root holds this test alone
			all = append(all, p)
		}
	}
}

// goTool runs the go command at the root of the module.
func goTool(t *testing.T, args ...string) []byte {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", args...).Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, exit.Stderr)
		}
		t.Fatal(err)
	}
	return out
}
