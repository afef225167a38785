package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keystone-gateway/internal/telemetry"
)

func TestNewLogger(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := telemetry.NewLogger(&out, slog.LevelInfo, "json")
	log.Debug("not written")
	log.With("tenant", "shop").WithGroup("g").Warn("tenant kept", "err", errors.New("line\nbreak"))

	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 1 {
		t.Fatalf("got %d lines, want one: %q", len(lines), out.String())
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &got); err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse(time.RFC3339Nano, got["time"].(string))
	if err != nil {
		t.Error(err)
	}
	if !strings.HasSuffix(got["time"].(string), "Z") || time.Since(at) > time.Minute {
		t.Errorf("time %v is not now in UTC", got["time"])
	}
	delete(got, "time")
	want := map[string]any{
		"level": "WARN", "msg": "tenant kept", "tenant": "shop",
		"g": map[string]any{"err": "line\nbreak"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

// The zone of a record is set, not that of the machine.
func TestLoggerWritesUTC(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"json", "text"} {
		var out bytes.Buffer
		log := telemetry.NewLogger(&out, slog.LevelInfo, format)
		at := time.Date(2024, 2, 29, 23, 30, 0, 123456789, time.FixedZone("east", 2*60*60))
		if err := log.Handler().Handle(t.Context(), slog.NewRecord(at, slog.LevelInfo, "reload applied", 0)); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "2024-02-29T21:30:00.123") || !strings.Contains(out.String(), "Z") {
			t.Errorf("%s: got %q, want the time in UTC", format, out.String())
		}
	}
}

func TestTextFormat(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	telemetry.NewLogger(&out, slog.LevelDebug, "text").Debug("reload started", "revision", "abc")
	if got, want := out.String(), "level=DEBUG msg=\"reload started\" revision=abc\n"; !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want it to end in %q", got, want)
	}
}
