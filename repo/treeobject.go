package repo

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// The modes of tree entries, as git writes them.
const (
	modeTree       = "40000"
	modeFile       = "100644"
	modeExecutable = "100755"
	modeGroupWrite = "100664" // written by old versions of git
	modeSymlink    = "120000"
	modeSubmodule  = "160000"
)

// treeEntry is one line of a git tree object.
type treeEntry struct {
	mode string
	name string
	id   plumbing.Hash
}

// parseTree reads the content of a tree object. It judges form alone; names
// are checked where they matter.
func parseTree(data []byte) ([]treeEntry, error) {
	entries := make([]treeEntry, 0, len(data)/36)
	for len(data) > 0 {
		mode, rest, ok := bytes.Cut(data, []byte{' '})
		if !ok || len(mode) == 0 || len(mode) > 6 {
			return nil, errors.New("malformed tree: no mode")
		}
		name, rest, ok := bytes.Cut(rest, []byte{0})
		if !ok || len(rest) < len(plumbing.ZeroHash) {
			return nil, errors.New("malformed tree: cut entry")
		}
		e := treeEntry{mode: strings.TrimLeft(string(mode), "0"), name: string(name)}
		copy(e.id[:], rest)
		entries = append(entries, e)
		data = rest[len(e.id):]
	}
	return entries, nil
}

// regular says whether the entry is a file with content of its own.
func (e treeEntry) regular() bool {
	return e.mode == modeFile || e.mode == modeExecutable || e.mode == modeGroupWrite
}

// tree reads a tree object.
func (o *objects) tree(id plumbing.Hash) ([]treeEntry, error) {
	data, err := o.read(plumbing.TreeObject, id, maxTree)
	if err != nil {
		return nil, err
	}
	entries, err := parseTree(data)
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w", id, err)
	}
	return entries, nil
}

// errNoSubtree says that a path is not a directory of a tree.
var errNoSubtree = errors.New("no such directory in the tree")

// subtree returns the tree object at a slash-separated path below a tree.
func (o *objects) subtree(id plumbing.Hash, at string) (plumbing.Hash, error) {
	if at == "." {
		return id, nil
	}
	for elem := range strings.SplitSeq(at, "/") {
		entries, err := o.tree(id)
		if err != nil {
			return plumbing.ZeroHash, err
		}
		i := slices.IndexFunc(entries, func(e treeEntry) bool { return e.name == elem && e.mode == modeTree })
		if i < 0 {
			return plumbing.ZeroHash, errNoSubtree
		}
		id = entries[i].id
	}
	return id, nil
}

// blobsBelow adds to out the ids of the regular files below a tree, at most
// levels deep, whose name ends in one of exts, by path below at.
func (o *objects) blobsBelow(id plumbing.Hash, at string, exts []string, out map[string]plumbing.Hash, levels int) error {
	if levels == 0 {
		return errors.New("tree is too deep")
	}
	entries, err := o.tree(id)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join(at, e.name)
		switch {
		case dropping(e.name):
		case e.mode == modeTree:
			if err := o.blobsBelow(e.id, name, exts, out, levels-1); err != nil {
				return err
			}
		case e.regular() && hasExt(e.name, exts):
			out[name] = e.id
		}
	}
	return nil
}
