package repo

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"
)

// errMissing says that an object store does not hold an object.
var errMissing = errors.New("object is missing")

// objects reads one git object store and writes nothing. What it returns was
// hashed again, so that a flipped bit on disk is an error and never content.
// Not safe for concurrent use: go-git's stores are not.
type objects struct {
	stores []*filesystem.Storage // the repository's own first, then its alternates
}

const (
	// objectCache is how much of decoded objects go-git may keep, for deltas.
	objectCache = 16 << 20
	// maxAlternates bounds chains of stores that borrow from each other.
	maxAlternates = 8
	// maxCommit and maxTree bound objects that are not content. A tree of that
	// size has half a million entries.
	maxCommit = 1 << 20
	maxTree   = 32 << 20
)

// openObjects opens the git directory dir: that of a bare repository, the .git
// of a work tree, or the directory a linked work tree's .git file names.
func openObjects(dir string) (*objects, error) {
	fsys, common := osfs.New(dir), dir
	shared, err := readLine(filepath.Join(dir, "commondir"))
	switch {
	case err == nil:
		common = against(dir, shared)
		fsys = dotgit.NewRepositoryFilesystem(fsys, osfs.New(common))
	case !errors.Is(err, os.ErrNotExist):
		return nil, err
	}
	options := filesystem.Options{KeepDescriptors: true}
	o := &objects{stores: []*filesystem.Storage{
		filesystem.NewStorageWithOptions(fsys, cache.NewObjectLRU(objectCache), options),
	}}
	alternates, err := findAlternates(filepath.Join(common, "objects"))
	if err != nil {
		return nil, err
	}
	for _, a := range alternates {
		// go-git wants the directory above objects.
		o.stores = append(o.stores, filesystem.NewStorageWithOptions(
			osfs.New(filepath.Dir(a)), cache.NewObjectLRU(objectCache), options))
	}
	return o, nil
}

// findAlternates lists the object directories that dir borrows from, directly
// or not.
func findAlternates(dir string) ([]string, error) {
	var out []string
	for queue := []string{dir}; len(queue) > 0; queue = queue[1:] {
		f, err := os.Open(filepath.Join(queue[0], "info", "alternates"))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			if line := lines.Text(); line != "" && line[0] != '#' {
				next := against(queue[0], line)
				out, queue = append(out, next), append(queue, next)
			}
		}
		err = errors.Join(lines.Err(), f.Close())
		if err != nil {
			return nil, err
		}
		if len(out) > maxAlternates {
			return nil, fmt.Errorf("%s: more than %d alternates", dir, maxAlternates)
		}
	}
	return out, nil
}

// close releases the descriptors of packs.
func (o *objects) close() error {
	var errs []error
	for _, s := range o.stores {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// has says whether the store holds an object of that id.
func (o *objects) has(id plumbing.Hash) bool {
	for _, s := range o.stores {
		if s.HasEncodedObject(id) == nil {
			return true
		}
	}
	return false
}

// size returns the size of an object without reading it.
func (o *objects) size(id plumbing.Hash) (int64, error) {
	n, _, err := o.locate(id)
	return n, err
}

func (o *objects) locate(id plumbing.Hash) (n int64, in *filesystem.Storage, err error) {
	defer recovered(&err)
	for _, s := range o.stores {
		n, err = s.EncodedObjectSize(id)
		if err == nil {
			return n, s, nil
		}
		if !errors.Is(err, plumbing.ErrObjectNotFound) {
			return 0, nil, fmt.Errorf("object %s: %w", id, err)
		}
	}
	return 0, nil, fmt.Errorf("%w: %s", errMissing, id)
}

// read returns the bytes of an object of at most limit bytes, 0 for any size.
func (o *objects) read(kind plumbing.ObjectType, id plumbing.Hash, limit int64) (data []byte, err error) {
	defer recovered(&err)
	n, in, err := o.locate(id)
	if err != nil {
		return nil, err
	}
	if limit > 0 && n > limit {
		return nil, faultf(ReasonTooLarge, "%s %s has %d bytes, at most %d", kind, id, n, limit)
	}
	obj, err := in.EncodedObject(kind, id)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", kind, id, err)
	}
	r, err := obj.Reader()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", kind, id, err)
	}
	data = make([]byte, n)
	_, err = io.ReadFull(r, data)
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("%s %s: %w", kind, id, err)
	}
	if got := plumbing.ComputeHash(kind, data); got != id {
		return nil, fmt.Errorf("%s %s hashes to %s", kind, id, got)
	}
	return data, nil
}

func (o *objects) commit(id plumbing.Hash) (*object.Commit, error) {
	data, err := o.read(plumbing.CommitObject, id, maxCommit)
	if err != nil {
		return nil, err
	}
	var (
		raw plumbing.MemoryObject
		c   object.Commit
	)
	raw.SetType(plumbing.CommitObject)
	if _, err := raw.Write(data); err != nil {
		return nil, fmt.Errorf("commit %s: %w", id, err)
	}
	if err := c.Decode(&raw); err != nil {
		return nil, fmt.Errorf("commit %s: %w", id, err)
	}
	return &c, nil
}

// branch returns the commit that a branch points at.
func (o *objects) branch(name string) (id plumbing.Hash, err error) {
	defer recovered(&err)
	ref, err := o.stores[0].Reference(plumbing.NewBranchReferenceName(name))
	if err != nil {
		return plumbing.ZeroHash, err
	}
	return ref.Hash(), nil
}

// branches lists the short names of all branches, in no order.
func (o *objects) branches() (names []string, err error) {
	defer recovered(&err)
	refs, err := o.stores[0].IterReferences()
	if err != nil {
		return nil, err
	}
	defer refs.Close()
	err = refs.ForEach(func(r *plumbing.Reference) error {
		if r.Name().IsBranch() {
			names = append(names, r.Name().Short())
		}
		return nil
	})
	return names, err
}

// head returns the commit that HEAD stands for.
func (o *objects) head() (id plumbing.Hash, err error) {
	defer recovered(&err)
	ref, err := o.stores[0].Reference(plumbing.HEAD)
	for range 5 { // symbolic references may point at each other
		if err != nil {
			return plumbing.ZeroHash, err
		}
		if ref.Type() == plumbing.HashReference {
			return ref.Hash(), nil
		}
		ref, err = o.stores[0].Reference(ref.Target())
	}
	return plumbing.ZeroHash, fmt.Errorf("HEAD: too many symbolic references")
}

// recovered turns a panic of go-git on a damaged store into an error.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("damaged git object store: %v", p)
	}
}

// findGitDir returns the git directory of path: path itself when it is a bare
// repository, else what its .git is or names.
func findGitDir(path string) (string, error) {
	dot := filepath.Join(path, ".git")
	info, err := os.Stat(dot)
	switch {
	case err == nil && info.IsDir():
		return dot, nil
	case err == nil:
		line, err := readLine(dot)
		if err != nil {
			return "", err
		}
		target, ok := strings.CutPrefix(line, "gitdir: ")
		if !ok {
			return "", fmt.Errorf("%s: no gitdir line", dot)
		}
		return against(path, target), nil
	case !errors.Is(err, os.ErrNotExist):
		return "", err
	}
	for _, part := range []string{"objects", "refs", "HEAD"} {
		if _, err := os.Stat(filepath.Join(path, part)); err != nil {
			return "", err
		}
	}
	return path, nil
}

// maxLine bounds the small files of git that hold one path.
const maxLine = 4096

// readLine returns the content of a small file without its line end.
func readLine(name string) (string, error) {
	f, err := os.Open(name) //nolint:gosec // A file of git, in a repository that the settings name.
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxLine))
	if err = errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	return strings.TrimRight(string(data), "\r\n"), nil
}

// against resolves a path that counts from dir unless it is absolute.
func against(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}
