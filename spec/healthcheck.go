package spec

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// What a check is that does not say otherwise, and its bounds: upstreams are
// other people's machines.
const (
	probeInterval    = 10 * time.Second
	probeTimeout     = 2 * time.Second
	minProbeInterval = 10 * time.Millisecond
	maxProbeInterval = 24 * time.Hour
	maxInARow        = 100
)

// newHealthCheck is one that says nothing.
func newHealthCheck() *HealthCheck {
	return &HealthCheck{
		Type:      "http",
		Interval:  probeInterval,
		Timeout:   probeTimeout,
		Healthy:   2,
		Unhealthy: 3,
		Status:    []StatusRange{{200, 399}},
		Initial:   "healthy",
	}
}

// checkedAlone tells whether some server brings its own path: that makes a
// check without health_check.
func checkedAlone(servers []Server) bool {
	return slices.ContainsFunc(servers, func(s Server) bool { return s.Health != "" })
}

// healthCheck reads the check of an upstream with these servers.
func (d *decoder) healthCheck(n *yaml.Node, servers []Server) *HealthCheck {
	defer d.within("health_check")()
	c := newHealthCheck()
	var timeout *yaml.Node
	present, ok := d.mapping(n, []field{
		{"type", func(n *yaml.Node) { d.choice(n, []string{"http"}, "tcp", "grpc") }},
		{"path", func(n *yaml.Node) { c.Path = d.probePath(n) }},
		{"interval", func(n *yaml.Node) {
			if v, ok := d.duration(n, minProbeInterval, maxProbeInterval); ok {
				c.setInterval(v)
			}
		}},
		{"timeout", func(n *yaml.Node) {
			if v, ok := d.duration(n, time.Millisecond, maxProbeInterval); ok {
				c.Timeout, timeout = v, n
			}
		}},
		{"healthy", func(n *yaml.Node) { d.inARow(n, &c.Healthy) }},
		{"unhealthy", func(n *yaml.Node) { d.inARow(n, &c.Unhealthy) }},
		{"status", func(n *yaml.Node) { c.Status = d.statusRanges(n) }},
		{"host", func(n *yaml.Node) { c.Host = d.probeHost(n) }},
		{"initial", func(n *yaml.Node) {
			if s, ok := d.choice(n, []string{"healthy", "unhealthy"}); ok {
				c.Initial = s
			}
		}},
	})
	if ok && present["path"] == nil && !checkedAlone(servers) {
		d.failf(n, "add path: /healthz", "it has no path")
	}
	if timeout != nil && c.Timeout > c.Interval {
		d.failf(timeout, "a probe ends before the next begins", "a timeout of %s is longer than the interval of %s", c.Timeout, c.Interval)
	}
	return c
}

// setInterval keeps a timeout that was not written within the interval.
func (c *HealthCheck) setInterval(v time.Duration) {
	c.Interval = v
	c.Timeout = min(probeTimeout, v)
}

// probePath reads what a check asks for: a path, with or without a query.
func (d *decoder) probePath(n *yaml.Node) string {
	s, ok := d.str(n)
	if !ok {
		return ""
	}
	path, query, _ := strings.Cut(s, "?")
	if strings.ContainsFunc(query, func(r rune) bool { return r <= ' ' || r > '~' || r == '#' }) {
		d.failf(n, "percent-encode it", "the query of %q has a character that does not stand in one", s)
		return ""
	}
	if !d.check(n, checkPath(path)) {
		return ""
	}
	return s
}

// probeHost reads the Host header of a check; "" is the server's own.
func (d *decoder) probeHost(n *yaml.Node) string {
	s, ok := d.str(n)
	if !ok || s == "" {
		return ""
	}
	name, port, hasPort := splitPort(s)
	host, err := parseHost(name)
	if err == nil && hasPort {
		err = checkPort(port)
		host += ":" + port
	}
	d.check(n, err)
	return host
}

// inARow reads a number of successes or failures.
func (d *decoder) inARow(n *yaml.Node, into *int) {
	if v, ok := d.integer(n, 1, maxInARow); ok {
		*into = int(v)
	}
}

// statusRanges reads 204, or 200-399, or a list of either.
func (d *decoder) statusRanges(n *yaml.Node) []StatusRange {
	var ranges []StatusRange
	items := d.oneOrMany(n, func(n *yaml.Node) {
		s, ok := d.word(n, "a range of status codes")
		if !ok {
			return
		}
		from, to, isRange := strings.Cut(s, "-")
		if !isRange {
			to = from
		}
		r := StatusRange{From: statusCode(from), To: statusCode(to)}
		if r.From == 0 || r.To == 0 || r.From > r.To {
			d.failf(n, "such as 204 or 200-399", "%q is not a range of status codes", s)
			return
		}
		ranges = append(ranges, r)
	})
	if items == 0 {
		d.failf(n, "remove the key for 200-399", "no status would count as healthy")
	}
	return ranges
}

// statusCode is the number in s, or 0 when it is no status.
func statusCode(s string) int {
	code, err := strconv.Atoi(s)
	if err != nil || len(s) != 3 || code < 100 || code > 599 {
		return 0
	}
	return code
}
