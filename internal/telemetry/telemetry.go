// Package telemetry holds what the gateway tells about itself: the log handler
// and the metric registry.
//
// It knows nothing of the parts that report to it. They are given a
// [*slog.Logger] and a [*Metrics]; what has to be asked for rather than told
// (how many tenants drain, which servers are healthy) is asked for at each
// scrape through the function given to [Metrics.Observe].
//
// Label values come from the configuration, never from a request, and the
// series of a tenant go when the tenant goes.
package telemetry
