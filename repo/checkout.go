package repo

import (
	"errors"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing"
)

// checkoutState is what is known of the git checkout that the mounts lie in.
// Zero: in none.
type checkoutState struct {
	head     plumbing.Hash
	content  string // the content that the revision was computed for
	revision Revision
}

// findCheckout looks for a git checkout that all mounts lie in and names its
// revision: the commit of HEAD, "-dirty" when a file that was read is not what
// that commit has. Files are compared with the objects; what cannot be compared
// counts as dirty. No git program runs, and the index is not looked at: what is
// staged makes no difference to what is served.
func (d *Dir) findCheckout(prev checkoutState, content string, x index) checkoutState {
	tree, gitDir := d.worktree()
	if gitDir == "" {
		return checkoutState{}
	}
	o, err := openObjects(gitDir)
	if err != nil {
		return checkoutState{}
	}
	defer func() { _ = o.close() }() // Only read from.
	head, err := o.head()
	if err != nil {
		return checkoutState{} // nothing is committed yet
	}
	if head == prev.head && content == prev.content {
		return prev
	}
	next := checkoutState{head: head, content: content, revision: Revision{ID: head.String()}}
	if c, err := o.commit(head); err == nil {
		next.revision = revisionOf(c)
		if clean, err := d.clean(o, c.TreeHash, tree, x); err == nil && clean {
			return next
		}
	}
	next.revision.ID += "-dirty"
	next.revision.Dirty = true
	return next
}

// worktree returns the directory with a .git that all mounts lie in, and the
// git directory.
func (d *Dir) worktree() (root, gitDir string) {
	for _, m := range d.mounts {
		at, err := filepath.EvalSymlinks(m.Path)
		if err != nil {
			continue // a mount that is not there lies nowhere
		}
		mine, git := findWorktree(at)
		if git == "" || root != "" && mine != root {
			return "", ""
		}
		root, gitDir = mine, git
	}
	return root, gitDir
}

func findWorktree(at string) (root, gitDir string) {
	for {
		if dir, err := findGitDir(at); err == nil && dir != at {
			return at, dir
		}
		parent := filepath.Dir(at)
		if parent == at {
			return "", ""
		}
		at = parent
	}
}

// clean says whether the files that were read are those of a commit's tree,
// none changed, added or removed.
func (d *Dir) clean(o *objects, tree plumbing.Hash, root string, x index) (bool, error) {
	committed := map[string]plumbing.Hash{}
	for _, m := range d.mounts {
		at, err := filepath.EvalSymlinks(m.Path)
		if err != nil {
			continue
		}
		rel, err := filepath.Rel(root, at)
		if err != nil {
			return false, err
		}
		if err := o.blobs(tree, filepath.ToSlash(rel), m, committed); err != nil {
			return false, err
		}
	}
	if len(committed) != len(x) {
		return false, nil
	}
	for name, e := range x {
		if e.file.refused == "" && committed[name] != plumbing.ComputeHash(plumbing.BlobObject, e.file.data) {
			return false, nil
		}
	}
	return true, nil
}

// blobs adds to out, by path in the snapshot, the ids of the files that lie at
// the path at of a tree and that the mount would read.
func (o *objects) blobs(tree plumbing.Hash, at string, m Mount, out map[string]plumbing.Hash) error {
	id, err := o.subtree(tree, at)
	if err == nil {
		return o.blobsBelow(id, m.At, m.Ext, out, maxLinks)
	}
	if !errors.Is(err, errNoSubtree) {
		return err
	}
	dir, base := filepath.Split(at)
	id, err = o.subtree(tree, filepath.ToSlash(filepath.Clean(dir)))
	if errors.Is(err, errNoSubtree) {
		return nil
	}
	if err != nil {
		return err
	}
	entries, err := o.tree(id)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.name == base && e.regular() {
			out[m.At] = e.id
		}
	}
	return nil
}
