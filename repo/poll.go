package repo

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// maxBackoff and backoffFactor bound how rarely a failing source is tried:
	// seldom enough to leave a server in trouble alone, often enough that its
	// return is noticed.
	maxBackoff    = 15 * time.Minute
	backoffFactor = 10
	// jitter spreads the polls of many gateways, as a part of the delay both
	// ways.
	jitter = 0.1
)

// poller decides when a source is looked at next: one interval after the last
// look, whoever asked for that, and ever later while looks fail.
type poller struct {
	interval time.Duration
	looked   chan struct{} // holds one token after each look

	mu         sync.Mutex // guards what follows
	failures   int
	retryAfter time.Duration
}

func newPoller(interval time.Duration) *poller {
	return &poller{interval: interval, looked: make(chan struct{}, 1)}
}

// note takes in how a look at the source ended. A refused tree is no failure
// of the source, and a look that was called off says nothing.
func (p *poller) note(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	p.mu.Lock()
	if failure, ok := errors.AsType[*Error](err); ok {
		p.failures++
		p.retryAfter = failure.RetryAfter
	} else {
		p.failures, p.retryAfter = 0, 0
	}
	p.mu.Unlock()
	select {
	case p.looked <- struct{}{}:
	default:
	}
}

// delay returns how long to wait from the last look to the next.
func (p *poller) delay() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	longest := max(p.interval, min(maxBackoff, backoffFactor*p.interval))
	d := p.interval
	for i := 0; i < p.failures && d < longest; i++ {
		d *= 2
	}
	d = max(min(d, longest), p.retryAfter)
	spread := 1 + jitter*(2*rand.Float64()-1) //nolint:gosec // Not a secret.
	return time.Duration(float64(d) * spread)
}

// run calls poll whenever a look is due, until ctx is done.
func (p *poller) run(ctx context.Context, poll func()) error {
	timer := time.NewTimer(p.delay())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.looked:
		case <-timer.C:
			poll()
		}
		timer.Reset(p.delay())
	}
}
