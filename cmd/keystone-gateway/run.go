package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"keystone-gateway/internal/daemon"
	"keystone-gateway/internal/telemetry"
	"keystone-gateway/repo"
)

func runCommand(ctx context.Context, e *env, args []string) int {
	f := newFlags(e, "run", "[run] -config FILE [-addr HOST:PORT]", `
Serves the tenants of the source that the settings name, and follows it, until
SIGTERM or SIGINT; a second one exits at once. SIGHUP asks for a reload.

Example:
  keystone-gateway -config configs/production.yaml`)
	config := f.String("config", "", "settings `FILE` (YAML); without it defaults and KEYSTONE_… variables")
	addr := f.String("addr", "", "listen on `HOST:PORT` instead of server.listen")
	if _, code, ok := f.parse(args, 0); !ok {
		return code
	}
	read := func() (daemon.Settings, error) {
		return loadSettings(settingsArgs{Config: *config, Addr: *addr}, e.environ)
	}
	settings, err := read()
	if err != nil {
		return e.fail(err)
	}
	log := newLogger(e, settings.Log)
	d, err := daemon.Open(ctx, settings, daemon.Options{Log: log, Version: version().Version, ReadSettings: read})
	if err != nil {
		return e.fail(err)
	}
	return serve(ctx, e, d)
}

// serve runs d until a signal ends it.
func serve(ctx context.Context, e *env, d *daemon.Daemon) int {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)

	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	stopping := false
	for {
		select {
		case err := <-ended:
			if err != nil {
				return e.fail(err)
			}
			return exitFine
		case s := <-signals:
			switch {
			case s == syscall.SIGHUP:
				d.Reload(repo.TriggerSignal)
			case stopping:
				e.say("a second %s: exiting at once", s)
				return exitTrouble
			default:
				stopping = true
				cancel()
			}
		}
	}
}

// fail says what ended a command, each problem on a line of its own, and picks
// the exit code.
func (e *env) fail(err error) int {
	if problems, ok := errors.AsType[*settingsError](err); ok {
		for line := range strings.Lines(problems.Error()) {
			e.say("%s", strings.TrimSuffix(line, "\n"))
		}
		return problems.ExitCode()
	}
	e.say("%v", err)
	if errors.Is(err, daemon.ErrSettings) {
		return exitUsage
	}
	return exitTrouble
}

func newLogger(e *env, l daemon.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		level = slog.LevelInfo // the settings were checked already
	}
	log := telemetry.NewLogger(e.stderr, level, l.Format)
	// net/http says some things through package log, a server's bytes among
	// them: they too are to be records, and rare ones.
	slog.SetLogLoggerLevel(slog.LevelDebug)
	slog.SetDefault(log)
	return log
}
