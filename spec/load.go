package spec

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// recipe is what a file's tenants are made with besides its bytes.
type recipe struct {
	settingsFile string
	scripts      string
	defaults     Defaults
}

// Load reads a tree. Files whose hash is that of previous are not parsed
// again (previous may be nil). Every problem is reported, sorted by file and
// line; a tree with problems still yields what could be loaded.
//
// A mistake inside a tenant costs that tenant, which is then in
// Gateway.Failed; broken syntax costs its file. Two definitions of one name
// cost both. Load neither keeps nor changes in.
func Load(in *Input, previous *Gateway) (*Gateway, []Diagnostic) {
	made := recipe{settingsFile: in.SettingsFile, scripts: in.Scripts, defaults: in.Defaults}
	made.defaults.GlobalScripts = slices.Clone(in.Defaults.GlobalScripts)
	if previous == nil || !reflect.DeepEqual(previous.made, made) {
		previous = &Gateway{}
	}
	g := &Gateway{
		Tenants: make(map[string]*Tenant, len(previous.Tenants)),
		Failed:  map[string]*Failed{},
		Files:   make(map[string]*File, len(previous.Files)),
		made:    made,
	}
	var ds []Diagnostic
	for path, hash := range in.tenantFiles() {
		f := previous.Files[path]
		if f == nil || f.Hash != hash {
			f = parseFile(in, path, hash)
		}
		g.Files[path] = f
		ds = append(ds, f.parsed.diagnostics...)
	}
	for path, reason := range in.Refused {
		d := Diagnostic{File: path, Severity: Error, Message: "cannot be read: " + reason}
		switch {
		case in.SettingsFile == "" && related(path, in.Tenants):
			f := &File{Path: path, Hash: "refused: " + reason, Broken: true}
			f.parsed.diagnostics = []Diagnostic{d}
			g.Files[path] = f
			ds = append(ds, d)
		case related(path, in.Scripts):
			ds = append(ds, d)
		}
	}
	if len(g.Files) == 0 {
		ds = append(ds, Diagnostic{File: in.Tenants, Severity: Warning, Message: "there are no tenant files", Hint: "*.yaml and *.yml below this directory"})
	}
	ds = append(ds, g.take(in)...)
	Sort(ds)
	return g, ds
}

// tenantFiles yields the files that define tenants, with their hashes, in no
// order.
func (in *Input) tenantFiles() func(yield func(path, hash string) bool) {
	return func(yield func(path, hash string) bool) {
		if in.SettingsFile != "" {
			yield(in.SettingsFile, in.Hashes[in.SettingsFile])
			return
		}
		for path, hash := range in.Hashes {
			if !strings.HasSuffix(path, ".yaml") && !strings.HasSuffix(path, ".yml") {
				continue
			}
			if _, ok := below(path, in.Tenants); ok && !yield(path, hash) {
				return
			}
		}
	}
}

// related says whether path is dir, lies in it, or dir in it.
func related(path, dir string) bool {
	_, inside := below(path, dir)
	_, around := below(dir, path)
	return inside || around || path == strings.TrimSuffix(dir, "/")
}

// below is the rest of path below dir, of which "" and "." are the root.
func below(path, dir string) (string, bool) {
	dir = strings.TrimSuffix(dir, "/")
	if dir == "" || dir == "." {
		return path, true
	}
	if len(path) <= len(dir) || path[len(dir)] != '/' || path[:len(dir)] != dir {
		return "", false
	}
	return path[len(dir)+1:], true
}

// take puts the definitions of all files into Tenants and Failed, and returns
// what is wrong with them. Two things are not in any one file: scripts that are
// not in the tree, and names that are there twice.
func (g *Gateway) take(in *Input) []Diagnostic {
	var ds []Diagnostic
	twice := map[string][]*definition{}
	for _, f := range g.Files {
		for _, def := range f.parsed.tenants {
			missing := in.missing(def)
			ds = append(ds, def.diagnostics...)
			ds = append(ds, missing...)
			switch {
			case g.Tenants[def.name] != nil || g.Failed[def.name] != nil:
				twice[def.name] = nil
			case def.tenant != nil && len(missing) == 0:
				g.Tenants[def.name] = def.tenant
			default:
				g.Failed[def.name] = def.failed(missing)
			}
		}
	}
	if len(twice) == 0 {
		return ds
	}
	for _, f := range g.Files {
		for _, def := range f.parsed.tenants {
			if defs, ok := twice[def.name]; ok {
				twice[def.name] = append(defs, def)
			}
		}
	}
	for name, defs := range twice {
		delete(g.Tenants, name)
		clash := clashes(defs)
		g.Failed[name] = defs[0].failed(clash)
		for _, def := range defs[1:] {
			g.Failed[name].join(def.failed(nil))
		}
		ds = append(ds, clash...)
	}
	return ds
}

// clashes sorts the definitions of one name by where they stand, and says of
// each where another is.
func clashes(defs []*definition) []Diagnostic {
	slices.SortFunc(defs, func(a, b *definition) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.place.Line, b.place.Line), cmp.Compare(a.place.Column, b.place.Column))
	})
	ds := make([]Diagnostic, len(defs))
	for i, def := range defs {
		other := defs[(i+1)%len(defs)]
		ds[i] = Diagnostic{
			File: def.file, Line: def.place.Line, Column: def.place.Column,
			Severity: Error, Tenant: def.name,
			Message: fmt.Sprintf("tenant %q is defined at %s:%d, too", def.name, other.file, other.place.Line),
			Hint:    "names are unique; neither is loaded",
		}
	}
	return ds
}

// failed makes a Failed of a definition, with what is wrong besides.
func (t *definition) failed(more []Diagnostic) *Failed {
	f := &Failed{
		Name: t.name, File: t.file, Place: t.place,
		Claims:      t.claims,
		Diagnostics: slices.Concat(t.diagnostics, more),
	}
	Sort(f.Diagnostics)
	return f
}

// join adds what another definition of the same name claims and has wrong.
func (f *Failed) join(other *Failed) {
	f.Claims = slices.Clone(f.Claims)
	for _, c := range other.Claims {
		if !slices.Contains(f.Claims, c) {
			f.Claims = append(f.Claims, c)
		}
	}
	f.Diagnostics = append(f.Diagnostics, other.Diagnostics...)
	Sort(f.Diagnostics)
}
