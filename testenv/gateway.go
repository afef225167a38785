package testenv

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"keystone-gateway/internal/daemon"
	"keystone-gateway/internal/telemetry"
)

// token is what the admin of every gateway here wants to see.
const token = "testenv"

// Settings are those of a gateway in a test: ports that are free, quick polls,
// and the rest as Defaults has it. The source is for the caller to name.
func Settings(t testing.TB) daemon.Settings {
	t.Helper()
	dir := t.TempDir()
	s := daemon.Defaults()
	s.Server.Listen, s.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0"
	s.Admin.TokenFile = filepath.Join(dir, "token")
	s.StateDir = filepath.Join(dir, "state")
	s.Source.Git.PollInterval = 100 * time.Millisecond
	s.Source.Git.Timeout = 10 * time.Second
	s.Reload.Debounce = 20 * time.Millisecond
	s.DrainTimeout = 10 * time.Second
	if err := os.WriteFile(s.Admin.TokenFile, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// Gateway is a running one, and a client of it.
type Gateway struct {
	*Client
	Log *Log
	// Daemon is the one inside this process, nil for a [Binary].
	Daemon *daemon.Daemon

	t    testing.TB
	end  func() error // stops it and waits
	over bool
}

// NewGateway opens and runs a gateway inside the test, until Stop or the end of
// the test.
func NewGateway(t testing.TB, s daemon.Settings) *Gateway {
	t.Helper()
	log := newLog()
	d, err := daemon.Open(t.Context(), s, daemon.Options{
		Log: telemetry.NewLogger(log, levelOf(t, s), "json"), Version: "testenv",
	})
	if err != nil {
		t.Fatalf("open a gateway: %v", err)
	}
	// Not t.Context: the gateway drains in the cleanup, after that has ended.
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()

	admin := ""
	if addr := d.AdminAddr(); addr != nil {
		admin = addr.String()
	}
	g := &Gateway{Client: newClient(t, d.Addr().String(), admin, token), Log: log, Daemon: d, t: t}
	g.end = func() error {
		cancel()
		return <-ended
	}
	g.endWith(t)
	return g
}

func levelOf(t testing.TB, s daemon.Settings) slog.Level {
	t.Helper()
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.Log.Level)); err != nil {
		t.Fatal(err)
	}
	return level
}

// endWith stops g when the test is over, and shows its log when it failed.
func (g *Gateway) endWith(t testing.TB) {
	t.Cleanup(func() {
		g.Stop()
		if t.Failed() {
			t.Logf("the end of the log of the %s:\n%s", g, g.Log.tail(60))
		}
	})
}

// Stop shuts the gateway down as SIGTERM would, and waits. May be called twice.
func (g *Gateway) Stop() {
	g.t.Helper()
	if g.over {
		return
	}
	g.over = true
	g.close()
	if err := g.end(); err != nil {
		g.t.Errorf("stop the %s: %v", g, err)
	}
	g.close()
}

// WaitEvent waits for an event with this message and these attributes, given as
// pairs of key and value, whenever it was logged.
func (g *Gateway) WaitEvent(msg string, attrs ...any) Event {
	g.t.Helper()
	return g.WaitEventAfter(0, msg, attrs...)
}

// WaitEventAfter waits for such an event after a mark.
func (g *Gateway) WaitEventAfter(from Mark, msg string, attrs ...any) Event {
	g.t.Helper()
	ctx, cancel := patient(g.t)
	defer cancel()
	event, err := g.Log.Wait(ctx, from, msg, attrs...)
	if err != nil {
		g.t.Fatalf("waited %v for the event %q %v of the %s", Patience, msg, attrs, g)
	}
	return event
}

// WaitRevision waits until revision is what serves.
func (g *Gateway) WaitRevision(revision string) {
	g.t.Helper()
	ctx, cancel := patient(g.t)
	defer cancel()
	applied := ""
	mark := Mark(0)
	err := g.Log.until(ctx, func() bool {
		// The log says when to look; looking says whether it is still so.
		looked := g.Log.Mark()
		if len(g.Log.Find(mark, "reload applied", "revision", revision))+len(g.Log.Find(mark, "reload unchanged", "revision", revision)) > 0 {
			applied = g.applied(ctx)
		}
		mark = looked
		return applied == revision
	})
	if err != nil {
		g.t.Fatalf("waited %v for revision %s of the %s; it serves %q", Patience, revision, g, g.applied(g.t.Context()))
	}
}

// WaitRejected waits until revision has been refused, and returns the event.
func (g *Gateway) WaitRejected(revision string) Event {
	g.t.Helper()
	return g.WaitEvent("reload rejected", "revision", revision)
}

// applied is the revision that serves, "" when it cannot be learnt.
func (g *Gateway) applied(ctx context.Context) string {
	answer, err := g.AdminTry(ctx, http.MethodGet, "/readyz")
	if err != nil {
		return ""
	}
	var ready struct {
		Revision string `json:"revision"`
	}
	if err := json.Unmarshal([]byte(answer.Body), &ready); err != nil {
		return ""
	}
	return ready.Revision
}
