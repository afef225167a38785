package lua

import (
	"context"
	"math"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// stateSize is what a live state is reckoned to hold, with a tenant's scripts.
const stateSize = 256 << 10

// States is the process-wide budget of live states. When it is used up, a new
// state takes the place of the one that has been idle longest, whosever it is.
// It also gives back states that nobody used for a minute. Safe for concurrent
// use.
type States struct {
	max     int
	waiting atomic.Int32 // calls that wait for a state to be given back
	armed   atomic.Bool  // a sweep is due

	// mu guards what follows. A pool's own lock may be taken while it is held,
	// never the other way round.
	mu    sync.Mutex
	live  int
	pools map[*Pool]struct{}
	freed chan struct{} // closed and replaced when there may be room again
}

// NewStates makes a budget of limit states, 0 for a default from the memory limit.
func NewStates(limit int) *States {
	if limit <= 0 {
		limit = defaultStates(debug.SetMemoryLimit(-1))
	}
	return &States{max: limit, pools: map[*Pool]struct{}{}, freed: make(chan struct{})}
}

// defaultStates lets states have a quarter of the memory limit.
func defaultStates(memory int64) int {
	if memory == math.MaxInt64 {
		return 4096
	}
	return int(min(max(memory/4/stateSize, 64), 65536))
}

// Live counts the states alive now.
func (s *States) Live() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live
}

// join and leave tell which pools have states to take. A pool that leaves
// closed its idle ones.
func (s *States) join(p *Pool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pools[p] = struct{}{}
}

func (s *States) leave(p *Pool, closed int) {
	s.mu.Lock()
	delete(s.pools, p)
	s.mu.Unlock()
	s.give(closed)
}

// take counts one more state, and waits for room at most until ctx ends or
// for timeout.
func (s *States) take(ctx context.Context, timeout time.Duration) *Error {
	if s.tryTake() == nil {
		return nil
	}
	s.waiting.Add(1)
	defer s.waiting.Add(-1)
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		freed := s.tryTake()
		if freed == nil {
			return nil
		}
		select {
		case <-freed:
		case <-timer.C:
			return busy(nil)
		case <-ctx.Done():
			return busy(ctx.Err())
		}
	}
}

// tryTake returns nil when there was room, else what to wait for.
func (s *States) tryTake() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live < s.max {
		s.live++
		return nil
	}
	var victim *Pool
	var longest time.Time
	for p := range s.pools {
		if at, ok := p.oldest(); ok && (victim == nil || at.Before(longest)) {
			victim, longest = p, at
		}
	}
	if victim != nil && victim.shed(1, time.Now().Add(time.Second)) == 1 {
		return nil // its place is taken
	}
	return s.freed
}

// give takes n states off the count.
func (s *States) give(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live -= n
	s.wake()
}

// wake lets those who wait look again. mu is held.
func (s *States) wake() {
	if s.waiting.Load() > 0 {
		close(s.freed)
		s.freed = make(chan struct{})
	}
}

// parked is told of each state that fell idle: one who waits may take it, and
// if nobody does it is swept.
func (s *States) parked() {
	if s.waiting.Load() > 0 {
		s.mu.Lock()
		s.wake()
		s.mu.Unlock()
	}
	s.arm()
}

// arm sets the sweep's timer unless it is set.
func (s *States) arm() {
	if !s.armed.Load() && s.armed.CompareAndSwap(false, true) {
		time.AfterFunc(idleTime, s.sweep)
	}
}

// sweep closes what was idle for long. It runs on a timer's goroutine, which
// is set only while states are idle.
func (s *States) sweep() {
	s.armed.Store(false)
	before := time.Now().Add(-idleTime)
	s.mu.Lock()
	left := false
	for p := range s.pools {
		s.live -= p.shed(math.MaxInt, before)
		if _, ok := p.oldest(); ok {
			left = true
		}
	}
	s.wake()
	s.mu.Unlock()
	if left {
		s.arm()
	}
}
