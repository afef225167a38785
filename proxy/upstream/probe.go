package upstream

import (
	"sync"
	"sync/atomic"
	"time"
)

// probe is what repeated checks say about a server. It lives as long as some
// started pool holds it, so what is known survives a reload.
type probe struct {
	check check

	// up is read on every request; it is written under mu.
	up atomic.Bool

	// These are the scheduler's, guarded by its mu.
	refs    int       // started pools that hold it, once for each server
	due     time.Time // when it is its turn
	queueAt int       // place in the queue, -1 outside

	mu     sync.Mutex // guards what follows; nothing is called while it is held
	since  time.Time  // of the last transition
	err    error      // of the last answer, nil if that was good
	asked  bool       // there was an answer
	passed bool       // there was a good answer
	inARow int        // answers that contradict up
}

func newProbe(c check, now time.Time) *probe {
	p := &probe{check: c, since: now, queueAt: -1}
	p.up.Store(!c.startDown)
	return p
}

// observe takes an answer, nil for a good one, and reports whether the server
// changed its state. The first answer decides at once where it contradicts a
// state that was only assumed; from then on it takes as many in a row as the
// check says.
func (p *probe) observe(err error, now time.Time) (changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	up, first := p.up.Load(), !p.asked
	assumedDown := p.check.startDown && !p.passed
	p.err, p.asked, p.passed = err, true, p.passed || err == nil
	if up == (err == nil) {
		p.inARow = 0
		return false
	}
	p.inARow++
	switch {
	case up && !first && p.inARow < p.check.unhealthy:
		return false
	case !up && !assumedDown && p.inARow < p.check.healthy:
		return false
	}
	p.inARow = 0
	p.since = now
	p.up.Store(!up)
	return true
}

// report returns the state for people to read.
func (p *probe) report() (up bool, since time.Time, problem string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		problem = p.err.Error()
	}
	return p.up.Load(), p.since, problem
}
