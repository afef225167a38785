package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func testRoots() []Root {
	return []Root{{Dir: "configs/tenants", Ext: []string{".yaml", ".yml"}}, {Dir: "scripts", Ext: []string{".lua"}}}
}

// openGit opens a source that is closed with the test. Options may be changed
// first.
func openGit(t *testing.T, url string, change ...func(*GitOptions)) *Git {
	t.Helper()
	o := GitOptions{
		URL: url, Roots: testRoots(), StateDir: t.TempDir(), Timeout: 20 * time.Second,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, f := range change {
		f(&o)
	}
	g, err := OpenGit(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func mustFetch(t *testing.T, s Source) *Snapshot {
	t.Helper()
	snap, err := s.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

// contents reads a whole snapshot.
func contents(t *testing.T, s *Snapshot) files {
	t.Helper()
	out := files{}
	for name := range s.Hashes {
		data, err := fs.ReadFile(s.FS, name)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = string(data)
	}
	return out
}

func wantFiles(t *testing.T, s *Snapshot, want files) {
	t.Helper()
	if diff := cmp.Diff(contents(t, s), want); diff != "" {
		t.Errorf("files (-got +want):\n%s", diff)
	}
}

// wantReason fails unless err is an *Error of that reason.
func wantReason(t *testing.T, err error, want Reason) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Reason != want {
		t.Fatalf("got error %v, want one of reason %s", err, want)
	}
}

// leftovers lists temporary packs and half-built stores below dir.
func leftovers(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if base := filepath.Base(path); strings.HasPrefix(base, tmpPack) || strings.HasPrefix(base, freshDir) {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Every way to reach a repository passes the same life of a branch.
func TestGitFollowsABranch(t *testing.T) {
	t.Parallel()
	ways := map[string]func(*gitRepo) string{
		"http":           func(r *gitRepo) string { return r.serveHTTP(nil) },
		"git":            func(r *gitRepo) string { return "git://" + r.serveDaemon() + "/conf.git" },
		"local bare":     func(r *gitRepo) string { return r.bare },
		"local worktree": func(r *gitRepo) string { return r.work },
		"linked worktree": func(r *gitRepo) string {
			linked := filepath.Join(filepath.Dir(r.work), "linked")
			runGit(r.t, r.work, "worktree", "add", "-q", "--detach", linked)
			return linked
		},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newGitRepo(t)
			first := r.commit("first\n\nbody", files{
				"configs/tenants/shop.yaml": "shop", "configs/tenants/deep/blog.yml": "blog",
				"configs/tenants/README": "not read", "scripts/shop/main.lua": "lua", "docs/x.yaml": "no",
			})
			g := openGit(t, way(r))
			a := mustFetch(t, g)
			want := files{"configs/tenants/shop.yaml": "shop", "configs/tenants/deep/blog.yml": "blog", "scripts/shop/main.lua": "lua"}
			wantFiles(t, a, want)
			if a.Revision.ID != first || a.Revision.Subject != "first" || a.Revision.Author != "Ada <ada@example.com>" || a.Revision.Time.IsZero() {
				t.Errorf("got revision %+v", a.Revision)
			}
			if mustFetch(t, g) != a {
				t.Error("an unchanged branch gave another snapshot")
			}

			second := r.commit("second", files{"configs/tenants/shop.yaml": "shop 2"})
			b := mustFetch(t, g)
			want["configs/tenants/shop.yaml"] = "shop 2"
			wantFiles(t, b, want)
			old, now := a.FS.(*memFS).root, b.FS.(*memFS).root
			if old.lookup("scripts") != now.lookup("scripts") || old.lookup("configs/tenants/deep") != now.lookup("configs/tenants/deep") {
				t.Error("an unchanged subtree was read again")
			}

			beside := r.commit("beside", files{"docs/x.yaml": "changed"})
			c := mustFetch(t, g)
			if c == b || c.Revision.ID != beside || c.FS != b.FS {
				t.Errorf("a commit beside the roots: snapshot %v, shares the files: %v", c.Revision, c.FS == b.FS)
			}
			for _, id := range []string{first, second[:7], strings.ToUpper(beside)} {
				if !g.Contains(id) {
					t.Errorf("Contains(%s) is false for an ancestor", id)
				}
			}
			for _, id := range []string{"", first[:6], strings.Repeat("0", 40), first + "0", "nothexx"} {
				if g.Contains(id) {
					t.Errorf("Contains(%q) is true", id)
				}
			}

			runGit(t, r.work, "reset", "-q", "--hard", first)
			r.push()
			back := mustFetch(t, g)
			want["configs/tenants/shop.yaml"] = "shop"
			wantFiles(t, back, want)
			if back.Revision.ID != first || g.Contains(second) {
				t.Errorf("after a force-push back: revision %s, contains the dropped commit: %v", back.Revision.ID, g.Contains(second))
			}

			runGit(t, r.work, "checkout", "-q", "--orphan", "other")
			runGit(t, r.work, "rm", "-rqf", ".")
			files{"configs/tenants/new.yaml": "new"}.write(t, r.work)
			runGit(t, r.work, "add", "-A")
			runGit(t, r.work, "commit", "-q", "-m", "unrelated")
			unrelated := r.push()
			d := mustFetch(t, g)
			wantFiles(t, d, files{"configs/tenants/new.yaml": "new"})
			if d.Revision.ID != unrelated || g.Contains(first) {
				t.Errorf("after an unrelated force-push: %s", d.Revision.ID)
			}

			runGit(t, r.work, "update-ref", "-d", "refs/heads/main")
			runGit(t, r.work, "update-ref", "refs/heads/left", unrelated)
			_, err := g.Fetch(t.Context())
			wantReason(t, err, ReasonBranchNotFound)
			if !strings.Contains(err.Error(), `"main"`) || !strings.Contains(err.Error(), "left") {
				t.Errorf("got %q, want the branch and those there are", err)
			}
			runGit(t, r.work, "update-ref", "refs/heads/main", unrelated)
			if mustFetch(t, g) != d {
				t.Error("a branch that came back gave another snapshot")
			}
		})
	}
}

func TestGitFetchesOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	r := newGitRepo(t)
	f := files{}
	for i := range 200 {
		f[fmt.Sprintf("configs/tenants/t%03d.yaml", i)] = noise(i, 500)
	}
	r.commit("many", f)
	var sent, posts atomic.Int64
	url := r.serveHTTP(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if q.Method == http.MethodPost {
				posts.Add(1)
			}
			next.ServeHTTP(countingWriter{w, &sent}, q)
		})
	})
	state := t.TempDir()
	g := openGit(t, url, func(o *GitOptions) { o.StateDir = state })
	mustFetch(t, g)
	all := sent.Swap(0)
	mustFetch(t, g)
	if posts.Load() != 1 {
		t.Errorf("%d packs were asked for, want 1", posts.Load())
	}
	r.commit("one", files{"configs/tenants/t007.yaml": "changed"})
	sent.Store(0)
	mustFetch(t, g)
	if got := sent.Load(); got > all/10 {
		t.Errorf("one changed file of 200 cost %d bytes, all of them %d", got, all)
	}

	// The next process begins where this one ended.
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	posts.Store(0)
	again := openGit(t, url, func(o *GitOptions) { o.StateDir = state })
	if snap := mustFetch(t, again); len(snap.Hashes) != 200 || posts.Load() != 0 {
		t.Errorf("after a restart: %d files, %d packs asked for", len(snap.Hashes), posts.Load())
	}
}

// noise returns bytes that do not compress, the same for the same seed.
func noise(seed, n int) string {
	out := make([]byte, n)
	if _, err := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(out); err != nil {
		panic(err) // Never: the documentation says so.
	}
	return string(out)
}

type countingWriter struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c countingWriter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return c.ResponseWriter.Write(p)
}

func TestGitServersThatHangAreGivenUp(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{
		"http":               "http://" + hungServer(t, "") + "/conf.git",
		"git":                "git://" + hungServer(t, "") + "/conf.git",
		"http in the header": "http://" + hungServer(t, "HTTP/1.1 200 OK\r\nContent-Ty") + "/conf.git",
		"http in the refs": "http://" + hungServer(t, "HTTP/1.1 200 OK\r\nContent-Length: 999\r\n"+
			"Content-Type: application/x-git-upload-pack-advertisement\r\n\r\n001e# service=git-upload-pack\n") + "/conf.git",
		"git in the refs": "git://" + hungServer(t, "00") + "/conf.git",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := openGit(t, url, func(o *GitOptions) { o.Timeout = 300 * time.Millisecond })
			began := time.Now()
			_, err := g.Fetch(t.Context())
			wantReason(t, err, ReasonTimeout)
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("given up after %s", took)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := g.Fetch(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want the caller's own cancellation", err)
			}
		})
	}
}

func TestGitSurvivesCutPacks(t *testing.T) {
	t.Parallel()
	r := newGitRepo(t)
	want := files{}
	for i := range 50 {
		want[fmt.Sprintf("configs/tenants/t%d.yaml", i)] = strings.Repeat(fmt.Sprint(i, "."), 100)
	}
	r.commit("first", want)
	var left atomic.Int64
	url := r.serveHTTP(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if q.Method == http.MethodPost {
				w = &cutWriter{w, &left}
			}
			next.ServeHTTP(w, q)
		})
	})
	state := t.TempDir()
	g := openGit(t, url, func(o *GitOptions) { o.StateDir = state })
	for _, after := range []int64{0, 5, 12, 40, 300, 1500} {
		left.Store(after)
		_, err := g.Fetch(t.Context())
		if err == nil {
			t.Fatalf("a pack cut after %d bytes was taken", after)
		}
		if _, ok := errors.AsType[*Error](err); !ok {
			t.Errorf("got %v, want an *Error", err)
		}
		if found := leftovers(t, state); len(found) > 0 {
			t.Errorf("cut after %d bytes: left behind %v", after, found)
		}
	}
	left.Store(1 << 30)
	wantFiles(t, mustFetch(t, g), want)
}

// cutWriter ends the connection after so many bytes.
type cutWriter struct {
	http.ResponseWriter
	left *atomic.Int64
}

func (c *cutWriter) Write(p []byte) (int, error) {
	n := min(int64(len(p)), c.left.Load())
	if n > 0 {
		if _, err := c.ResponseWriter.Write(p[:n]); err != nil {
			return 0, err
		}
	}
	if c.left.Add(-int64(len(p))) < 0 {
		if f, ok := c.ResponseWriter.(http.Flusher); ok {
			f.Flush()
		}
		panic(http.ErrAbortHandler)
	}
	return len(p), nil
}

func TestGitStoreIsACacheThatMayBreak(t *testing.T) {
	t.Parallel()
	packsOf := func(t *testing.T, state, pattern string) []string {
		found, err := filepath.Glob(filepath.Join(state, "git", "*", currentDir, "objects", "pack", pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("no %s: %v", pattern, err)
		}
		return found
	}
	damage := map[string]func(t *testing.T, state string){
		"a pack cut in half": func(t *testing.T, state string) {
			for _, p := range packsOf(t, state, "*.pack") {
				info, err := os.Stat(p)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.Truncate(p, info.Size()/2); err != nil {
					t.Fatal(err)
				}
			}
		},
		"flipped bytes": func(t *testing.T, state string) {
			for _, p := range packsOf(t, state, "*.pack") {
				data, err := os.ReadFile(p)
				if err != nil {
					t.Fatal(err)
				}
				for i := 20; i < len(data); i += 7 {
					data[i] ^= 0x55
				}
				if err := os.WriteFile(p, data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		},
		"an index gone": func(t *testing.T, state string) {
			for _, p := range packsOf(t, state, "*.idx") {
				if err := os.Remove(p); err != nil {
					t.Fatal(err)
				}
			}
		},
		"everything gone": func(t *testing.T, state string) {
			if err := os.RemoveAll(filepath.Join(state, "git")); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, harm := range damage {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restart %v", name, restart), func(t *testing.T) {
				t.Parallel()
				r := newGitRepo(t)
				r.commit("first", files{"configs/tenants/a.yaml": strings.Repeat("a b c", 100), "scripts/a.lua": "x"})
				url, state := r.serveHTTP(nil), t.TempDir()
				with := func(o *GitOptions) { o.StateDir = state }
				g := openGit(t, url, with)
				mustFetch(t, g)
				if restart {
					if err := g.Close(); err != nil {
						t.Fatal(err)
					}
				}
				harm(t, state)
				if restart {
					g = openGit(t, url, with)
				}
				r.commit("second", files{"configs/tenants/b.yaml": "b"})
				wantFiles(t, mustFetch(t, g), files{
					"configs/tenants/a.yaml": strings.Repeat("a b c", 100), "configs/tenants/b.yaml": "b", "scripts/a.lua": "x",
				})
				r.commit("third", files{"configs/tenants/b.yaml": "b3"})
				mustFetch(t, g)
				if found := leftovers(t, state); len(found) > 0 {
					t.Errorf("left behind %v", found)
				}
			})
		}
	}
}

func TestGitStoreIsRenewedBeforeItWearsOut(t *testing.T) {
	t.Parallel()
	r := newGitRepo(t)
	r.commit("first", files{"configs/tenants/a.yaml": "0"})
	state := t.TempDir()
	g := openGit(t, r.serveHTTP(nil), func(o *GitOptions) { o.StateDir = state })
	mustFetch(t, g)
	store := g.origin.(*remoteOrigin).store
	store.current.packs = maxPacks // as if it had been fetched to so often
	r.commit("second", files{"configs/tenants/a.yaml": "1"})
	wantFiles(t, mustFetch(t, g), files{"configs/tenants/a.yaml": "1"})
	if got := store.current.packs; got != 1 {
		t.Errorf("%d packs after the renewal, want 1", got)
	}
	if found := leftovers(t, state); len(found) > 0 {
		t.Errorf("left behind %v", found)
	}
}

func TestGitStoreHasOneUser(t *testing.T) {
	t.Parallel()
	r := newGitRepo(t)
	r.commit("first", files{"configs/tenants/a.yaml": "0"})
	url, state := r.serveHTTP(nil), t.TempDir()
	var log bytes.Buffer
	first := openGit(t, url, func(o *GitOptions) { o.StateDir = state })
	second := openGit(t, url, func(o *GitOptions) {
		o.StateDir, o.Log = state, slog.New(slog.NewTextHandler(&log, nil))
	})
	if !strings.Contains(log.String(), "git store not usable") {
		t.Errorf("the second user of a store was not told: %s", log.String())
	}
	wantFiles(t, mustFetch(t, first), contents(t, mustFetch(t, second)))
	dir := second.origin.(*remoteOrigin).store.dir
	for range 2 {
		if err := second.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the temporary store %s outlived Close: %v", dir, err)
	}
}

func TestGitServersThatRefuse(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(elsewhere.Close)
	status := func(code int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
		}
	}
	tests := []struct {
		name    string
		handler http.Handler
		want    Reason
		says    string
		after   time.Duration
	}{
		{"unauthorized", status(401), ReasonUnauthorized, "credentials", 0},
		{"forbidden", status(403), ReasonForbidden, "denies", 0},
		{"not found", status(404), ReasonNotFound, "no repository", 0},
		{"too many requests", status(429, "Retry-After", "120"), ReasonRateLimited, "fewer", 2 * time.Minute},
		{"a Retry-After that is absurd", status(429, "Retry-After", "99999999"), ReasonRateLimited, "fewer", time.Hour},
		{"a failing server", status(503, "Retry-After", "7"), ReasonServerError, "503", 7 * time.Second},
		{"a web page", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write([]byte("<html>sign in"))
		}), ReasonNotGit, "text/html", 0},
		{"nonsense of the right type", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			_, _ = w.Write([]byte("<html>"))
		}), ReasonNotGit, "not that of a git server", 0},
		{"an odd status", status(204), ReasonNotGit, "204", 0},
		{"a redirect elsewhere", http.RedirectHandler(elsewhere.URL+"/x.git/info/refs", http.StatusFound), ReasonRedirect, "redirects to", 0},
		{"a redirect to another path", http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if strings.HasSuffix(q.URL.Path, "/login") {
				return
			}
			http.Redirect(w, q, "/login", http.StatusFound)
		}), ReasonNotGit, "", 0},
		{"redirects without end", http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			http.Redirect(w, q, q.URL.String(), http.StatusFound)
		}), ReasonRedirect, "more than", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(tt.handler)
			t.Cleanup(s.Close)
			g := openGit(t, strings.Replace(s.URL, "://", "://ada:hunter2@", 1)+"/conf.git")
			_, err := g.Fetch(t.Context())
			wantReason(t, err, tt.want)
			if !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "***@") {
				t.Errorf("got %q, want it to say %q and where", err, tt.says)
			}
			if strings.Contains(fmt.Sprintf("%v %+v %v", err, err, g), "hunter2") {
				t.Errorf("the password shows: %v", err)
			}
			if e, _ := errors.AsType[*Error](err); e.RetryAfter != tt.after {
				t.Errorf("RetryAfter is %s, want %s", e.RetryAfter, tt.after)
			}
		})
	}
}

func TestGitFollowsARedirectOnTheSameHostWithCredentials(t *testing.T) {
	t.Parallel()
	r := newGitRepo(t)
	r.commit("first", files{"configs/tenants/a.yaml": "a"})
	url := r.serveHTTP(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if rest, ok := strings.CutPrefix(q.URL.Path, "/old"); ok {
				http.Redirect(w, q, rest+"?"+q.URL.RawQuery, http.StatusMovedPermanently)
				return
			}
			if user, password, _ := q.BasicAuth(); user != "ada" || password != "hunter2" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, q)
		})
	})
	url = strings.Replace(strings.Replace(url, "://", "://ada:hunter2@", 1), "/conf.git", "/old/conf.git", 1)
	wantFiles(t, mustFetch(t, openGit(t, url)), files{"configs/tenants/a.yaml": "a"})
}

func TestGitRepositoriesWithoutCommits(t *testing.T) {
	t.Parallel()
	for name, way := range map[string]func(*gitRepo) string{
		"http":  func(r *gitRepo) string { return r.serveHTTP(nil) },
		"git":   func(r *gitRepo) string { return "git://" + r.serveDaemon() + "/conf.git" },
		"local": func(r *gitRepo) string { return r.bare },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newGitRepo(t)
			g := openGit(t, way(r))
			_, err := g.Fetch(t.Context())
			wantReason(t, err, ReasonEmpty)
			r.commit("first", files{"configs/tenants/a.yaml": "a"})
			wantFiles(t, mustFetch(t, g), files{"configs/tenants/a.yaml": "a"})
		})
	}
}

func TestGitRepositoriesThatAreNotThere(t *testing.T) {
	t.Parallel()
	r := newGitRepo(t)
	for name, url := range map[string]string{
		"http":  strings.Replace(r.serveHTTP(nil), "conf.git", "other.git", 1),
		"git":   "git://" + r.serveDaemon() + "/other.git",
		"local": filepath.Join(filepath.Dir(r.bare), "other.git"),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := openGit(t, url).Fetch(t.Context())
			wantReason(t, err, ReasonNotFound)
		})
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	_, err := openGit(t, gone.URL+"/conf.git").Fetch(t.Context())
	wantReason(t, err, ReasonUnreachable)
}

func TestGitTreesThatCannotBeTaken(t *testing.T) {
	t.Parallel()
	const zero = "0123456789012345678901234567890123456789"
	limits := Limits{Files: 20, FileSize: 100, TotalSize: 1000, Depth: 3}
	tests := []struct {
		name  string
		lines func(r *gitRepo) []string
		want  []Problem
		whole bool // the revision is refused, not the entry alone
	}{
		{"a symbolic link", func(r *gitRepo) []string {
			return []string{"120000 blob " + r.blob("../../etc/passwd") + "\tx.yaml"}
		}, []Problem{{"configs/tenants/x.yaml", "a symbolic link: commit the file or directory itself"}}, false},
		{"a submodule", func(*gitRepo) []string {
			return []string{"160000 commit " + zero + "\tsub"}
		}, []Problem{{"configs/tenants/sub", "a submodule: submodules are not read; commit the files themselves"}}, false},
		{"an LFS pointer", func(r *gitRepo) []string {
			return []string{"100644 blob " + r.blob("version https://git-lfs.github.com/spec/v1\noid sha256:0\n") + "\tx.yaml"}
		}, []Problem{{"configs/tenants/x.yaml", lfsReason}}, false},
		{"odd names, all told at once", func(r *gitRepo) []string {
			b := r.blob("x")
			return []string{"100644 blob " + b + "\ta\\b.yaml", "100644 blob " + b + "\tb\n.yaml", "100644 blob " + b + "\tok.yaml", "100644 blob " + b + "\t\xff.yaml"}
		}, []Problem{
			{`configs/tenants/\xff.yaml`, "a name that is not UTF-8"},
			{`configs/tenants/a\b.yaml`, "a slash or backslash in a name"},
			{`configs/tenants/b\n.yaml`, "a control or invisible character in a name"},
		}, false},
		{"a file too large", func(r *gitRepo) []string {
			return []string{"100644 blob " + r.blob(strings.Repeat("x", 101)) + "\tx.yaml"}
		}, []Problem{{"configs/tenants/x.yaml", "101 bytes, at most 100 (source.limits.file_size)"}}, false},
		{"too much in all", func(r *gitRepo) []string {
			var lines []string
			for i := range 11 {
				lines = append(lines, fmt.Sprintf("100644 blob %s\tx%02d.yaml", r.blob(strings.Repeat(fmt.Sprintf("%02d", i), 50)), i))
			}
			return lines
		}, []Problem{{"configs/tenants/x10.yaml", "more than 1000 bytes in all (source.limits.total_size)"}}, true},
		{"too many files", func(r *gitRepo) []string {
			var lines []string
			b := r.blob("x")
			for i := range 30 {
				lines = append(lines, fmt.Sprintf("100644 blob %s\tx%02d.yaml", b, i))
			}
			return lines
		}, []Problem{{"configs/tenants/x20.yaml", "more than 20 files (source.limits.files)"}}, true},
		{"too deep", func(r *gitRepo) []string {
			tree := runGitInput(r.t, r.work, []byte("100644 blob "+r.blob("x")+"\tx.yaml\n"), "mktree")
			for range 3 {
				tree = runGitInput(r.t, r.work, []byte("040000 tree "+tree+"\td\n"), "mktree")
			}
			return []string{"040000 tree " + tree + "\td"}
		}, []Problem{{"configs/tenants/d/d/d/d", "more than 3 levels deep (source.limits.depth)"}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newGitRepo(t)
			r.commit("good", files{"configs/tenants/a.yaml": "a"})
			g := openGit(t, r.serveHTTP(nil), func(o *GitOptions) { o.Limits = limits })
			good := mustFetch(t, g)
			lines := tt.lines(r)
			id := r.commitTree(lines...)
			snap, err := g.Fetch(t.Context())
			if tt.whole {
				refused, ok := errors.AsType[*TreeError](err)
				if !ok {
					t.Fatalf("got %v, want a *TreeError", err)
				}
				if diff := cmp.Diff(refused.Problems, tt.want); diff != "" {
					t.Errorf("problems (-got +want):\n%s", diff)
				}
				if refused.Revision.ID != id {
					t.Errorf("the refused revision is %s, want %s", refused.Revision.ID, id)
				}
				if _, again := g.Fetch(t.Context()); again != err { //nolint:errorlint // The very same.
					t.Errorf("a second look at the same head said %v", again)
				}
			} else {
				if err != nil {
					t.Fatal(err)
				}
				wantRefused(t, snap, tt.want)
				// The next commit does not touch the entry: it is still refused.
				r.commitTree(append(lines, "100644 blob "+r.blob("later")+"\tz.yaml")...)
				wantRefused(t, mustFetch(t, g), tt.want)
			}
			runGit(t, r.work, "reset", "-q", "--hard", good.Revision.ID)
			r.push()
			if back := mustFetch(t, g); tt.whole && back != good {
				t.Error("going back from what was refused gave another snapshot")
			} else if back.Refused != nil {
				t.Errorf("still refused: %v", back.Refused)
			}
		})
	}
}

// wantRefused checks which entries of a snapshot could not be taken: they are
// not among its hashes, and reading them says why.
func wantRefused(t *testing.T, snap *Snapshot, want []Problem) {
	t.Helper()
	refused := make(map[string]string)
	for _, p := range want {
		refused[p.Path] = p.Reason
		if _, ok := snap.Hashes[p.Path]; ok {
			t.Errorf("%s has a hash", p.Path)
		}
	}
	if diff := cmp.Diff(refused, snap.Refused); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
}

// A tree of a few objects that stands for ten million files is refused without
// being walked.
func TestGitTreeBomb(t *testing.T) {
	t.Parallel()
	r := newGitRepo(t)
	tree := ""
	for i := range 10 {
		entry := "040000 tree " + tree
		if i == 0 {
			entry = "100644 blob " + r.blob("x")
		}
		var lines []string
		for j := range 10 {
			name := fmt.Sprintf("\td%d", j)
			if i == 0 {
				name += ".yaml"
			}
			lines = append(lines, entry+name)
		}
		tree = runGitInput(t, r.work, []byte(strings.Join(lines, "\n")+"\n"), "mktree")
	}
	r.commitTree("040000 tree " + tree + "\tbomb")
	began := time.Now()
	_, err := openGit(t, r.serveHTTP(nil), func(o *GitOptions) { o.Limits.Files = 1000 }).Fetch(t.Context())
	if _, ok := errors.AsType[*TreeError](err); !ok {
		t.Fatalf("got %v, want a *TreeError", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("refused after %s", took)
	}
}

func TestGitMaxSize(t *testing.T) {
	t.Parallel()
	r := newGitRepo(t)
	r.commit("large", files{"docs/noise": noise(1, 100_000)})
	for name, url := range map[string]string{"http": r.serveHTTP(nil), "git": "git://" + r.serveDaemon() + "/conf.git"} {
		state := t.TempDir()
		_, err := openGit(t, url, func(o *GitOptions) { o.MaxSize, o.StateDir = 50_000, state }).Fetch(t.Context())
		wantReason(t, err, ReasonTooLarge)
		if !strings.Contains(err.Error(), "source.git.max_size") || len(leftovers(t, state)) > 0 {
			t.Errorf("%s: %v, left behind %v", name, err, leftovers(t, state))
		}
	}
}

func TestGitSubtreePath(t *testing.T) {
	t.Parallel()
	r := newGitRepo(t)
	r.commit("first", files{"deploy/gw/configs/tenants/a.yaml": "a", "configs/tenants/b.yaml": "b"})
	g := openGit(t, r.bare, func(o *GitOptions) { o.Path = "deploy/gw/" })
	wantFiles(t, mustFetch(t, g), files{"configs/tenants/a.yaml": "a"})
	_, err := openGit(t, r.bare, func(o *GitOptions) { o.Path = "nowhere" }).Fetch(t.Context())
	if refused, ok := errors.AsType[*TreeError](err); !ok || refused.Problems[0].Path != "nowhere" {
		t.Errorf("got %v, want the missing path", err)
	}
}

func TestGitOverlappingRoots(t *testing.T) {
	t.Parallel()
	r := newGitRepo(t)
	r.commit("first", files{"a.yaml": "a", "a.lua": "no", "lua/b.lua": "b", "lua/deep/b.yaml": "c", "x.txt": "no"})
	g := openGit(t, r.bare, func(o *GitOptions) {
		o.Roots = []Root{{Dir: ".", Ext: []string{".yaml"}}, {Dir: "lua", Ext: []string{".lua"}}}
	})
	wantFiles(t, mustFetch(t, g), files{"a.yaml": "a", "lua/b.lua": "b", "lua/deep/b.yaml": "c"})
}

func TestGitBorrowedObjects(t *testing.T) {
	t.Parallel()
	r := newGitRepo(t)
	r.commit("first", files{"configs/tenants/a.yaml": "a"})
	shared := filepath.Join(t.TempDir(), "shared.git")
	runGit(t, r.work, "clone", "-q", "--bare", "--shared", r.bare, shared)
	wantFiles(t, mustFetch(t, openGit(t, shared)), files{"configs/tenants/a.yaml": "a"})
}

func TestGitLocalRepositoryIsRepacked(t *testing.T) {
	t.Parallel()
	r := newGitRepo(t)
	r.commit("first", files{"configs/tenants/a.yaml": "a"})
	g := openGit(t, r.work)
	mustFetch(t, g)
	runGit(t, r.work, "gc", "-q", "--prune=now")
	runGit(t, r.work, "pack-refs", "--all")
	r.commit("second", files{"configs/tenants/b.yaml": "b"})
	wantFiles(t, mustFetch(t, g), files{"configs/tenants/a.yaml": "a", "configs/tenants/b.yaml": "b"})
}

func TestGitMergeHistoryIsContained(t *testing.T) {
	t.Parallel()
	r := newGitRepo(t)
	r.commit("first", files{"configs/tenants/a.yaml": "a"})
	g := openGit(t, r.serveHTTP(nil))
	mustFetch(t, g)
	runGit(t, r.work, "checkout", "-q", "-b", "side")
	files{"configs/tenants/side.yaml": "s"}.write(t, r.work)
	runGit(t, r.work, "add", "-A")
	runGit(t, r.work, "commit", "-q", "-m", "side")
	side := runGit(t, r.work, "rev-parse", "HEAD")
	runGit(t, r.work, "checkout", "-q", "main")
	r.commit("second", files{"configs/tenants/b.yaml": "b"})
	mustFetch(t, g)
	if g.Contains(side) {
		t.Error("an unmerged commit is contained")
	}
	runGit(t, r.work, "merge", "-q", "--no-ff", "-m", "merge", "side")
	r.push()
	snap := mustFetch(t, g)
	if !g.Contains(side) || snap.Hashes["configs/tenants/side.yaml"] == "" {
		t.Error("a merged commit is not contained")
	}
}

func TestGitWatchPolls(t *testing.T) {
	t.Parallel()
	r := newGitRepo(t)
	r.commit("first", files{"configs/tenants/a.yaml": "a"})
	g := openGit(t, r.bare, func(o *GitOptions) { o.PollInterval = 5 * time.Millisecond })
	ctx, cancel := context.WithCancel(t.Context())
	nudges := make(chan Trigger)
	done := make(chan error, 1)
	go func() {
		done <- g.Watch(ctx, func(tr Trigger) {
			select {
			case nudges <- tr:
			case <-ctx.Done():
			}
		})
	}()
	for range 3 {
		if got := <-nudges; got != TriggerPoll {
			t.Errorf("got trigger %q", got)
		}
		mustFetch(t, g)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Watch returned %v", err)
	}
}
