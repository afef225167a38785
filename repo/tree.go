package repo

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// file is the content of one file and its hash, or of an entry that cannot be
// taken the reason. Immutable; snapshots that hold the same content share it.
type file struct {
	data    []byte
	hash    string // lower-case hex SHA-256 of data, or of the reason
	refused string // why the entry cannot be taken, "" for a file that is
}

func newFile(data []byte) *file {
	sum := sha256.Sum256(data)
	return &file{data: data, hash: hex.EncodeToString(sum[:])}
}

// refusedFile stands for an entry that cannot be taken.
func refusedFile(reason string) *file {
	f := newFile([]byte("refused: " + reason))
	return &file{hash: f.hash, refused: reason}
}

// node is one file or directory of a snapshot. Immutable once its snapshot is
// made, so that the next snapshot shares every subtree that did not change.
type node struct {
	name string
	file *file   // nil for a directory
	kids []*node // of a directory, sorted by name
	// id is the git object it was read from; zero for a directory source.
	id plumbing.Hash
	// sum is what reading the node counted against the limits.
	sum totals
}

// totals is what a part of a tree counts against Limits.
type totals struct {
	files   int
	bytes   int64
	entries int // all that was looked at, read or not
}

func (t totals) plus(o totals) totals {
	return totals{files: t.files + o.files, bytes: t.bytes + o.bytes, entries: t.entries + o.entries}
}

// child returns the entry of that name, nil when there is none.
func (n *node) child(name string) *node {
	if n == nil {
		return nil
	}
	i, ok := slices.BinarySearchFunc(n.kids, name, func(k *node, name string) int {
		return strings.Compare(k.name, name)
	})
	if !ok {
		return nil
	}
	return n.kids[i]
}

// lookup follows a slash-separated path; "." is n itself.
func (n *node) lookup(name string) *node {
	if name == "." {
		return n
	}
	for elem := range strings.SplitSeq(name, "/") {
		if n = n.child(elem); n == nil {
			return nil
		}
	}
	return n
}

// hashes lists the content hash of every file below n by its path, and apart
// from them why an entry cannot be taken; refused is nil without any.
func (n *node) hashes() (hashes, refused map[string]string) {
	hashes = make(map[string]string, n.sum.files)
	n.each(".", func(name string, f *file) {
		if f.refused == "" {
			hashes[name] = f.hash
			return
		}
		if refused == nil {
			refused = make(map[string]string)
		}
		refused[printable(name)] = f.refused
	})
	return hashes, refused
}

func (n *node) each(at string, visit func(name string, f *file)) {
	for _, k := range n.kids {
		name := path.Join(at, k.name)
		if k.file != nil {
			visit(name, k.file)
			continue
		}
		k.each(name, visit)
	}
}

// same says whether two trees hold the same files. Where they share nodes it
// does not look below them.
func (n *node) same(o *node) bool {
	if n == o {
		return true
	}
	if n == nil || o == nil || n.name != o.name || len(n.kids) != len(o.kids) {
		return false
	}
	if n.file != nil || o.file != nil {
		return n.file != nil && o.file != nil && n.file.hash == o.file.hash
	}
	for i, k := range n.kids {
		if !k.same(o.kids[i]) {
			return false
		}
	}
	return true
}

// snapshot makes a snapshot of root. When prev holds the same files it shares
// prev's FS and Hashes, so that a commit beside the roots costs next to nothing
// here and is cheap to recognise.
func snapshot(rev Revision, root, old *node, prev *Snapshot) *Snapshot {
	if prev != nil && root.same(old) {
		return &Snapshot{Revision: rev, FS: prev.FS, Hashes: prev.Hashes, Refused: prev.Refused}
	}
	hashes, refused := root.hashes()
	return &Snapshot{Revision: rev, FS: &memFS{root: root, mtime: rev.Time}, Hashes: hashes, Refused: refused}
}

// newTree arranges files, by slash-separated path, as nodes.
func newTree(files map[string]*file) *node {
	root := &node{name: "."}
	dirs := map[string]*node{".": root}
	var dir func(name string) *node
	dir = func(name string) *node {
		if n := dirs[name]; n != nil {
			return n
		}
		n := &node{name: path.Base(name)}
		dirs[name] = n
		parent := dir(path.Dir(name))
		parent.kids = append(parent.kids, n)
		return n
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f := files[name]
		parent := dir(path.Dir(name))
		parent.kids = append(parent.kids, &node{name: path.Base(name), file: f})
		root.sum.files++
		root.sum.bytes += int64(len(f.data))
	}
	for _, n := range dirs {
		sortNodes(n.kids)
	}
	return root
}

func sortNodes(kids []*node) {
	slices.SortFunc(kids, func(a, b *node) int { return cmp.Compare(a.name, b.name) })
}
