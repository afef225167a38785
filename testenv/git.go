package testenv

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Git is a real repository with a real server in front of it. Commits are made
// in a clone and pushed by path, so that they arrive whatever the server does.
type Git struct {
	t      testing.TB
	origin string // bare
	work   string // clone of origin, with a work tree
	server gitServer
}

// gitServer serves a directory of bare repositories.
type gitServer interface {
	// url of the repository at the path relative to the directory.
	url(name string) string
	start(t testing.TB)
	stop(t testing.TB)
	// hang makes every request wait until the returned function is called.
	hang(t testing.TB) (release func())
}

// NewGit makes an empty repository with the branch main behind git
// http-backend; with daemon, behind git daemon.
func NewGit(t testing.TB, daemon bool) *Git {
	t.Helper()
	dir := t.TempDir()
	g := &Git{t: t, origin: filepath.Join(dir, "srv", "origin.git"), work: filepath.Join(dir, "work")}
	g.run(dir, "init", "--quiet", "--bare", "--initial-branch=main", g.origin)
	g.run(dir, "init", "--quiet", "--initial-branch=main", g.work)
	g.run(g.work, "remote", "add", "origin", g.origin)
	if daemon {
		g.server = &gitDaemon{root: filepath.Dir(g.origin)}
	} else {
		g.server = &httpBackend{root: filepath.Dir(g.origin)}
	}
	g.server.start(t)
	t.Cleanup(func() { g.server.stop(t) })
	return g
}

// URL is what a gateway follows.
func (g *Git) URL() string { return g.server.url(filepath.Base(g.origin)) }

// Origin is the directory of the bare repository.
func (g *Git) Origin() string { return g.origin }

// WorkTree is the directory that commits are made in.
func (g *Git) WorkTree() string { return g.work }

// Write puts files into the work tree, by slash-separated path.
func (g *Git) Write(files map[string]string) {
	g.t.Helper()
	WriteFiles(g.t, g.work, files)
}

// Commit writes files, commits all there is in the work tree, pushes it, and
// returns the commit.
func (g *Git) Commit(files map[string]string) string {
	g.t.Helper()
	g.Write(files)
	return g.CommitAll("change " + strings.Join(slices.Sorted(maps.Keys(files)), ", "))
}

// CommitAll commits and pushes what the work tree holds, be it nothing new.
func (g *Git) CommitAll(subject string) string {
	g.t.Helper()
	g.run(g.work, "add", "--all")
	g.run(g.work, "commit", "--quiet", "--allow-empty", "--message", subject)
	return g.push()
}

// Remove commits that files are gone.
func (g *Git) Remove(names ...string) string {
	g.t.Helper()
	g.run(g.work, append([]string{"rm", "--quiet", "--"}, names...)...)
	return g.CommitAll("remove " + strings.Join(names, ", "))
}

// Revert commits the opposite of the last commit.
func (g *Git) Revert() string {
	g.t.Helper()
	g.run(g.work, "revert", "--no-edit", "HEAD")
	return g.push()
}

// Reset makes the branch end at revision again, by a forced push.
func (g *Git) Reset(revision string) string {
	g.t.Helper()
	g.run(g.work, "reset", "--quiet", "--hard", revision)
	return g.push("--force")
}

// Head is the last commit of the work tree.
func (g *Git) Head() string {
	g.t.Helper()
	id, err := os.ReadFile(filepath.Join(g.work, ".git", "refs", "heads", "main"))
	if err != nil {
		g.t.Fatal(err)
	}
	return strings.TrimSpace(string(id))
}

// DeleteBranch takes main away from the server; the next commit brings it back.
func (g *Git) DeleteBranch() {
	g.t.Helper()
	g.run(g.origin, "update-ref", "-d", "refs/heads/main")
}

// Stop takes the server down: its port refuses connections.
func (g *Git) Stop() { g.t.Helper(); g.server.stop(g.t) }

// Start brings it back on the same port.
func (g *Git) Start() { g.t.Helper(); g.server.start(g.t) }

// Hang lets the server accept requests and answer none of them until release
// is called.
func (g *Git) Hang() (release func()) { g.t.Helper(); return g.server.hang(g.t) }

func (g *Git) push(options ...string) string {
	g.t.Helper()
	g.run(g.work, append(append([]string{"push", "--quiet"}, options...), "origin", "HEAD:main")...)
	return g.Head()
}

// run executes git and returns what it printed.
func (g *Git) run(dir string, args ...string) string {
	g.t.Helper()
	cmd := exec.CommandContext(g.t.Context(), "git", args...) //nolint:gosec // the arguments are those of this file
	cmd.Dir = dir
	cmd.Env = gitEnvironment()
	out, err := cmd.CombinedOutput()
	if err != nil {
		g.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// gitEnvironment makes git the same for everybody: no configuration of the
// machine or the user, a fixed identity, never a prompt.
func gitEnvironment() []string {
	return append(os.Environ(),
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		// Nothing that goes on behind a commit: no repacking, no signing.
		"GIT_CONFIG_COUNT=3",
		"GIT_CONFIG_KEY_0=maintenance.auto", "GIT_CONFIG_VALUE_0=false",
		"GIT_CONFIG_KEY_1=gc.auto", "GIT_CONFIG_VALUE_1=0",
		"GIT_CONFIG_KEY_2=receive.autoGC", "GIT_CONFIG_VALUE_2=false",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com",
		"GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com",
	)
}

// WriteFiles puts files below dir, by slash-separated path. Each appears whole
// or not at all, as it does when an editor saves it.
func WriteFiles(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		scratch := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
		if err := os.WriteFile(scratch, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(scratch, path); err != nil {
			t.Fatal(err)
		}
	}
}
