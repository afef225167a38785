package repo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// youngAge is the age below which a file may change without a change of
	// its time stamp, for stamps are coarse on some file systems. Younger files
	// are read again by the next look.
	youngAge = 2 * time.Second
	// settleTime lies between the two reads of a file: a writer that is in the
	// middle of it shows.
	settleTime = 20 * time.Millisecond
	// patience is how long files may keep changing while they are read.
	patience = 3 * time.Second
	// maxLinks bounds how deep directories may nest where limits do not.
	maxLinks = 64
)

// stamp is what of a file's metadata tells that its content may have changed.
type stamp struct {
	size         int64
	mtime, ctime int64  // nanoseconds; ctime 0 where the system has none
	dev, inode   uint64 // likewise
}

// listed is a file found on disk and not read yet.
type listed struct {
	stamp
	mount   int
	rel     string // below the mount; "" for a mount that is a file
	refused string // why it cannot be taken, "" when it can
}

// indexed is a file that was read.
type indexed struct {
	stamp
	file *file
	// young: the stamp was fresh when the file was read, and proves nothing.
	young bool
}

// index is what is known of the files on disk, by path in the tree.
type index map[string]indexed

// scan returns the files on disk. It takes over from prev what did not change,
// unless full is set, and reads the rest twice, until both times all is the
// same: files are not written in one step, nor several of them together.
func (d *Dir) scan(ctx context.Context, prev index, full bool) (index, error) {
	deadline := time.Now().Add(patience)
	for {
		next, unstable, err := d.attempt(ctx, prev, full)
		if err != nil || unstable == "" {
			return next, err
		}
		if time.Now().After(deadline) {
			return nil, faultf(ReasonUnstable, "%s keeps changing while it is read", unstable)
		}
		if err := pause(ctx, settleTime); err != nil {
			return nil, err
		}
	}
}

// attempt scans once. unstable names a file that changed meanwhile, in which
// case nothing else that it returns counts.
func (d *Dir) attempt(ctx context.Context, prev index, full bool) (next index, unstable string, err error) {
	before, roots, err := d.list(ctx)
	defer func() { err = errors.Join(err, roots.close()) }()
	if err != nil {
		return nil, "", err
	}
	next = make(index, len(before))
	var reread []string
	anyYoung := false
	for name, l := range before {
		if err := ctx.Err(); err != nil {
			return nil, "", err
		}
		old, known := prev[name]
		if known && !full && !old.young && old.stamp == l.stamp && old.file.refused == l.refused {
			next[name] = old
			continue
		}
		f, same, err := roots.read(l)
		if err != nil || !same {
			return nil, name, gone(err)
		}
		if f.refused == "" && isLFSPointer(f.data) {
			f = refusedFile(lfsReason)
		}
		if known && old.file.hash == f.hash {
			f = old.file
		}
		young := time.Since(time.Unix(0, max(l.mtime, l.ctime))) < youngAge
		anyYoung = anyYoung || young
		next[name] = indexed{stamp: l.stamp, file: f, young: young}
		reread = append(reread, name)
	}
	if len(reread) == 0 {
		return next, "", nil
	}
	if anyYoung {
		if err := pause(ctx, settleTime); err != nil {
			return nil, "", err
		}
	}
	after, again, err := d.list(ctx)
	defer func() { err = errors.Join(err, again.close()) }()
	if err != nil {
		return nil, "", err
	}
	if name := differing(before, after); name != "" {
		return nil, name, nil
	}
	for _, name := range reread {
		f, same, err := again.read(after[name])
		if err != nil || !same || next[name].file.refused == "" && f.hash != next[name].file.hash {
			return nil, name, gone(err)
		}
	}
	return next, "", nil
}

// gone hides that a file vanished between listing and reading: that is change,
// not trouble.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func differing(a, b map[string]listed) string {
	for name, l := range a {
		if b[name] != l {
			return name
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			return name
		}
	}
	return ""
}

// openRoots are the mounts' directories, opened for one pass. Nothing is reached
// through them that does not lie in them: os.Root refuses symbolic links that
// lead out, even if they change while they are followed.
type openRoots []*os.Root

func (o openRoots) close() error {
	var errs []error
	for _, r := range o {
		if r != nil {
			errs = append(errs, r.Close())
		}
	}
	return errors.Join(errs...)
}

// read reads one file; same says that it is still the one that was listed.
func (o openRoots) read(l listed) (_ *file, same bool, err error) {
	if l.refused != "" {
		return refusedFile(l.refused), true, nil
	}
	// A pipe that took the file's place must not block.
	f, err := o[l.mount].OpenFile(l.rel, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrPermission) {
		return refusedFile(cause(err).Error()), true, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	if !info.Mode().IsRegular() || stampOf(info) != l.stamp {
		return nil, false, nil
	}
	data, err := io.ReadAll(io.LimitReader(f, l.size+1))
	if err != nil {
		return nil, false, err
	}
	return newFile(data), int64(len(data)) == l.size, nil
}

// list finds the files of all mounts. The caller closes the roots, also after
// an error.
func (d *Dir) list(ctx context.Context) (map[string]listed, openRoots, error) {
	w := &diskWalk{
		ctx: ctx, rules: &rules{limits: d.options.Limits},
		files: map[string]listed{}, roots: make(openRoots, len(d.mounts)),
	}
	for i, m := range d.mounts {
		if err := w.mount(i, m); err != nil {
			return nil, w.roots, err
		}
	}
	return w.files, w.roots, w.rules.verdict(Revision{})
}

// diskWalk lists one state of the disk.
type diskWalk struct {
	ctx   context.Context //nolint:containedctx // Lives only as long as one call of list.
	rules *rules
	files map[string]listed
	roots openRoots
	seen  totals
	full  bool // a limit of the whole tree was met: stop
}

func (w *diskWalk) mount(i int, m Mount) error {
	info, err := os.Stat(m.Path)
	if errors.Is(err, fs.ErrNotExist) {
		if m.Required {
			return faultf(ReasonMissing, "%s is not there", m.Path)
		}
		return nil
	}
	if err != nil {
		return err
	}
	dir, base := m.Path, ""
	if !info.IsDir() {
		// The link itself may lead anywhere: who runs the program named it.
		target, err := filepath.EvalSymlinks(m.Path)
		if err != nil {
			return err
		}
		dir, base = filepath.Split(target)
	}
	if w.roots[i], err = os.OpenRoot(dir); err != nil {
		return err
	}
	if base != "" {
		w.file(i, m.At, base, info)
		return nil
	}
	before := len(w.files)
	if err := w.dir(i, m, ".", nil); err != nil {
		return err
	}
	if m.Required && len(w.files) == before {
		return faultf(ReasonEmptyDir, "%s holds no file that ends in one of %v: an empty directory is taken for a fault, "+
			"not for an order to serve nothing (a file with `tenants: []` is one)", m.Path, m.Ext)
	}
	return nil
}

// dir lists one directory; above holds those that it lies in, by identity.
func (w *diskWalk) dir(i int, m Mount, rel string, above []fs.FileInfo) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	name := path.Join(m.At, rel)
	self, err := w.roots[i].Stat(rel)
	if err != nil {
		return err
	}
	for _, a := range above {
		if os.SameFile(a, self) {
			w.refuse(name, "a symbolic link to a directory that it lies in")
			return nil
		}
	}
	if len(above) >= maxLinks {
		w.refuse(name, fmt.Sprintf("more than %d levels deep", maxLinks))
		return nil
	}
	above = append(above, self)
	f, err := w.roots[i].Open(rel)
	if errors.Is(err, fs.ErrPermission) {
		w.refuse(name, cause(err).Error())
		return nil
	}
	if err != nil {
		return err
	}
	entries, err := f.ReadDir(-1)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("read directory %s: %w", name, err)
	}
	for _, e := range entries {
		if w.count(name, totals{entries: 1}); w.full {
			return nil
		}
		if err := w.entry(i, m, path.Join(rel, e.Name()), e, above); err != nil {
			return err
		}
	}
	return nil
}

func (w *diskWalk) entry(i int, m Mount, rel string, e fs.DirEntry, above []fs.FileInfo) error {
	base := e.Name()
	// Kubernetes keeps the files of a ConfigMap in directories named "..".
	if dropping(base) || base == ".git" || strings.HasPrefix(base, "..") {
		return nil
	}
	name := path.Join(m.At, rel)
	info, err := e.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it vanished meanwhile; the second look compares
	}
	if err != nil {
		return err
	}
	if e.Type()&fs.ModeSymlink != 0 {
		info, err = w.roots[i].Stat(rel)
		switch {
		case errors.Is(err, fs.ErrNotExist) && !hasExt(base, m.Ext):
			return nil // a dangling link that could not have been read
		case err != nil:
			w.refuse(name, fmt.Sprintf("a symbolic link that cannot be followed inside %s: %v", m.Path, cause(err)))
			return nil
		}
	}
	kind := info.Mode().Type()
	wanted := kind.IsDir() || hasExt(base, m.Ext)
	if !wanted {
		return nil
	}
	wrong := cmp.Or(checkName(base), w.rules.tooDeep(len(above)))
	switch {
	case wrong != "":
		w.refuse(name, wrong)
	case kind.IsDir():
		return w.dir(i, m, rel, above)
	case !kind.IsRegular():
		w.refuse(name, "not a regular file")
	default:
		w.file(i, name, rel, info)
	}
	return nil
}

// refuse lists an entry that cannot be taken.
func (w *diskWalk) refuse(name, reason string) {
	w.count(name, totals{files: 1})
	w.files[name] = listed{refused: reason}
}

func (w *diskWalk) file(i int, name, rel string, info fs.FileInfo) {
	if wrong := w.rules.overSize(info.Size()); wrong != "" {
		w.refuse(name, wrong)
		return
	}
	w.count(name, totals{files: 1, bytes: info.Size()})
	w.files[name] = listed{stamp: stampOf(info), mount: i, rel: rel}
}

// count adds what was seen at name and stops the walk where that is too much.
func (w *diskWalk) count(name string, t totals) {
	w.seen = w.seen.plus(t)
	if !w.full && !w.rules.fits(name, w.seen) {
		w.full = true
	}
}

// cause strips operation and path from an error of package os.
func cause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// pause waits, at most until ctx is done.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
