package repo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The defaults of DirOptions.
const (
	defaultDebounce = 250 * time.Millisecond
	defaultRescan   = 30 * time.Second
	defaultFullHash = 10 * time.Minute
)

// Mount puts a file or directory of the disk at a place in the tree.
type Mount struct {
	// At is the place in the tree, slash-separated.
	At string
	// Path is the directory or the single file on disk.
	Path string
	// Ext are the endings of the files that are read below a directory. Of a
	// single file the name does not matter.
	Ext []string
	// Required: that Path is gone, or holds no file with such an ending, is a
	// fault of the disk and not an order to serve nothing, so Fetch fails.
	// Without it, nothing there is read as no files.
	Required bool
}

// DirOptions say which files are followed.
type DirOptions struct {
	// Name describes the source in errors and logs; "" is the first mount's
	// path.
	Name   string
	Mounts []Mount
	// Debounce is how long files must be quiet after an event before it is
	// passed on; 0 is 250 ms. Under steady change it is passed on every 2 s.
	Debounce time.Duration
	// Rescan is the time between looks for what no event told of (NFS, a full
	// event queue, a directory that was remade); 0 is 30 s.
	Rescan time.Duration
	// FullHash is the time between looks that trust no time stamp and read
	// every file; 0 is 10 minutes.
	FullHash time.Duration
	Limits   Limits
	// Log may be nil.
	Log *slog.Logger
}

// Dir is a set of directories and files as a Source.
type Dir struct {
	options DirOptions
	mounts  []Mount

	mu     sync.Mutex // one look at the disk at a time; guards what follows
	state  dirState
	handed *Snapshot // by the last Fetch, nil when it failed
	// last is state's snapshot, for Contains, which waits for no look.
	last atomic.Pointer[Snapshot]
}

var _ Source = (*Dir)(nil)

// dirState is what the last good look at the disk found.
type dirState struct {
	index    index
	content  string // hash over names and contents
	checkout checkoutState
	tree     *node
	snapshot *Snapshot
	fullAt   time.Time // when every file was last read
}

// OpenDir checks the options. It does not look at the disk: the first Fetch
// does. There is nothing to close.
func OpenDir(o DirOptions) (*Dir, error) {
	if len(o.Mounts) == 0 {
		return nil, errors.New("open directory: nothing to read")
	}
	if o.Name == "" {
		o.Name = o.Mounts[0].Path
	}
	if o.Debounce <= 0 {
		o.Debounce = defaultDebounce
	}
	if o.Rescan <= 0 {
		o.Rescan = defaultRescan
	}
	if o.FullHash <= 0 {
		o.FullHash = defaultFullHash
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	d := &Dir{options: o}
	for _, m := range o.Mounts {
		at, err := cleanTreePath(m.At)
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", o.Name, err)
		}
		path, err := filepath.Abs(m.Path)
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", o.Name, err)
		}
		m.At, m.Path = at, path
		d.mounts = append(d.mounts, m)
	}
	return d, nil
}

// String is the directory's path.
func (d *Dir) String() string { return d.options.Name }

// Close implements Source; there is nothing to release.
func (d *Dir) Close() error { return nil }

// Contains says whether id abbreviates the last revision: a directory has no
// history. Of a dirty checkout only the whole revision will do, as the commit
// alone is not what is there.
func (d *Dir) Contains(id string) bool {
	last := d.last.Load()
	if last == nil || len(id) < minPrefix {
		return false
	}
	rev := last.Revision
	return id == rev.ID || !rev.Dirty && strings.HasPrefix(rev.ID, strings.ToLower(id))
}

// Fetch reads what changed since the last time and returns the same snapshot
// when nothing did. Its error is an *Error when the disk could not be read, and
// a *TreeError when what is there cannot be taken.
func (d *Dir) Fetch(ctx context.Context) (*Snapshot, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.handed = nil
	if err := d.look(ctx, false); err != nil {
		return nil, d.explain(err)
	}
	d.handed = d.state.snapshot
	return d.handed, nil
}

// stale looks at the disk and says whether a Fetch would say something new,
// as far as trouble that may have passed. full trusts no time stamp.
func (d *Dir) stale(ctx context.Context) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	full := time.Since(d.state.fullAt) >= d.options.FullHash
	return d.look(ctx, full) != nil || d.state.snapshot != d.handed
}

// look brings state up to date with the disk; on an error it stays as it was.
// mu is held.
func (d *Dir) look(ctx context.Context, full bool) error {
	prev := d.state
	if prev.snapshot == nil {
		full = true
	}
	found, err := d.scan(ctx, prev.index, full)
	if err != nil {
		return err
	}
	next := dirState{
		index: found, content: prev.content, checkout: prev.checkout,
		tree: prev.tree, snapshot: prev.snapshot, fullAt: prev.fullAt,
	}
	if full {
		next.fullAt = time.Now()
	}
	if !found.same(prev.index) {
		next.content = found.hash()
		next.tree = newTree(found.files())
	}
	next.checkout = d.findCheckout(prev.checkout, next.content, found)
	rev := next.checkout.revision
	if rev.ID == "" {
		rev.ID = "sha256:" + next.content[:12]
	}
	if prev.snapshot == nil || next.content != prev.content || rev != prev.snapshot.Revision {
		next.snapshot = snapshot(rev, next.tree, prev.tree, prev.snapshot)
	}
	d.state = next
	d.last.Store(next.snapshot)
	return nil
}

// same says whether two indexes name the same files with the same content; a
// scan keeps the file of a content that it knows.
func (x index) same(o index) bool {
	return o != nil && maps.EqualFunc(x, o, func(a, b indexed) bool { return a.file == b.file })
}

// hash sums up names and contents.
func (x index) hash() string {
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(x)) {
		_, _ = fmt.Fprintf(sum, "%s\x00%s\n", name, x[name].file.hash) // Never fails.
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func (x index) files() map[string]*file {
	out := make(map[string]*file, len(x))
	for name, e := range x {
		out[name] = e.file
	}
	return out
}

func (d *Dir) explain(err error) error {
	if _, ok := errors.AsType[*TreeError](err); ok || errors.Is(err, context.Canceled) {
		return err
	}
	return asError("read", d.options.Name, err, ReasonUnreadable)
}
