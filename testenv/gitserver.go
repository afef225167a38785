package testenv

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cgi" //nolint:gosec // of a Go that sets no Proxy header from the client's; loopback only
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// httpBackend serves by git http-backend, as a CGI program.
type httpBackend struct {
	root string
	addr string // once chosen

	server  *http.Server // nil while stopped
	serving sync.WaitGroup

	mu   sync.Mutex    // guards held
	held chan struct{} // closed when requests may go on; nil: they may
}

func (b *httpBackend) url(name string) string { return "http://" + b.addr + "/" + name }

func (b *httpBackend) start(t testing.TB) {
	t.Helper()
	listener := listen(t, b.addr)
	b.addr = listener.Addr().String()
	backend := &cgi.Handler{
		Path: filepath.Join(gitExecPath(t), "git-http-backend"),
		Dir:  b.root,
		Env: []string{
			"GIT_PROJECT_ROOT=" + b.root, "GIT_HTTP_EXPORT_ALL=1",
			"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		},
		InheritEnv: []string{"PATH"},
		Stderr:     io.Discard, // a client that went away is no news
	}
	server := &http.Server{
		ReadHeaderTimeout: Patience,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b.serving.Add(1)
			defer b.serving.Done()
			if b.wait(r.Context()) {
				backend.ServeHTTP(w, r)
			}
		}),
	}
	b.server = server
	b.serving.Go(func() { _ = server.Serve(listener) }) // ends with ErrServerClosed
}

// wait returns once requests may go on; false when the client has gone.
func (b *httpBackend) wait(ctx context.Context) bool {
	b.mu.Lock()
	held := b.held
	b.mu.Unlock()
	if held == nil {
		return true
	}
	select {
	case <-held:
		return true
	case <-ctx.Done():
		return false
	}
}

func (b *httpBackend) stop(t testing.TB) {
	t.Helper()
	if b.server == nil {
		return
	}
	if err := b.server.Close(); err != nil {
		t.Errorf("stop the git server: %v", err)
	}
	b.serving.Wait()
	b.server = nil
}

func (b *httpBackend) hang(testing.TB) (release func()) {
	held := make(chan struct{})
	b.mu.Lock()
	b.held = held
	b.mu.Unlock()
	return sync.OnceFunc(func() {
		b.mu.Lock()
		b.held = nil
		b.mu.Unlock()
		close(held)
	})
}

// gitDaemon serves by git daemon, in a process group of its own.
type gitDaemon struct {
	root string
	addr string // once chosen

	process *exec.Cmd // nil while stopped
	logged  sync.WaitGroup
}

func (d *gitDaemon) url(name string) string { return "git://" + d.addr + "/" + name }

func (d *gitDaemon) start(t testing.TB) {
	t.Helper()
	if d.addr == "" {
		d.addr = FreeAddress(t)
	}
	host, port, err := net.SplitHostPort(d.addr)
	if err != nil {
		t.Fatal(err)
	}
	// Not t.Context: the daemon lives until stop, which runs as a cleanup.
	//nolint:gosec // git's own program, on a directory of this test
	d.process = exec.CommandContext(context.Background(), filepath.Join(gitExecPath(t), "git-daemon"), "--verbose", "--reuseaddr",
		"--listen="+host, "--port="+port, "--export-all", "--base-path="+d.root, d.root)
	d.process.Env = gitEnvironment()
	d.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stderr, err := d.process.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.process.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan bool, 1)
	d.logged.Go(func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "Ready to rumble") {
				ready <- true
			}
		}
		close(ready)
	})
	if !<-ready {
		t.Fatal("git daemon ended before it was ready")
	}
}

func (d *gitDaemon) stop(t testing.TB) {
	t.Helper()
	if d.process == nil {
		return
	}
	// The group holds the daemon and the upload-packs it started.
	if err := syscall.Kill(-d.process.Process.Pid, syscall.SIGKILL); err != nil {
		t.Errorf("stop git daemon: %v", err)
	}
	d.logged.Wait()
	_ = d.process.Wait() // it was killed
	d.process = nil
}

// hang stops the daemon's processes without ending them: connections are still
// accepted, by the kernel.
func (d *gitDaemon) hang(t testing.TB) (release func()) {
	t.Helper()
	group := -d.process.Process.Pid
	if err := syscall.Kill(group, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	return sync.OnceFunc(func() {
		if err := syscall.Kill(group, syscall.SIGCONT); err != nil {
			t.Errorf("resume git daemon: %v", err)
		}
	})
}

func gitExecPath(t testing.TB) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", "--exec-path").Output()
	if err != nil {
		t.Fatalf("git --exec-path: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// listen listens on addr, or for "" on a port that is free.
func listen(t testing.TB, addr string) net.Listener {
	t.Helper()
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// FreeAddress is a loopback address that nothing listened on a moment ago, for
// programs that cannot choose one themselves.
func FreeAddress(t testing.TB) string {
	t.Helper()
	listener := listen(t, "")
	defer func() {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
	}()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(listener.Addr().(*net.TCPAddr).Port))
}
