package spec

import (
	"iter"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// script is an entry file that a tenant names. Whether it exists is looked at
// with every tree, as it changes without the file that names it.
type script struct {
	path string // below the directory of scripts: "shop/main.lua"
	file string // in the tree: "scripts/shop/main.lua"
	at   Place
}

// luaRoutes reads the entry scripts of a tenant, in order. dir is where
// scripts lie in the tree.
func (d *decoder) luaRoutes(n *yaml.Node, tenant, dir string) []script {
	defer d.within("lua_routes")()
	var scripts []script
	items := d.oneOrMany(n, func(n *yaml.Node) {
		s, ok := d.str(n)
		if !ok {
			return
		}
		p, err := scriptPath(s, tenant)
		switch {
		case !d.check(n, err):
		case slices.ContainsFunc(scripts, func(o script) bool { return o.path == p }):
			d.failf(n, "remove one of the two", "%q is there twice", s)
		default:
			scripts = append(scripts, script{path: p, file: path.Join(dir, p), at: place(n)})
		}
	})
	if items == 0 {
		d.failf(n, "remove the key for no scripts", "the list is empty")
	}
	return scripts
}

// scriptPath turns "shop/main" into "shop/main.lua", if it is a script that
// tenant may run; where the tenant has no name, that stays open.
func scriptPath(s, tenant string) (string, error) {
	p := withLua(s)
	for segment := range strings.SplitSeq(p, "/") {
		ok := segment != "" && segment[0] != '.'
		for i := range len(segment) {
			ok = ok && (isAlphanumeric(segment[i]) || strings.IndexByte("-_.", segment[i]) >= 0)
		}
		if !ok {
			return "", flawf("a file below the directory of scripts, without .lua", "%q is not the name of a script", s)
		}
	}
	if tenant != "" && !allowed(p, tenant) {
		return "", flawf("of "+tenant+"/, of lib/, or with no directory", "%q is a script of another tenant", s)
	}
	return p, nil
}

// withGlobals puts the settings' scripts before a tenant's own. One that both
// name runs once, with the settings'.
func withGlobals(in *Input, own []script, at Place) []script {
	var all []script
	for _, g := range in.Defaults.GlobalScripts {
		p := withLua(g)
		all = append(all, script{path: p, file: path.Join(in.Scripts, p), at: at})
	}
	for _, s := range own {
		if !slices.ContainsFunc(all, func(o script) bool { return o.path == s.path }) {
			all = append(all, s)
		}
	}
	return all
}

// withLua adds the ending that may be left out.
func withLua(s string) string { return strings.TrimSuffix(s, ".lua") + ".lua" }

// allowed: a tenant runs scripts of its own directory, of lib, and those in none.
func allowed(script, tenant string) bool {
	dir, _, nested := strings.Cut(script, "/")
	return !nested || dir == tenant || dir == "lib"
}

// missing reports the scripts of t that are not in the tree.
func (in *Input) missing(t *definition) []Diagnostic {
	var ds []Diagnostic
	for _, s := range t.scripts {
		if _, ok := in.Hashes[s.file]; ok {
			continue
		}
		if reason, refused := in.Refused[s.file]; refused {
			ds = append(ds, Diagnostic{
				File: t.file, Line: s.at.Line, Column: s.at.Column,
				Severity: Error, Tenant: t.name,
				Message: "script \"" + s.path + "\" cannot be read: " + reason,
			})
			continue
		}
		hint := didYouMean(strings.TrimSuffix(s.path, ".lua"), in.scriptsFor(t.name))
		if hint == "" {
			hint = "add " + s.file
		}
		ds = append(ds, Diagnostic{
			File: t.file, Line: s.at.Line, Column: s.at.Column,
			Severity: Error, Tenant: t.name,
			Message: "script \"" + s.path + "\" does not exist", Hint: hint,
		})
	}
	return ds
}

// scriptsFor yields what a tenant could have meant, as it would write it.
func (in *Input) scriptsFor(tenant string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for file := range in.Hashes {
			s, ok := below(file, in.Scripts)
			s, lua := strings.CutSuffix(s, ".lua")
			if ok && lua && !strings.HasSuffix(s, "_test") && allowed(s, tenant) && !yield(s) {
				return
			}
		}
	}
}
