package repo

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestSnapshotIsAFileSystem(t *testing.T) {
	t.Parallel()
	tree := newTree(map[string]*file{
		"configs/tenants/a.yaml": newFile([]byte("a")),
		"configs/b.yaml":         newFile(nil),
		"scripts/x/y.lua":        newFile([]byte("y")),
	})
	snap := snapshot(Revision{Time: time.Unix(1, 0)}, tree, nil, nil)
	if err := fstest.TestFS(snap.FS, "configs/tenants/a.yaml", "configs/b.yaml", "scripts/x/y.lua"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"nothing", "configs/tenants/a.yaml/x", "../x", "/configs"} {
		if _, err := fs.Stat(snap.FS, name); err == nil {
			t.Errorf("%s is there", name)
		}
	}
	if _, err := fs.ReadFile(snap.FS, "configs"); !errors.Is(err, errIsDirectory) {
		t.Errorf("reading a directory: %v", err)
	}
	same := snapshot(Revision{ID: "2"}, newTree(map[string]*file{
		"configs/tenants/a.yaml": newFile([]byte("a")), "configs/b.yaml": newFile(nil), "scripts/x/y.lua": newFile([]byte("y")),
	}), tree, snap)
	if same.FS != snap.FS {
		t.Error("the same files are not shared")
	}
}

func TestParseAddress(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, shown, fails string }{
		{in: "https://example.com/a/b.git", shown: "https://example.com/a/b.git"},
		{in: "HTTPS://example.com:8443/a/", shown: "https://example.com:8443/a"},
		{in: "https://ada:hunter2@example.com/a", shown: "https://***@example.com/a"},
		{in: "https://hunter2@example.com/a", shown: "https://***@example.com/a"},
		{in: "git://example.com/a", shown: "git://example.com/a"},
		{in: "/srv/a.git", shown: "/srv/a.git"},
		{in: "../a", shown: "../a"},
		{in: "./a:b", shown: "./a:b"},
		{in: "", fails: "no repository URL"},
		{in: "file:///srv/a.git", fails: "file://"},
		{in: "ssh://git@example.com/a", fails: "not supported in this version"},
		{in: "git@example.com:a/b.git", fails: "not supported in this version"},
		{in: "ext::sh -c hunter2", fails: "remote helpers"},
		{in: "ftp://example.com/a", fails: `scheme "ftp"`},
		{in: "-oProxyCommand=x", fails: `"-"`},
		{in: "https://-x/a", fails: `"-"`},
		{in: "https://-u:hunter2@example.com/a", fails: `"-"`},
		{in: "git://-x/a", fails: `"-"`},
		{in: "https:///a", fails: "no host"},
		{in: "https://example.com", fails: "no path"},
		{in: "https://ada:hunter2@example.com/a?x=hunter2", fails: "query"},
		{in: "https://ada:hunter2@exa mple.com/a", fails: "malformed"},
		{in: "https://ada:hun%zzter2@example.com/a", fails: "malformed"},
		{in: "git://ada:hunter2@example.com/a", fails: "no credentials"},
		{in: "https://example.com/a\nb", fails: "control"},
	}
	for _, tt := range tests {
		a, err := parseAddress(tt.in)
		switch {
		case tt.fails != "":
			if err == nil || !strings.Contains(err.Error(), tt.fails) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%q: got %v, want an error about %q without credentials", tt.in, err, tt.fails)
			}
		case err != nil || a.String() != tt.shown:
			t.Errorf("%q: got %v, %v, want %q", tt.in, a, err, tt.shown)
		}
	}
}

func TestOpenRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	for _, branch := range []string{"-x", "a..b", "a b", "/a", "a/", ".a", "a.lock", "@", "a@{1}", "a\x00b", "refs/heads/../../x"} {
		if _, err := OpenGit(GitOptions{URL: "/srv/a.git", Branch: branch}); err == nil {
			t.Errorf("branch %q was taken", branch)
		}
	}
	if _, err := OpenGit(GitOptions{URL: "/srv/a.git", Path: "../x"}); err == nil {
		t.Error("a path outside was taken")
	}
	if _, err := OpenGit(GitOptions{URL: "/srv/a.git", Roots: []Root{{Dir: "/etc"}}}); err == nil {
		t.Error("a root outside was taken")
	}
	if _, err := OpenDir(DirOptions{}); err == nil {
		t.Error("a directory source without mounts was opened")
	}
	if _, err := OpenDir(DirOptions{Mounts: []Mount{{At: "../x", Path: "."}}}); err == nil {
		t.Error("a mount outside of the tree was taken")
	}
}

func TestPollerBacksOffAndComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPoller(30 * time.Second)
		polls := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.run(ctx, func() { polls <- struct{}{} }) }()
		wait := func(what string, want time.Duration, outcome error) {
			t.Helper()
			began := time.Now()
			<-polls
			if got := time.Since(began); got < want*9/10-time.Second || got > want*11/10+time.Second {
				t.Errorf("%s: waited %s, want about %s", what, got, want)
			}
			p.note(outcome)
			synctest.Wait()
		}
		down := &Error{Reason: ReasonUnreachable, Err: errors.New("down")}
		wait("at first", 30*time.Second, nil)
		wait("after a success", 30*time.Second, down)
		wait("after one failure", time.Minute, down)
		wait("after two", 2*time.Minute, down)
		wait("after three", 4*time.Minute, down)
		wait("at the longest", 5*time.Minute, down)
		wait("at the longest", 5*time.Minute, &Error{Reason: ReasonRateLimited, RetryAfter: 20 * time.Minute, Err: errors.New("slow down")})
		wait("as the server asked", 20*time.Minute, &TreeError{})
		wait("a refused tree is no failure", 30*time.Second, context.Canceled)
		time.Sleep(20 * time.Second)
		p.note(nil) // someone else looked
		synctest.Wait()
		wait("from the last look", 30*time.Second, nil)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("run returned %v", err)
		}
	})
}

func TestDebounce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		events := make(chan struct{})
		var fired []time.Duration
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- debounce(ctx, 250*time.Millisecond, events, func() { fired = append(fired, time.Since(began)) })
		}()
		for range 3 { // quiet after the third
			events <- struct{}{}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(700 * time.Millisecond) // 1 s
		for range 30 {                     // never quiet for 3 s
			events <- struct{}{}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Second)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("debounce returned %v", err)
		}
		want := []time.Duration{450 * time.Millisecond, 3 * time.Second, 4150 * time.Millisecond}
		if diff := cmp.Diff(fired, want); diff != "" {
			t.Errorf("fired (-got +want):\n%s", diff)
		}
	})
}

func TestPacksThatClaimTooMuch(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		pack []byte
		want Reason
	}{
		// A blob (type 3) that says it has 2^32 bytes.
		"a blob that inflates": {packOf([]byte{0xb0, 0x80, 0x80, 0x80, 0x80, 0x01}, []byte("x")), ReasonTooLarge},
		// A delta (type 7) against some object, from 1 byte to 2^35.
		"a delta that inflates": {packOf(append([]byte{0x77}, make([]byte, 20)...), []byte{1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01}), ReasonTooLarge},
		"a delta that is cut":   {packOf(append([]byte{0x71}, make([]byte, 20)...), []byte{0x80}), ReasonTooLarge},
		"a count of objects":    {append([]byte("PACK\x00\x00\x00\x02\xff\xff\xff\xff"), make([]byte, 100)...), ReasonCorrupt},
		"no pack at all":        {[]byte("<html>"), ReasonCorrupt},
		"nothing":               {nil, ReasonCorrupt},
		"a wrong checksum":      {append([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x00"), make([]byte, 20)...), ReasonCorrupt},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			_, err := storePack(t.Context(), dir, bytes.NewReader(tt.pack))
			if got := reasonOf(err, ""); got != tt.want {
				t.Errorf("got %v (%s), want %s", err, got, tt.want)
			}
			if found := leftovers(t, dir); len(found) > 0 {
				t.Errorf("left behind %v", found)
			}
		})
	}
}

// packOf makes a pack of one object: its header as it is, its data deflated.
func packOf(header, data []byte) []byte {
	var b bytes.Buffer
	b.WriteString("PACK\x00\x00\x00\x02\x00\x00\x00\x01")
	b.Write(header)
	z := zlib.NewWriter(&b)
	_, _ = z.Write(data) // To memory.
	_ = z.Close()
	sum := sha1.Sum(b.Bytes())
	return append(b.Bytes(), sum[:]...)
}

// FuzzCheckName: what passes can stand in a path of the snapshot's file system
// and in a line of the log.
func FuzzCheckName(f *testing.F) {
	for _, name := range []string{"", ".", "..", "..data", "a..b", ".git", ".GIT", "a/b", `a\b`, "a\x00", "a\nb", "\xff", "shop.yaml", "ü.yaml", "a\u202eb", strings.Repeat("x", 256)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if checkName(name) != "" {
			if !utf8.ValidString(printable(name)) || strings.ContainsAny(printable(name), "\n\r\x00\x1b") {
				t.Errorf("printable(%q) is %q", name, printable(name))
			}
			return
		}
		if !fs.ValidPath(name) || strings.Contains(name, "/") || len(name) > maxName || printable(name) != name {
			t.Errorf("%q was taken", name)
		}
		snap := snapshot(Revision{}, newTree(map[string]*file{"d/" + name: newFile(nil)}), nil, nil)
		if _, err := fs.Stat(snap.FS, "d/"+name); err != nil {
			t.Error(err)
		}
	})
}

// FuzzParseTree: any bytes give entries or an error, and entries that can be
// written back.
func FuzzParseTree(f *testing.F) {
	f.Add([]byte("100644 a.yaml\x00" + strings.Repeat("i", 20)))
	f.Add([]byte("40000 d\x00" + strings.Repeat("i", 20) + "120000 l\x00" + strings.Repeat("j", 20)))
	f.Add([]byte("100644 cut\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := parseTree(data)
		if err != nil {
			return
		}
		n := 0
		for _, e := range entries {
			n += len(e.name) + 1 + len(e.id)
		}
		if n > len(data) {
			t.Errorf("%d bytes gave %d bytes of entries", len(data), n)
		}
	})
}

// FuzzReadRefs: whatever a server says, the answer is refs or an error.
func FuzzReadRefs(f *testing.F) {
	f.Add([]byte("0000"))
	f.Add([]byte("001e# service=git-upload-pack\n00000000"))
	f.Add([]byte("003d0123456789012345678901234567890123456789 refs/heads/main\x00\n0000"))
	f.Add([]byte("0010ERR no such\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		refs, err := readRefs(bytes.NewReader(data))
		if err == nil {
			_, err = pick(refs, "main")
		}
		if err != nil && strings.ContainsAny(err.Error(), "\n\x00\x1b") {
			t.Errorf("a server's bytes reach the log: %q", err)
		}
	})
}
