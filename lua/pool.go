package lua

import (
	"context"
	"errors"
	"sync"
	"time"
)

// idleTime is after how long an idle state is given back.
const idleTime = time.Minute

// Pool holds a tenant's states. The one given back last is used first, so that
// the others can fall idle. Safe for concurrent use.
type Pool struct {
	program *Program
	states  *States
	slots   chan struct{} // holds a token for each state in use

	// mu guards what follows; nothing is called while it is held.
	mu     sync.Mutex
	idle   []*state // given back last is last
	closed bool
}

func newPool(p *Program) *Pool {
	pool := &Pool{program: p, states: p.states, slots: make(chan struct{}, p.limits.MaxStates)}
	p.states.join(pool)
	return pool
}

// Call runs chain in one state until a function answers. A chain without
// functions needs no state. The error is an *Error.
func (p *Pool) Call(ctx context.Context, chain Chain, req *Request) (Decision, error) {
	if len(chain) == 0 {
		return Decision{Action: Next, Retries: -1}, nil
	}
	s, err := p.acquire(ctx)
	if err != nil {
		return Decision{}, err
	}
	d, failed := s.call(ctx, chain, req)
	p.release(s, failed == nil)
	if failed != nil {
		return Decision{}, failed
	}
	return d, nil
}

// acquire takes the state used last, or makes one, or waits.
func (p *Pool) acquire(ctx context.Context) (*state, error) {
	select {
	case p.slots <- struct{}{}:
	default:
		if err := p.wait(ctx); err != nil {
			return nil, err
		}
	}
	p.mu.Lock()
	var s *state
	closed := p.closed
	if n := len(p.idle); n > 0 {
		s = p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
	}
	p.mu.Unlock()
	if s != nil {
		return s, nil
	}
	err := &Error{Kind: KindBusy, Msg: "the scripts are closed"}
	if !closed {
		s, err = p.make(ctx, nil)
	}
	if err != nil {
		<-p.slots
		return nil, err
	}
	return s, nil
}

// wait waits for a slot, at most until ctx ends or for as long as a call may
// take.
func (p *Pool) wait(ctx context.Context) error {
	timer := time.NewTimer(p.program.limits.Timeout)
	defer timer.Stop()
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-timer.C:
		return busy(nil)
	case <-ctx.Done():
		return busy(ctx.Err())
	}
}

// busy is the error of a call that got no state.
func busy(cause error) *Error {
	kind := KindBusy
	if errors.Is(cause, context.Canceled) {
		kind = KindCanceled
	}
	return &Error{Kind: kind, Msg: "no state became free in time", Err: cause}
}

// make counts a state and makes it, unless one is adopted.
func (p *Pool) make(ctx context.Context, adopted *state) (*state, *Error) {
	if err := p.states.take(ctx, p.program.limits.Timeout); err != nil {
		return nil, err
	}
	if adopted != nil {
		return adopted, nil
	}
	s, err := p.program.newAlike(ctx)
	if err != nil {
		p.states.give(1)
		return nil, err
	}
	return s, nil
}

// release gives a state back. One that is not to be kept, or is worn, is
// closed here, by the call that used it.
func (p *Pool) release(s *state, keep bool) {
	if !keep || s.worn() {
		s.close()
		p.states.give(1)
	} else {
		p.park(s)
	}
	<-p.slots
}

// park puts a state among the idle ones; in a closed pool it ends.
func (p *Pool) park(s *state) {
	s.idle = time.Now()
	p.mu.Lock()
	closed := p.closed
	if !closed {
		p.idle = append(p.idle, s)
	}
	p.mu.Unlock()
	if closed {
		s.close()
		p.states.give(1)
		return
	}
	p.states.parked()
}

// Close ends idle states now; one in use is ended by the call that gives it
// back. It may be called twice.
func (p *Pool) Close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	for _, s := range idle {
		s.close()
	}
	p.states.leave(p, len(idle))
}

// oldest is when the longest idle state was given back; ok is false without
// one.
func (p *Pool) oldest() (at time.Time, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return at, false
	}
	return p.idle[0].idle, true
}

// shed closes up to n idle states that were given back before a time, the
// longest idle first, and returns how many.
func (p *Pool) shed(n int, before time.Time) int {
	p.mu.Lock()
	var out []*state
	for len(out) < n && len(p.idle) > len(out) && p.idle[len(out)].idle.Before(before) {
		out = append(out, p.idle[len(out)])
	}
	p.idle = append([]*state(nil), p.idle[len(out):]...)
	p.mu.Unlock()
	for _, s := range out {
		s.close()
	}
	return len(out)
}
