package repo

import (
	"bytes"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// gitRepo is a repository of the real git, with a work tree.
type gitRepo struct {
	t    *testing.T
	work string
	bare string // srv/conf.git, which is work/.git: what is committed is served
}

// gitEnv keeps the machine's own git configuration out of tests.
func gitEnv() []string {
	return append(os.Environ(),
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com",
		"GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com",
	)
}

func runGit(t *testing.T, dir string, args ...string) string {
	t.Helper()
	return runGitInput(t, dir, nil, args...)
}

func runGitInput(t *testing.T, dir string, stdin []byte, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir, cmd.Env, cmd.Stdin = dir, gitEnv(), bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

func newGitRepo(t *testing.T) *gitRepo {
	t.Helper()
	base := t.TempDir()
	r := &gitRepo{t: t, work: filepath.Join(base, "work"), bare: filepath.Join(base, "srv", "conf.git")}
	runGit(t, base, "init", "-q", "--template=", "-b", "main", r.work)
	if err := os.Mkdir(filepath.Dir(r.bare), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(r.work, ".git"), r.bare); err != nil {
		t.Fatal(err)
	}
	return r
}

// files is what a commit changes: path to content; "" removes.
type files map[string]string

func (f files) write(t *testing.T, dir string) {
	t.Helper()
	for name, content := range f {
		at := filepath.Join(dir, filepath.FromSlash(name))
		if content == "" {
			if err := os.Remove(at); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(at), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// commit writes and commits, and returns the commit.
func (r *gitRepo) commit(message string, f files) string {
	r.t.Helper()
	f.write(r.t, r.work)
	runGit(r.t, r.work, "add", "-A")
	runGit(r.t, r.work, "commit", "-q", "--allow-empty", "-m", message)
	return r.push()
}

// push sets main to the head, whatever it was before.
func (r *gitRepo) push() string {
	r.t.Helper()
	runGit(r.t, r.work, "update-ref", "refs/heads/main", "HEAD")
	return runGit(r.t, r.work, "rev-parse", "HEAD")
}

// commitTree commits a tree of raw entries ("MODE TYPE ID\tNAME") that lies at
// configs/tenants, whatever git add would say to it.
func (r *gitRepo) commitTree(lines ...string) string {
	r.t.Helper()
	tree := runGitInput(r.t, r.work, []byte(strings.Join(lines, "\x00")+"\x00"), "mktree", "-z", "--missing")
	for _, dir := range []string{"tenants", "configs"} {
		tree = runGitInput(r.t, r.work, []byte("040000 tree "+tree+"\t"+dir+"\n"), "mktree")
	}
	id := runGit(r.t, r.work, "commit-tree", "-m", "raw", tree)
	runGit(r.t, r.work, "reset", "-q", "--soft", id)
	return r.push()
}

func (r *gitRepo) blob(content string) string {
	r.t.Helper()
	return runGitInput(r.t, r.work, []byte(content), "hash-object", "-w", "--stdin")
}

// httpBackend serves the directory that holds conf.git by the real
// git-http-backend(1).
func (r *gitRepo) httpBackend() http.Handler {
	r.t.Helper()
	return &cgi.Handler{
		Path: filepath.Join(runGit(r.t, r.work, "--exec-path"), "git-http-backend"),
		Env: []string{
			"GIT_PROJECT_ROOT=" + filepath.Dir(r.bare), "GIT_HTTP_EXPORT_ALL=1",
			"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		},
	}
}

// serveHTTP returns the URL of the repository behind wrap(git-http-backend).
func (r *gitRepo) serveHTTP(wrap func(http.Handler) http.Handler) string {
	r.t.Helper()
	h := r.httpBackend()
	if wrap != nil {
		h = wrap(h)
	}
	s := httptest.NewServer(h)
	r.t.Cleanup(s.Close)
	return s.URL + "/conf.git"
}

// serveDaemon starts the real git-daemon(1) and returns the address it listens
// on.
func (r *gitRepo) serveDaemon() string {
	r.t.Helper()
	l := listen(r.t)
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		r.t.Fatal(err)
	}
	_, port, _ := strings.Cut(addr, ":")
	daemon := filepath.Join(runGit(r.t, r.work, "--exec-path"), "git-daemon")
	cmd := exec.Command(daemon, "--reuseaddr", "--listen=127.0.0.1", "--port="+port, //nolint:noctx // Ended below, by its pid.
		"--export-all", "--base-path="+filepath.Dir(r.bare), filepath.Dir(r.bare))
	cmd.Env = gitEnv()
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			r.t.Error(err)
		}
		_ = cmd.Wait() // Killed, and says so.
	})
	for range 200 { // it listens when a connection is taken
		conn, err := new(net.Dialer).DialContext(r.t.Context(), "tcp", addr)
		if err == nil {
			_ = conn.Close()
			return addr
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.t.Fatal("git daemon does not listen")
	return ""
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// hungServer accepts connections, waits for a request, sends answer, and says
// no more.
func hungServer(t *testing.T, answer string) string {
	t.Helper()
	l := listen(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var conns []net.Conn
		for {
			c, err := l.Accept()
			if err != nil {
				break
			}
			conns = append(conns, c)
			if answer != "" {
				_, _ = c.Read(make([]byte, 1))
				_, _ = c.Write([]byte(answer))
			}
		}
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l.Addr().String()
}
