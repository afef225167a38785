package repo

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Watch passes on changes of files: TriggerFsnotify shortly after the file
// system told of them, TriggerRescan when a look at the disk found what it did
// not tell of. Where the system has no room for watches it says so once and
// goes on with looks alone.
func (d *Dir) Watch(ctx context.Context, nudge func(Trigger)) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { d.rescan(ctx, nudge) })
	w, err := fsnotify.NewWatcher()
	if err != nil {
		d.pollOnly(err)
		<-ctx.Done()
		return ctx.Err()
	}
	watch := &dirWatch{dir: d, watcher: w}
	events := make(chan struct{}, 1)
	wg.Go(func() { watch.forward(events) })
	watch.sync()
	err = debounce(ctx, d.options.Debounce, events, func() {
		// First the watches, then the nudge: what is made in a new directory
		// before it is watched is there when the nudge is followed.
		watch.sync()
		nudge(TriggerFsnotify)
	})
	if closeErr := w.Close(); closeErr != nil {
		d.options.Log.Warn("closing file watches", "err", closeErr)
	}
	return err
}

func (d *Dir) pollOnly(err error) {
	d.options.Log.Warn("no file watches, looking at the disk instead",
		slog.String("source", d.options.Name), slog.Duration("every", d.options.Rescan), slog.Any("err", err))
}

// rescan looks at the disk now and then, until ctx is done.
func (d *Dir) rescan(ctx context.Context, nudge func(Trigger)) {
	ticker := time.NewTicker(d.options.Rescan)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if d.stale(ctx) && ctx.Err() == nil {
				nudge(TriggerRescan)
			}
		}
	}
}

// dirWatch keeps the watches of one Watch. Only directories are watched: a
// watch on a file dies with the file, which most editors replace.
type dirWatch struct {
	dir     *Dir
	watcher *fsnotify.Watcher
	full    bool // the system had no room for a watch; told once

	mu sync.Mutex // guards watched
	// watched holds for each watched directory which entries matter.
	watched map[string]entries
}

// entries are names in a directory; nil stands for all of them.
type entries map[string]bool

// sync makes the watches those that the disk asks for now: every directory
// below the mounts, and every directory that holds a step of the path to one,
// for a mount or a link on the way to it may be replaced.
func (w *dirWatch) sync() {
	wanted := map[string]entries{}
	for _, m := range w.dir.mounts {
		w.wantPath(m.Path, wanted)
		if target, err := filepath.EvalSymlinks(m.Path); err == nil {
			w.wantPath(target, wanted)
			w.wantBelow(target, wanted, 0)
		}
	}
	w.mu.Lock()
	w.watched = wanted
	w.mu.Unlock()
	for _, name := range w.watcher.WatchList() {
		if _, ok := wanted[name]; !ok {
			_ = w.watcher.Remove(name) // Gone with the directory.
		}
	}
}

// wantPath watches the directories that hold the steps of path.
func (w *dirWatch) wantPath(path string, wanted map[string]entries) {
	for step := path; filepath.Dir(step) != step; step = filepath.Dir(step) {
		parent, err := filepath.EvalSymlinks(filepath.Dir(step))
		if err != nil || !w.add(parent) {
			continue
		}
		names, there := wanted[parent]
		if there && names == nil {
			continue
		}
		if names == nil {
			names = entries{}
			wanted[parent] = names
		}
		names[filepath.Base(step)] = true
	}
}

// wantBelow watches dir and all directories in it. dir is watched before it is
// listed, so that nothing is made in it unseen.
func (w *dirWatch) wantBelow(dir string, wanted map[string]entries, depth int) {
	if info, err := os.Lstat(dir); err != nil || !info.IsDir() || depth > maxLinks || !w.add(dir) {
		return
	}
	wanted[dir] = nil
	list, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range list {
		path := filepath.Join(dir, e.Name())
		switch {
		case e.Name() == ".git":
		case e.IsDir():
			w.wantBelow(path, wanted, depth+1)
		case e.Type()&fs.ModeSymlink != 0:
			target, err := filepath.EvalSymlinks(path)
			if err == nil && below(filepath.ToSlash(target), filepath.ToSlash(dir)) && target != dir {
				w.wantBelow(target, wanted, depth+1)
			}
		}
	}
}

func (w *dirWatch) add(dir string) bool {
	err := w.watcher.Add(dir)
	if err != nil && !w.full && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		w.full = true
		w.dir.pollOnly(err)
	}
	return err == nil
}

// forward turns events of the file system into events, until the watcher is
// closed. An event queue that overflowed stands for any change.
func (w *dirWatch) forward(events chan<- struct{}) {
	for {
		select {
		case e, ok := <-w.watcher.Events:
			if !ok {
				return
			}
			if !w.matters(e) {
				continue
			}
		case _, ok := <-w.watcher.Errors:
			if !ok {
				return
			}
		}
		select {
		case events <- struct{}{}:
		default: // One is waiting already.
		}
	}
}

// matters says whether an event may be about something that is read.
func (w *dirWatch) matters(e fsnotify.Event) bool {
	name := filepath.Base(e.Name)
	if e.Op == fsnotify.Chmod || name == ".git" || dropping(name) {
		return false
	}
	w.mu.Lock()
	names, watched := w.watched[filepath.Dir(e.Name)]
	_, self := w.watched[e.Name]
	w.mu.Unlock()
	// Kubernetes swaps the link "..data".
	return self || watched && (names == nil || names[name] || strings.HasPrefix(name, ".."))
}
