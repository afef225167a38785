package proxy

import (
	"log/slog"
	"time"
)

// noTenant stands in logs and metrics for requests that no tenant serves.
const noTenant = "-"

// statusClientGone is logged for a client that went away before its answer;
// nobody is sent it.
const statusClientGone = 499

// record counts the exchange and writes its access record.
func (x *Exchange) record() {
	s := x.server
	took := time.Since(x.start)
	status := x.writer.status
	if status == 0 {
		status = statusClientGone
	}
	counters := s.untenanted
	if x.tenant != nil {
		counters = x.tenant.counters
	}
	counters.Request(status, took)
	if !s.o.AccessLog || !s.o.Log.Enabled(x, slog.LevelInfo) {
		return
	}
	tenant, pattern := noTenant, ""
	if x.slot != nil {
		tenant = x.slot.Name
	}
	if x.route != nil {
		pattern = x.route.pattern
	}
	// Not by Log.LogAttrs: it looks up its caller, which nobody asks for.
	r := slog.NewRecord(x.start.Add(took), slog.LevelInfo, "request", 0)
	r.AddAttrs(
		slog.String("request_id", x.id),
		slog.String("tenant", tenant),
		slog.String("route", pattern),
		slog.String("method", x.method),
		slog.String("host", x.host),
		slog.String("path", x.path),
		slog.Int("status", status),
		slog.Int64("bytes", x.writer.bytes),
		slog.Float64("took_ms", float64(took.Microseconds())/1000),
		slog.String("upstream", x.target),
		slog.String("server", x.trip.Server),
		slog.Int("attempts", x.trip.Attempts),
		slog.String("revision", x.revision),
	)
	if x.err != nil {
		r.AddAttrs(slog.String("err", x.err.Error()))
	}
	_ = s.o.Log.Handler().Handle(x, r) // a log that cannot be written has nowhere to say so
}
