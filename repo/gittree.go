package repo

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// treeWalk reads the part of one commit's tree that the roots name. It follows
// the previous snapshot along the same paths, and takes over every subtree and
// file whose object id is the same: what did not change is not read again and
// shares its memory.
type treeWalk struct {
	objects *objects
	rules   *rules
	// fresh holds the content read in this walk by blob id: a tree may name
	// one blob many times.
	fresh map[plumbing.Hash]*file
	// plain holds the subtrees read in this walk that lie below roots only:
	// hostile trees name one subtree many times.
	plain map[plainKey]*node
	seen  totals
	full  bool // a limit of the whole tree was met: stop
}

// plainKey names a subtree whose meaning depends on nothing but its content.
type plainKey struct {
	id    plumbing.Hash
	exts  string
	depth int
}

func newTreeWalk(o *objects, r *rules) *treeWalk {
	return &treeWalk{objects: o, rules: r, fresh: map[plumbing.Hash]*file{}, plain: map[plainKey]*node{}}
}

// scope is what the roots ask of one directory.
type scope struct {
	exts  []string // files with these endings are read here
	depth int      // path elements below the outermost root, 0 outside of one
	later []Root   // roots that lie deeper
}

// enter returns the scope of the directory at the path at, inside s.
func (s scope) enter(at string) scope {
	next := scope{exts: s.exts}
	if len(s.exts) > 0 {
		next.depth = s.depth + 1
	}
	for _, r := range s.later {
		switch {
		case r.Dir == at:
			next.exts = mergeExts(next.exts, r.Ext)
		case below(r.Dir, at):
			next.later = append(next.later, r)
		}
	}
	return next
}

func (s scope) idle() bool { return len(s.exts) == 0 && len(s.later) == 0 }

// topScope is the scope of the tree's root directory.
func topScope(roots []Root) scope {
	return scope{later: roots}.enter(".")
}

func mergeExts(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

// dir reads the tree object id, which lies at the path at and was prev in the
// previous snapshot (nil when there was none).
func (w *treeWalk) dir(ctx context.Context, at string, id plumbing.Hash, prev *node, s scope) (*node, error) {
	if prev != nil && prev.id == id {
		w.count(at, prev.sum)
		return prev, nil
	}
	key := plainKey{id: id, exts: strings.Join(s.exts, "\x00"), depth: s.depth}
	if known := w.plain[key]; known != nil && len(s.later) == 0 {
		w.count(at, known.sum)
		renamed := *known
		renamed.name = path.Base(at)
		return &renamed, nil
	}
	entries, err := w.objects.tree(id)
	if err != nil {
		return nil, err
	}
	n := &node{name: path.Base(at), id: id}
	names := make(map[string]bool, len(entries))
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if w.full {
			return n, nil
		}
		if names[e.name] {
			w.rules.refuse(path.Join(at, e.name), "the name is there twice")
			continue
		}
		names[e.name] = true
		kid, err := w.entry(ctx, at, e, prev.child(e.name), s)
		if err != nil {
			return nil, err
		}
		n.sum.entries++
		if kid == nil {
			continue
		}
		n.sum = n.sum.plus(kid.sum)
		if kid.file != nil || len(kid.kids) > 0 {
			n.kids = append(n.kids, kid)
		}
	}
	sortNodes(n.kids)
	if len(s.later) == 0 {
		w.plain[key] = n
	}
	return n, nil
}

// entry reads one entry of a directory, nil when it is none of ours.
func (w *treeWalk) entry(ctx context.Context, at string, e treeEntry, prev *node, s scope) (*node, error) {
	name := path.Join(at, e.name)
	w.count(name, totals{entries: 1})
	if forged(e.name) {
		w.rules.refuse(name, "%s", checkName(e.name))
		return nil, nil
	}
	if len(s.exts) > 0 && dropping(e.name) {
		return nil, nil
	}
	inner := s.enter(name)
	root := len(inner.exts) > len(s.exts) || len(inner.later) > 0
	isFile := e.mode == modeFile || e.mode == modeExecutable || e.mode == modeGroupWrite
	if inner.idle() || isFile && !root && !hasExt(e.name, s.exts) {
		return nil, nil
	}
	if wrong := checkName(e.name); wrong != "" {
		return refusedNode(e, prev, wrong), nil
	}
	if wrong := w.rules.tooDeep(s.enter(name).depth); wrong != "" {
		return refusedNode(e, prev, wrong), nil
	}
	switch {
	case e.mode == modeTree:
		return w.dir(ctx, name, e.id, prev, inner)
	case isFile && root:
		return refusedNode(e, prev, "a file, where a directory is expected"), nil
	case isFile:
		return w.file(name, e, prev)
	case e.mode == modeSymlink:
		return refusedNode(e, prev, "a symbolic link: commit the file or directory itself"), nil
	case e.mode == modeSubmodule:
		return refusedNode(e, prev, "a submodule: submodules are not read; commit the files themselves"), nil
	default:
		return refusedNode(e, prev, fmt.Sprintf("of the unknown mode %q", e.mode)), nil
	}
}

// refusedNode stands for an entry that cannot be taken.
func refusedNode(e treeEntry, prev *node, reason string) *node {
	n := &node{name: e.name, id: e.id, file: refusedFile(reason), sum: totals{files: 1}}
	if prev != nil && prev.file != nil && prev.file.refused == reason {
		n.file = prev.file
	}
	return n
}

// file reads one blob, or takes it from the previous snapshot or this walk.
func (w *treeWalk) file(name string, e treeEntry, prev *node) (*node, error) {
	content := w.fresh[e.id]
	if prev != nil && prev.file != nil && prev.id == e.id && prev.file.refused == "" {
		content = prev.file
	}
	var sum totals
	if content != nil {
		sum = totals{files: 1, bytes: int64(len(content.data))}
	} else {
		size, err := w.objects.size(e.id)
		if err != nil {
			return nil, err
		}
		if wrong := w.rules.overSize(size); wrong != "" {
			return refusedNode(e, prev, wrong), nil
		}
		sum = totals{files: 1, bytes: size}
	}
	if w.count(name, sum); w.full {
		return nil, nil
	}
	if content == nil {
		data, err := w.objects.read(plumbing.BlobObject, e.id, 0)
		if err != nil {
			return nil, err
		}
		if isLFSPointer(data) {
			return refusedNode(e, prev, lfsReason), nil
		}
		content = newFile(data)
		w.fresh[e.id] = content
	}
	return &node{name: e.name, file: content, id: e.id, sum: sum}, nil
}

// count adds what was seen at name and stops the walk where that is too much.
func (w *treeWalk) count(name string, t totals) {
	w.seen = w.seen.plus(t)
	if !w.full && !w.rules.fits(name, w.seen) {
		w.full = true
	}
}
