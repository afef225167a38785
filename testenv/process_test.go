package testenv_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"keystone-gateway/internal/daemon"
	"keystone-gateway/testenv"
)

func TestTheProgramAndItsSignals(t *testing.T) {
	binary := testenv.Build(t)

	t.Run("SIGTERM lets a slow response end", func(t *testing.T) {
		world := testenv.New(t, testenv.Binary(binary), forwardingTo("shop"))
		type outcome struct {
			answer testenv.Response
			err    error
		}
		slow := make(chan outcome, 1)
		go func() {
			answer, err := world.Try(t.Context(), "shop.test", "/slow")
			slow <- outcome{answer, err}
		}()
		testenv.Until(t, "the slow request to arrive", func() bool { return world.Upstream.Held() == 1 })

		world.Process.Signal(syscall.SIGTERM)
		world.WaitEvent("gateway stopping")
		testenv.Until(t, "the listener to close", world.Refused)
		world.Upstream.Release()
		if got := <-slow; got.err != nil || got.answer.Status != http.StatusOK {
			t.Errorf("the slow request: got %d %v, want 200", got.answer.Status, got.err)
		}
		if code := world.Process.WaitExit(); code != 0 {
			t.Errorf("exit code: got %d, want 0", code)
		}
		world.WaitEvent("gateway stopped", "cut", 0)
	})

	t.Run("SIGTERM cuts what outlasts the drain timeout", func(t *testing.T) {
		world := testenv.New(t, testenv.Binary(binary), forwardingTo("shop"),
			testenv.With(func(s *daemon.Settings) { s.DrainTimeout = 500 * time.Millisecond }))
		socket := world.WebSocket("shop.test", "/ws")
		socket.Echo("before")
		world.Process.Signal(syscall.SIGTERM)
		_ = socket.WaitClosed() // how it ended is another test's
		if code := world.Process.WaitExit(); code != 0 {
			t.Errorf("exit code: got %d, want 0", code)
		}
		world.WaitEvent("gateway stopped", "cut", 1)
	})

	t.Run("a second signal exits at once", func(t *testing.T) {
		world := testenv.New(t, testenv.Binary(binary), forwardingTo("shop"))
		socket := world.WebSocket("shop.test", "/ws")
		socket.Echo("before")
		world.Process.Signal(syscall.SIGINT)
		world.WaitEvent("gateway stopping")
		world.Process.Signal(syscall.SIGINT)
		if code := world.Process.WaitExit(); code != 3 {
			t.Errorf("exit code: got %d, want 3", code)
		}
	})

	t.Run("SIGHUP reloads", func(t *testing.T) {
		world := testenv.New(t, testenv.Binary(binary), shop("one"),
			testenv.With(func(s *daemon.Settings) { s.Source.Git.PollInterval = time.Hour }))
		second := world.Commit(map[string]string{fileOf("shop"): answering("shop", "two")})
		world.Process.Signal(syscall.SIGHUP)
		world.WaitEvent("reload applied", "revision", second, "trigger", "signal")
		wantBody(t, world.Gateway, "shop", "two")

		mark := world.Log.Mark()
		world.Process.Signal(syscall.SIGHUP)
		world.WaitEventAfter(mark, "reload unchanged", "revision", second, "trigger", "signal")
	})

	t.Run("a taken port is one line and exit code 3", func(t *testing.T) {
		taken := testenv.NewUpstream(t, "taken")
		p := testenv.StartProcess(t, binary, "run", "-addr", strings.TrimPrefix(taken.URL, "http://"))
		wantEnd(t, p, 3, "address already in use")
	})

	t.Run("settings that cannot be read are one line and exit code 3", func(t *testing.T) {
		p := testenv.StartProcess(t, binary, "-config", filepath.Join(t.TempDir(), "absent.yaml"))
		wantEnd(t, p, 3, "absent.yaml")
	})

	t.Run("an unknown key is one line and exit code 2", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "settings.yaml")
		if err := os.WriteFile(file, []byte("server:\n  lisen: \":8080\"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		p := testenv.StartProcess(t, binary, "-config", file)
		wantEnd(t, p, 2, `settings.yaml:2:3: error: unknown key "server.lisen" (did you mean "listen"?)`)
	})
}

// wantEnd waits for p to end by itself with this code, having said one line
// that holds text.
func wantEnd(t *testing.T, p *testenv.Process, code int, text string) {
	t.Helper()
	if got := p.WaitExit(); got != code {
		t.Errorf("exit code: got %d, want %d", got, code)
	}
	talk := p.Log.Talk()
	if len(talk) != 1 || !strings.HasPrefix(talk[0], "keystone-gateway: ") || !strings.Contains(talk[0], text) {
		t.Errorf("it said %q, want one line with %q", talk, text)
	}
}
