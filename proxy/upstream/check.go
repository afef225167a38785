package upstream

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"keystone-gateway/spec"
)

// maxDrain bounds what is read of a probe's answer beyond its head.
const maxDrain = 4 << 10

// check is the identity of an active check: pools that ask the same of the same
// address share one probe.
type check struct {
	address   address
	path      string // with its query; not put below the server's base path
	host      string // of the Host header, "" for the address's
	interval  time.Duration
	timeout   time.Duration
	healthy   int
	unhealthy int
	startDown bool // unhealthy until a probe has succeeded
	status    statuses
}

// checkOf returns what u asks of s; ok is false if s is not checked. Zero values
// stand for the defaults that spec fills in.
func checkOf(u *spec.Upstream, s *spec.Server) (c check, ok bool) {
	h := u.HealthCheck
	if h == nil {
		return check{}, false
	}
	path := cmp.Or(s.Health, h.Path)
	if path == "" {
		return check{}, false
	}
	return check{
		address:   addressOf(s),
		path:      path,
		host:      h.Host,
		interval:  cmp.Or(h.Interval, 10*time.Second),
		timeout:   cmp.Or(h.Timeout, 2*time.Second),
		healthy:   cmp.Or(h.Healthy, 2),
		unhealthy: cmp.Or(h.Unhealthy, 3),
		startDown: h.Initial == "unhealthy",
		status:    statusesOf(h.Status),
	}, true
}

// statuses is a set of status codes, a bit each, so that ranges written
// differently make equal checks.
type statuses [1024 / 64]uint64

// statusesOf collects ranges; none stand for 200 to 399.
func statusesOf(ranges []spec.StatusRange) (set statuses) {
	if len(ranges) == 0 {
		ranges = []spec.StatusRange{{From: 200, To: 399}}
	}
	for _, r := range ranges {
		for code := max(r.From, 0); code <= min(r.To, 999); code++ {
			set[code/64] |= 1 << (code % 64)
		}
	}
	return set
}

// has takes any status of three digits.
func (s statuses) has(code int) bool { return s[code/64]&(1<<(code%64)) != 0 }

// checker asks servers how they are, each time over a new connection: a kept
// one says nothing about whether the server still accepts.
type checker struct{ transport *http.Transport }

func newChecker(d *dialer) *checker {
	t := newTransport(d)
	t.DisableKeepAlives = true
	return &checker{transport: t}
}

// ask returns nil if the server answered as c wants, in time. Redirects are not
// followed: they are an answer.
func (k *checker) ask(ctx context.Context, c check) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, fmt.Errorf("no answer within %s", c.timeout))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.address.String()+c.path, http.NoBody)
	if err != nil {
		return err
	}
	req.Host = c.host
	req.Header.Set("User-Agent", "keystone-gateway (health check)")
	resp, err := k.transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // only read from
	if !c.status.has(resp.StatusCode) {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	// The head decided. A server that is cut off while it sends a small body
	// would only log errors, so it may finish.
	_, _ = io.CopyN(io.Discard, resp.Body, maxDrain)
	return nil
}
