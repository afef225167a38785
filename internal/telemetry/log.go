package telemetry

import (
	"context"
	"io"
	"log/slog"
)

// NewLogger writes one record a line to w, each with a single Write; format is
// "text", and anything else is JSON. Times are UTC with nanoseconds (RFC 3339)
// in JSON, whatever the zone of the machine, so that the lines of a fleet sort.
func NewLogger(w io.Writer, level slog.Level, format string) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == "text" {
		return slog.New(utc{slog.NewTextHandler(w, options)})
	}
	return slog.New(utc{slog.NewJSONHandler(w, options)})
}

// utc sets the zone of each record. A wrapped handler costs one call a record,
// where a ReplaceAttr function would cost one an attribute.
type utc struct{ next slog.Handler }

func (h utc) Enabled(ctx context.Context, level slog.Level) bool { return h.next.Enabled(ctx, level) }

func (h utc) Handle(ctx context.Context, r slog.Record) error {
	r.Time = r.Time.UTC()
	return h.next.Handle(ctx, r)
}

func (h utc) WithAttrs(attrs []slog.Attr) slog.Handler { return utc{h.next.WithAttrs(attrs)} }
func (h utc) WithGroup(name string) slog.Handler       { return utc{h.next.WithGroup(name)} }
