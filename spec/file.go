package spec

import (
	"errors"
	"io/fs"

	"go.yaml.in/yaml/v3"
)

// parsed is what Load reuses of a file while its hash is the same.
type parsed struct {
	tenants     []*definition // those with a usable name, in order
	diagnostics []Diagnostic  // of the file, and of tenants without a name
}

// parseFile reads and checks one file of tenants, by itself.
func parseFile(in *Input, path, hash string) *File {
	f := &File{Path: path, Hash: hash}
	d := &decoder{file: path}
	data, err := fs.ReadFile(in.FS, path)
	if err != nil {
		d.failf(&yaml.Node{}, "", "read: %v", err)
	} else if roots, err := documents(data); err != nil {
		at := &yaml.Node{Line: 1, Column: 1}
		if e, ok := errors.AsType[*SyntaxError](err); ok {
			d.failf(&yaml.Node{Line: e.Place.Line, Column: e.Place.Column}, e.Hint, "%s", e.What)
		} else {
			d.failf(at, "", "%v", err)
		}
	} else {
		d.documents(roots, in, f)
	}
	f.Broken = Errors(d.found) > 0
	f.parsed.diagnostics = d.found
	return f
}

// documents reads every document of a file. What is wrong beside the tenants
// is left in d.
func (d *decoder) documents(roots []*yaml.Node, in *Input, f *File) {
	settings := f.Path == in.SettingsFile
	switch {
	case len(roots) == 0:
		d.failf(&yaml.Node{Line: 1, Column: 1}, `write "tenants: []" for no tenants`, "the file is empty")
	case settings && len(roots) > 1:
		d.failf(roots[1], "settings are one document", "there is more than one document")
	default:
		for _, root := range roots {
			d.document(root, settings, in, f)
		}
	}
}

// document reads the list of tenants of one document. Beside it nothing else
// may stand, unless they are settings.
func (d *decoder) document(root *yaml.Node, settings bool, in *Input, f *File) {
	var list *yaml.Node
	before := len(d.found)
	ok := d.entries(root, func(key string, k, v *yaml.Node) {
		switch {
		case key == "tenants":
			list = v
		case !settings:
			d.failf(k, oneOf(key, []string{"tenants"}), "unknown key %q", key)
		}
	})
	switch {
	case !ok:
		return
	case list == nil:
		if len(d.found) == before {
			d.failf(root, `add "tenants:" and a list`, "there is no key \"tenants\"")
		}
		return
	}
	d.list(list, func(_ int, n *yaml.Node) {
		def := d.define(n, in)
		if def.name == "" {
			d.found = append(d.found, def.diagnostics...)
			return
		}
		f.parsed.tenants = append(f.parsed.tenants, def)
		f.Names = append(f.Names, def.name)
	})
}
