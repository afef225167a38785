package testenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"keystone-gateway/internal/daemon"
)

// Build compiles the program and returns its path. It takes seconds: build once
// for all subtests.
func Build(t testing.TB) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "keystone-gateway")
	//nolint:gosec // binary is a directory of this test
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "keystone-gateway/cmd/keystone-gateway")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

// Process is the built program, running.
type Process struct {
	Log *Log // standard error

	t      testing.TB
	cmd    *exec.Cmd
	exited chan struct{} // closed once code is set
	code   int
	waited bool // the test knows the code
}

// StartProcess runs binary with args. It is killed at the end of the test, if
// it has not ended before.
func StartProcess(t testing.TB, binary string, args ...string) *Process {
	t.Helper()
	p := &Process{Log: newLog(), t: t, exited: make(chan struct{})}
	// Not t.Context: it would be killed before the cleanups that end it well.
	p.cmd = exec.CommandContext(context.Background(), binary, args...) //nolint:gosec // the program under test
	p.cmd.Stderr = p.Log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var waiting sync.WaitGroup
	waiting.Go(func() {
		err := p.cmd.Wait()
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			t.Errorf("wait for %s: %v", binary, err)
		}
		p.code = p.cmd.ProcessState.ExitCode()
		close(p.exited)
	})
	t.Cleanup(func() {
		select {
		case <-p.exited:
		default:
			p.Signal(syscall.SIGKILL)
		}
		waiting.Wait()
	})
	return p
}

// Signal sends a signal.
func (p *Process) Signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("signal the process: %v", err)
	}
}

// WaitExit waits for the end and returns the exit code, -1 for one by a signal.
func (p *Process) WaitExit() int {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	select {
	case <-p.exited:
		p.waited = true
		return p.code
	case <-ctx.Done():
		p.t.Fatalf("waited %v for the process to end; its log ends\n%s", Patience, p.Log.tail(20))
		return -1
	}
}

// newProcessGateway runs binary with the settings s.
func newProcessGateway(t testing.TB, binary string, s daemon.Settings) (*Gateway, *Process) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "settings.yaml")
	if err := os.WriteFile(file, settingsFile(t, s), 0o600); err != nil {
		t.Fatal(err)
	}
	p := StartProcess(t, binary, "-config", file)
	ctx, cancel := patient(t)
	defer cancel()
	started, err := p.Log.Wait(ctx, 0, "gateway started")
	if err != nil {
		t.Fatalf("the process did not start:\n%s", p.Log.tail(20))
	}
	g := &Gateway{Client: newClient(t, started.Text("listen"), started.Text("admin"), token), Log: p.Log, t: t}
	g.end = func() error {
		if p.waited {
			return nil // what the code should be was for the test to say
		}
		p.Signal(syscall.SIGTERM)
		if code := p.WaitExit(); code != 0 {
			return fmt.Errorf("exit code %d", code)
		}
		return nil
	}
	g.endWith(t)
	return g, p
}

// settingsFile writes s as a settings file. JSON is YAML.
func settingsFile(t testing.TB, s daemon.Settings) []byte {
	t.Helper()
	keys := settingsKeys(reflect.ValueOf(s))
	source := keys["source"].(map[string]any)
	if s.Source.Git.URL == "" {
		delete(source, "git")
	} else {
		delete(source, "dir") // exactly one of the two
	}
	data, err := json.MarshalIndent(keys, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// settingsKeys turns a section into its keys, what is empty left out.
func settingsKeys(section reflect.Value) map[string]any {
	keys := make(map[string]any)
	for field, value := range section.Fields() {
		key := field.Tag.Get("mapstructure")
		if key == "" || strings.HasPrefix(key, "-") || value.IsZero() {
			continue
		}
		switch v := value.Interface().(type) {
		case time.Duration:
			keys[key] = v.String()
		default:
			keys[key] = v
			if value.Kind() == reflect.Struct {
				keys[key] = settingsKeys(value)
			}
		}
	}
	return keys
}
