package repo

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// openDir opens a source over configs/tenants and scripts of a directory.
func openDir(t *testing.T, dir string, change ...func(*DirOptions)) *Dir {
	t.Helper()
	o := DirOptions{
		Name: dir,
		Mounts: []Mount{
			{At: "configs/tenants", Path: filepath.Join(dir, "configs/tenants"), Ext: []string{".yaml", ".yml"}, Required: true},
			{At: "scripts", Path: filepath.Join(dir, "scripts"), Ext: []string{".lua"}},
		},
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, f := range change {
		f(&o)
	}
	d, err := OpenDir(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func write(t *testing.T, dir string, f files) {
	t.Helper()
	f.write(t, dir)
}

func TestDirReadsWhatChanged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, files{
		"configs/tenants/shop.yaml": "shop", "configs/tenants/deep/blog.yml": "blog", "configs/tenants/README": "no",
		"configs/tenants/.#shop.yaml": "no", "configs/tenants/shop.yaml~": "no", "configs/tenants/.shop.yaml.swp": "no",
		"configs/tenants/4913": "no", "configs/tenants/.git/x.yaml": "no", "configs/tenants/..data/x.yaml": "no",
		"scripts/a.lua": "lua", "other.yaml": "no",
	})
	d := openDir(t, dir)
	a := mustFetch(t, d)
	want := files{"configs/tenants/shop.yaml": "shop", "configs/tenants/deep/blog.yml": "blog", "scripts/a.lua": "lua"}
	wantFiles(t, a, want)
	id := a.Revision.ID
	if !strings.HasPrefix(id, "sha256:") || len(id) != len("sha256:")+12 || !d.Contains(id) || !d.Contains(id[:10]) || d.Contains("sha256:000000000000") {
		t.Errorf("got revision %q", id)
	}
	if mustFetch(t, d) != a {
		t.Error("an unchanged directory gave another snapshot")
	}

	write(t, dir, files{"configs/tenants/shop.yaml": "SHOP", "scripts/a.lua": ""})
	b := mustFetch(t, d)
	want["configs/tenants/shop.yaml"] = "SHOP"
	delete(want, "scripts/a.lua")
	wantFiles(t, b, want)
	if b.Revision.ID == id {
		t.Error("other content has the same revision")
	}

	write(t, dir, files{"configs/tenants/README": "changed", "configs/tenants/shop.yaml": "SHOP"})
	if mustFetch(t, d) != b {
		t.Error("a touched file and one that is not read gave another snapshot")
	}

	tmp := filepath.Join(dir, "configs/tenants/.tmp")
	if err := os.WriteFile(tmp, []byte("renamed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(dir, "configs/tenants/shop.yaml")); err != nil {
		t.Fatal(err)
	}
	want["configs/tenants/shop.yaml"] = "renamed"
	wantFiles(t, mustFetch(t, d), want)
}

// A change that keeps size and times shows in the look that trusts nothing.
func TestDirFullHashTrustsNoTimeStamp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, files{"configs/tenants/a.yaml": "one"})
	d := openDir(t, dir, func(o *DirOptions) { o.FullHash = time.Nanosecond })
	mustFetch(t, d)
	lie := indexed{file: newFile([]byte("two")), stamp: d.state.index["configs/tenants/a.yaml"].stamp}
	d.state.index["configs/tenants/a.yaml"] = lie // as if "two" had been read under this stamp
	d.state.content = d.state.index.hash()
	if !d.stale(t.Context()) {
		t.Error("the change was not seen")
	}
	wantFiles(t, mustFetch(t, d), files{"configs/tenants/a.yaml": "one"})
}

func TestDirFaultsAreNotOrders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tenants := filepath.Join(dir, "configs/tenants")
	d := openDir(t, dir)
	_, err := d.Fetch(t.Context())
	wantReason(t, err, ReasonMissing)
	if err := os.MkdirAll(tenants, 0o750); err != nil {
		t.Fatal(err)
	}
	_, err = d.Fetch(t.Context())
	wantReason(t, err, ReasonEmptyDir)
	write(t, dir, files{"configs/tenants/a.yaml": "a"})
	good := mustFetch(t, d)
	if err := os.Rename(tenants, tenants+".away"); err != nil {
		t.Fatal(err)
	}
	_, err = d.Fetch(t.Context())
	wantReason(t, err, ReasonMissing)
	if !strings.Contains(err.Error(), tenants) {
		t.Errorf("%q does not name %s", err, tenants)
	}
	if !d.stale(t.Context()) {
		t.Error("a failing source is not looked at again")
	}
	if err := os.Rename(tenants+".away", tenants); err != nil {
		t.Fatal(err)
	}
	if got := mustFetch(t, d); got != good {
		t.Error("the directory that came back gave another snapshot")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Fetch(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the caller's own cancellation", err)
	}
}

func TestDirSettingsFileAsMount(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, files{"gateway.yaml": "tenants: []", "lua/a.lua": "a"})
	d := openDir(t, dir, func(o *DirOptions) {
		o.Mounts = []Mount{
			{At: "gateway.yaml", Path: filepath.Join(dir, "gateway.yaml"), Required: true},
			{At: "scripts", Path: filepath.Join(dir, "lua"), Ext: []string{".lua"}},
		}
	})
	wantFiles(t, mustFetch(t, d), files{"gateway.yaml": "tenants: []", "scripts/a.lua": "a"})
	write(t, dir, files{"gateway.yaml": ""})
	_, err := d.Fetch(t.Context())
	wantReason(t, err, ReasonMissing)
}

// configMap lays a directory out as the kubelet does and returns a function
// that swaps the files.
func configMap(t *testing.T, dir string) func(generation string, f files) {
	t.Helper()
	return func(generation string, f files) {
		t.Helper()
		f.write(t, filepath.Join(dir, "..", filepath.Base(dir), ".."+generation))
		for name := range f {
			link := filepath.Join(dir, name)
			if _, err := os.Lstat(link); err == nil {
				continue
			}
			if err := os.Symlink(filepath.Join("..data", name), link); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(".."+generation, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDirConfigMap(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tenants := filepath.Join(dir, "configs/tenants")
	swap := configMap(t, tenants)
	swap("2026_1", files{"a.yaml": "a1", "b.yaml": "b1"})
	d := openDir(t, dir)
	wantFiles(t, mustFetch(t, d), files{"configs/tenants/a.yaml": "a1", "configs/tenants/b.yaml": "b1"})
	swap("2026_2", files{"a.yaml": "a2", "b.yaml": "b2"})
	wantFiles(t, mustFetch(t, d), files{"configs/tenants/a.yaml": "a2", "configs/tenants/b.yaml": "b2"})
}

func TestDirTreesThatCannotBeTaken(t *testing.T) {
	t.Parallel()
	link := func(target, name string) func(*testing.T, string) {
		return func(t *testing.T, tenants string) {
			if err := os.Symlink(target, filepath.Join(tenants, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	many := func(f files) func(*testing.T, string) {
		return func(t *testing.T, tenants string) { write(t, tenants, f) }
	}
	tests := []struct {
		name       string
		make       func(t *testing.T, tenants string)
		path, says string
	}{
		{"a link to an absolute path", link("/etc/passwd", "x.yaml"), "configs/tenants/x.yaml", "symbolic link"},
		{"a link that leads out", link("../../secret", "x.yaml"), "configs/tenants/x.yaml", "symbolic link"},
		{"a link to a directory that leads out", link("../..", "up"), "configs/tenants/up", "symbolic link"},
		{"a link to nothing", link("nothing", "x.yaml"), "configs/tenants/x.yaml", "symbolic link"},
		{"a link to its own directory", link(".", "self"), "configs/tenants/self", "a directory that it lies in"},
		{"a backslash", many(files{`a\b.yaml`: "x"}), `configs/tenants/a\b.yaml`, "backslash"},
		{"a control character", many(files{"a\tb.yaml": "x"}), `configs/tenants/a\tb.yaml`, "control"},
		{"an LFS pointer", many(files{"x.yaml": "version https://git-lfs.github.com/spec/v1\n"}), "configs/tenants/x.yaml", "LFS"},
		{"a file too large", many(files{"x.yaml": strings.Repeat("x", 101)}), "configs/tenants/x.yaml", "101 bytes, at most 100 (source.limits.file_size)"},
		{"too deep", many(files{"1/2/3/4/x.yaml": "x"}), "configs/tenants/1/2/3/4/x.yaml", "source.limits.depth"},
		{"too many files", many(files{"1.yaml": "x", "2.yaml": "x", "3.yaml": "x", "4.yaml": "x"}), "configs/tenants/", "more than 4 files"},
		{"too much in all", many(files{"1.yaml": strings.Repeat("x", 90), "2.yaml": strings.Repeat("y", 90)}), "configs/tenants/", "more than 150 bytes in all"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir, files{"configs/tenants/good.yaml": "good", "secret": "s"})
			tt.make(t, filepath.Join(dir, "configs/tenants"))
			d := openDir(t, dir, func(o *DirOptions) {
				o.Limits = Limits{Files: 4, FileSize: 100, TotalSize: 150, Depth: 4}
			})
			snap, err := d.Fetch(t.Context())
			if whole, ok := errors.AsType[*TreeError](err); ok {
				if p := whole.Problems[0]; !strings.HasPrefix(tt.says, "more than") || !strings.HasPrefix(p.Path, tt.path) || !strings.Contains(p.Reason, tt.says) {
					t.Errorf("got %+v", whole.Problems)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if reason := snap.Refused[tt.path]; len(snap.Refused) != 1 || !strings.Contains(reason, tt.says) {
				t.Errorf("refused: %v", snap.Refused)
			}
			if _, err := fs.ReadFile(snap.FS, tt.path); err == nil {
				t.Error("the entry can be read")
			}
			if snap.Hashes["configs/tenants/good.yaml"] == "" {
				t.Error("the good file beside it was not taken")
			}
			if again := mustFetch(t, d); again != snap {
				t.Error("a second look gave another snapshot")
			}
		})
	}
}

func TestDirLinksThatStayInsideAreFollowed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, files{"configs/tenants/real/a.yaml": "a"})
	for name, target := range map[string]string{"b.yaml": "real/a.yaml", "linked": "real"} {
		if err := os.Symlink(target, filepath.Join(dir, "configs/tenants", name)); err != nil {
			t.Fatal(err)
		}
	}
	wantFiles(t, mustFetch(t, openDir(t, dir)), files{
		"configs/tenants/real/a.yaml": "a", "configs/tenants/b.yaml": "a", "configs/tenants/linked/a.yaml": "a",
	})
}

// While a file is being written nothing is handed out; what is, is whole.
func TestDirTornWrites(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, files{"configs/tenants/a.yaml": "start"})
	d := openDir(t, dir)
	f, err := os.Create(filepath.Join(dir, "configs/tenants/a.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	const lines = 100
	done := make(chan error, 1)
	go func() {
		for range lines {
			if _, err := f.WriteString("a line of it\n"); err != nil {
				done <- err
				return
			}
			time.Sleep(2 * time.Millisecond) // The writer is slow; that is the test.
		}
		done <- f.Close()
	}()
	snap := mustFetch(t, d)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	wantFiles(t, snap, files{"configs/tenants/a.yaml": strings.Repeat("a line of it\n", lines)})
}

func TestDirInAGitCheckout(t *testing.T) {
	t.Parallel()
	r := newGitRepo(t)
	first := r.commit("first", files{"configs/tenants/a.yaml": "a", "scripts/a.lua": "l", "README": "r"})
	d := openDir(t, r.work)
	clean := mustFetch(t, d)
	if clean.Revision.ID != first || clean.Revision.Subject != "first" || clean.Revision.Dirty {
		t.Errorf("got %+v, want the commit", clean.Revision)
	}
	dirty := func(what string) *Snapshot {
		t.Helper()
		s := mustFetch(t, d)
		if s.Revision.ID != first+"-dirty" || !s.Revision.Dirty || d.Contains(first) {
			t.Errorf("%s: got %+v", what, s.Revision)
		}
		return s
	}
	write(t, r.work, files{"README": "not read"})
	if mustFetch(t, d) != clean {
		t.Error("a file that is not read made a difference")
	}
	write(t, r.work, files{"configs/tenants/a.yaml": "b"})
	changed := dirty("changed")
	write(t, r.work, files{"configs/tenants/a.yaml": "c"})
	if dirty("changed again") == changed {
		t.Error("other content, the same snapshot")
	}
	write(t, r.work, files{"configs/tenants/a.yaml": "a", "scripts/new.lua": "n"})
	dirty("added")
	write(t, r.work, files{"scripts/new.lua": "", "scripts/a.lua": ""})
	last := dirty("removed")
	second := r.commit("second", nil)
	committed := mustFetch(t, d)
	if committed.Revision.ID != second || committed.FS != last.FS {
		t.Errorf("after the commit: %+v", committed.Revision)
	}
	runGit(t, r.work, "pack-refs", "--all")
	runGit(t, r.work, "gc", "-q", "--prune=now")
	if mustFetch(t, d) != committed {
		t.Error("packing refs and objects made a difference")
	}
	linked := filepath.Join(filepath.Dir(r.work), "linked")
	runGit(t, r.work, "worktree", "add", "-q", "--detach", linked, first)
	if got := mustFetch(t, openDir(t, linked)).Revision.ID; got != first {
		t.Errorf("a linked work tree has revision %s, want %s", got, first)
	}
}

func TestDirWatch(t *testing.T) {
	t.Parallel()
	// rename replaces a file as most editors do.
	rename := func(t *testing.T, dir, content string) {
		tmp := filepath.Join(dir, "configs/tenants/a.yaml.tmp")
		if err := os.WriteFile(tmp, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(tmp, filepath.Join(dir, "configs/tenants/a.yaml")); err != nil {
			t.Fatal(err)
		}
	}
	steps := []struct {
		name string
		do   func(t *testing.T, dir string)
		want files
	}{
		{"a file is written", func(t *testing.T, dir string) {
			write(t, dir, files{"configs/tenants/a.yaml": "1"})
		}, files{"configs/tenants/a.yaml": "1"}},
		{"a file is replaced", func(t *testing.T, dir string) { rename(t, dir, "2") }, files{"configs/tenants/a.yaml": "2"}},
		{"and again", func(t *testing.T, dir string) { rename(t, dir, "3") }, files{"configs/tenants/a.yaml": "3"}},
		{"directories are made", func(t *testing.T, dir string) {
			write(t, dir, files{"configs/tenants/x/y/b.yaml": "b"})
		}, files{"configs/tenants/a.yaml": "3", "configs/tenants/x/y/b.yaml": "b"}},
		{"a file in a new directory changes", func(t *testing.T, dir string) {
			write(t, dir, files{"configs/tenants/x/y/b.yaml": "b2"})
		}, files{"configs/tenants/a.yaml": "3", "configs/tenants/x/y/b.yaml": "b2"}},
		{"the root is removed and remade", func(t *testing.T, dir string) {
			if err := os.RemoveAll(filepath.Join(dir, "configs")); err != nil {
				t.Fatal(err)
			}
			write(t, dir, files{"configs/tenants/a.yaml": "4"})
		}, files{"configs/tenants/a.yaml": "4"}},
		{"a file in the remade root changes", func(t *testing.T, dir string) { rename(t, dir, "5") }, files{"configs/tenants/a.yaml": "5"}},
		{"the scripts come to be", func(t *testing.T, dir string) {
			write(t, dir, files{"scripts/a.lua": "l"})
		}, files{"configs/tenants/a.yaml": "5", "scripts/a.lua": "l"}},
	}
	dir := t.TempDir()
	write(t, dir, files{"configs/tenants/a.yaml": "0"})
	d := openDir(t, dir, func(o *DirOptions) { o.Debounce, o.Rescan = 10*time.Millisecond, time.Hour })
	nudges := startWatch(t, d)
	for _, s := range steps {
		s.do(t, dir)
		awaitFiles(t, d, nudges, s.name, s.want)
	}
}

func TestDirWatchConfigMapAndRootLink(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	dir := filepath.Join(base, "v1")
	swap := configMap(t, filepath.Join(dir, "configs/tenants"))
	swap("1", files{"a.yaml": "1"})
	write(t, filepath.Join(base, "v2"), files{"configs/tenants/a.yaml": "v2"})
	current := filepath.Join(base, "current")
	if err := os.Symlink("v1", current); err != nil {
		t.Fatal(err)
	}
	d := openDir(t, current, func(o *DirOptions) { o.Debounce, o.Rescan = 10*time.Millisecond, time.Hour })
	nudges := startWatch(t, d)
	for _, generation := range []string{"2", "3"} {
		swap(generation, files{"a.yaml": generation})
		awaitFiles(t, d, nudges, "swap "+generation, files{"configs/tenants/a.yaml": generation})
	}
	// As git-sync publishes a new checkout.
	if err := os.Symlink("v2", current+".tmp"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(current+".tmp", current); err != nil {
		t.Fatal(err)
	}
	awaitFiles(t, d, nudges, "the root's link is moved", files{"configs/tenants/a.yaml": "v2"})
	write(t, filepath.Join(base, "v2"), files{"configs/tenants/a.yaml": "v2b"})
	awaitFiles(t, d, nudges, "a file changes there", files{"configs/tenants/a.yaml": "v2b"})
}

// Without events, as on NFS, the rescan finds changes, and only those.
func TestDirRescan(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, files{"configs/tenants/a.yaml": "0"})
	d := openDir(t, dir, func(o *DirOptions) { o.Rescan = 5 * time.Millisecond })
	mustFetch(t, d)
	nudges := make(chan Trigger, 100)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.rescan(ctx, func(tr Trigger) { nudges <- tr })
	}()
	write(t, dir, files{"configs/tenants/a.yaml": "1"})
	if got := <-nudges; got != TriggerRescan {
		t.Errorf("got trigger %q", got)
	}
	wantFiles(t, mustFetch(t, d), files{"configs/tenants/a.yaml": "1"})
	cancel()
	<-done
	if d.stale(t.Context()) {
		t.Error("an unchanged directory is stale")
	}
}

// startWatch watches d until the test ends and returns its nudges.
func startWatch(t *testing.T, d *Dir) <-chan Trigger {
	t.Helper()
	nudges := make(chan Trigger, 1000)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Watch(ctx, func(tr Trigger) { nudges <- tr }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch returned %v", err)
		}
	})
	// The first event that gets through shows that watches are in place.
	probe := filepath.Join(d.mounts[0].Path, "probe.txt")
	for range 1000 {
		if err := os.WriteFile(probe, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		select {
		case <-nudges:
			return nudges
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Fatal("no event came")
	return nil
}

// awaitFiles follows nudges until a fetch gives the wanted files.
func awaitFiles(t *testing.T, d *Dir, nudges <-chan Trigger, step string, want files) {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		select {
		case <-nudges:
		case <-timeout:
			t.Fatalf("%s: no nudge led to the change", step)
		}
		snap, err := d.Fetch(t.Context())
		if err != nil {
			t.Logf("%s: %v", step, err)
			continue
		}
		got := contents(t, snap)
		if len(got) == len(want) {
			same := true
			for name, content := range want {
				same = same && got[name] == content
			}
			if same {
				return
			}
		}
	}
}
