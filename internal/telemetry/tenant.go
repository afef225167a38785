package telemetry

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Tenant records what happens to one tenant's requests. Its series are made
// when something is first recorded, so that a handle that was only asked for
// leaves no trace; once made they are reached without a lock. After
// DropTenant it records nothing that anyone sees. A nil *Tenant records
// nothing.
type Tenant struct {
	name    string
	metrics *Metrics

	responses atomic.Pointer[responses]
	trips     counters[trip]
	luaCalls  counters[string]

	// mu is held while series are made, and guards dropped.
	mu      sync.Mutex
	dropped bool
}

// responses are the series of Request: the classes 1xx to 5xx, and how long.
type responses struct {
	class    [5]prometheus.Counter
	duration prometheus.Observer
}

// trip is one label set of keystone_upstream_requests_total.
type trip struct{ upstream, result string }

// Tenant returns the handle of a tenant ("-" for no tenant), the same for the
// same name until DropTenant. Keep it: the request path needs no lookup then.
func (m *Metrics) Tenant(name string) *Tenant {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tenants[name]
	if t == nil {
		t = &Tenant{name: name, metrics: m}
		m.tenants[name] = t
	}
	return t
}

// DropTenant removes all series of a tenant. Handles given out before stay
// usable and silent; the next call of Tenant starts from zero.
func (m *Metrics) DropTenant(name string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tenants[name]
	if t == nil {
		return
	}
	delete(m.tenants, name)
	// Under the handle's lock, so that no request in flight makes a series
	// that nobody would ever remove.
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dropped = true
	series := prometheus.Labels{"tenant": name}
	m.requests.DeletePartialMatch(series)
	m.durations.DeletePartialMatch(series)
	m.trips.DeletePartialMatch(series)
	m.luaCalls.DeletePartialMatch(series)
}

// Request counts a response. A status that is none counts as 5xx.
func (t *Tenant) Request(status int, took time.Duration) {
	if t == nil {
		return
	}
	r := t.responses.Load()
	if r == nil {
		if r = t.makeResponses(); r == nil {
			return
		}
	}
	class := status/100 - 1
	if class < 0 || class >= len(r.class) {
		class = len(r.class) - 1
	}
	r.class[class].Inc()
	r.duration.Observe(took.Seconds())
}

// Upstream counts a trip; result is "ok" or an upstream.Kind.
func (t *Tenant) Upstream(upstream, result string) {
	if t == nil {
		return
	}
	key := trip{upstream, result}
	c := t.trips.get(key)
	if c == nil {
		if c = t.trips.make(t, key, t.metrics.trips, t.name, upstream, result); c == nil {
			return
		}
	}
	c.Inc()
}

// LuaCall counts a call; result is ok|error|budget|busy.
func (t *Tenant) LuaCall(result string) {
	if t == nil {
		return
	}
	c := t.luaCalls.get(result)
	if c == nil {
		if c = t.luaCalls.make(t, result, t.metrics.luaCalls, t.name, result); c == nil {
			return
		}
	}
	c.Inc()
}

// makeResponses makes all classes at once: a counter that starts at zero shows
// its first increase to rate(). It returns nil for a dropped tenant.
func (t *Tenant) makeResponses() *responses {
	t.mu.Lock()
	defer t.mu.Unlock()
	if made := t.responses.Load(); made != nil || t.dropped {
		return made
	}
	r := &responses{}
	for i, class := range [...]string{"1xx", "2xx", "3xx", "4xx", "5xx"} {
		c, err := t.metrics.requests.GetMetricWithLabelValues(t.name, class)
		if err != nil {
			return nil
		}
		r.class[i] = c
	}
	duration, err := t.metrics.durations.GetMetricWithLabelValues(t.name)
	if err != nil {
		return nil
	}
	r.duration = duration
	t.responses.Store(r)
	return r
}

// counters finds one tenant's counters of one metric by what tells them apart.
// The map is never changed, only replaced: there are few keys, known soon.
type counters[K comparable] struct {
	byKey atomic.Pointer[map[K]prometheus.Counter]
}

// get returns nil for a key that has no counter yet.
func (c *counters[K]) get(key K) prometheus.Counter {
	if m := c.byKey.Load(); m != nil {
		return (*m)[key]
	}
	return nil
}

// make returns key's counter, made from vec when there is none, and nil when
// the tenant was dropped or a label is not valid UTF-8.
func (c *counters[K]) make(t *Tenant, key K, vec *prometheus.CounterVec, labels ...string) prometheus.Counter {
	t.mu.Lock()
	defer t.mu.Unlock()
	if made := c.get(key); made != nil || t.dropped {
		return made
	}
	counter, err := vec.GetMetricWithLabelValues(labels...)
	if err != nil {
		return nil
	}
	next := map[K]prometheus.Counter{key: counter}
	if old := c.byKey.Load(); old != nil {
		maps.Copy(next, *old)
	}
	c.byKey.Store(&next)
	return counter
}
