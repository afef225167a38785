package upstream

import (
	"container/heap"
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// firstProbe bounds how long a new probe waits for its first turn. Together
// with the workers it keeps a reload of many tenants from becoming a storm.
const firstProbe = 500 * time.Millisecond

// scheduler runs the probes of all pools: one queue ordered by time, and a
// bounded number of workers, each a goroutine for the length of one probe.
type scheduler struct {
	workers int
	checker *checker
	log     *slog.Logger
	wake    chan struct{} // the queue has a new head

	mu     sync.Mutex // guards what follows; nothing is called while it is held
	probes map[check]*probe
	queue  queue // those not being probed right now
}

func newScheduler(workers int, k *checker, log *slog.Logger) *scheduler {
	return &scheduler{
		workers: workers,
		checker: k,
		log:     log,
		wake:    make(chan struct{}, 1),
		probes:  make(map[check]*probe),
	}
}

// hold returns the probe for c, with a reference for the caller.
func (s *scheduler) hold(c check) *probe {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.probes[c]
	if p == nil {
		now := time.Now()
		p = newProbe(c, now)
		s.probes[c] = p
		s.push(p, now.Add(rand.N(firstProbe))) //nolint:gosec // spreads load, guards nothing
	}
	p.refs++
	return p
}

// drop gives a reference back. A probe under way ends by itself and is not
// listened to.
func (s *scheduler) drop(p *probe) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.refs--
	if p.refs > 0 {
		return
	}
	delete(s.probes, p.check)
	if p.queueAt >= 0 {
		heap.Remove(&s.queue, p.queueAt)
	}
}

func (s *scheduler) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.probes)
}

// run probes until ctx is done, and waits for the workers.
func (s *scheduler) run(ctx context.Context) {
	var busy sync.WaitGroup
	defer busy.Wait()
	free := make(chan struct{}, s.workers)
	for {
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
			return
		}
		p := s.next(ctx)
		if p == nil {
			return
		}
		busy.Go(func() {
			defer func() { <-free }()
			s.probe(ctx, p)
		})
	}
}

// next waits for the probe whose turn it is and takes it off the queue; nil
// when ctx is done.
func (s *scheduler) next(ctx context.Context) *probe {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		p, wait := s.pop(time.Now())
		if p != nil {
			return p
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-s.wake:
		case <-ctx.Done():
		}
	}
	return nil
}

// pop takes the head of the queue if it is due, else says how long it is not.
func (s *scheduler) pop(now time.Time) (*probe, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return nil, time.Hour
	}
	if wait := s.queue[0].due.Sub(now); wait > 0 {
		return nil, wait
	}
	return heap.Pop(&s.queue).(*probe), 0
}

// push queues p; the caller holds mu.
func (s *scheduler) push(p *probe, due time.Time) {
	p.due = due
	heap.Push(&s.queue, p)
	if p.queueAt == 0 {
		select {
		case s.wake <- struct{}{}:
		default: // it will look anyway
		}
	}
}

// probe asks once, says what changed and queues p again. An answer that ctx
// cut short, or that nobody waits for any more, says nothing.
func (s *scheduler) probe(ctx context.Context, p *probe) {
	err := s.checker.ask(ctx, p.check)
	if ctx.Err() == nil && s.held(p) && p.observe(err, time.Now()) {
		s.tell(ctx, p.check, err)
	}
	s.requeue(p)
}

func (s *scheduler) held(p *probe) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return p.refs > 0
}

// requeue puts p back for its next turn, a tenth of the interval sooner or
// later so that probes spread.
func (s *scheduler) requeue(p *probe) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.refs > 0 {
		every := p.check.interval
		s.push(p, time.Now().Add(every-every/10+rand.N(every/5+1))) //nolint:gosec // spreads load, guards nothing
	}
}

// tell logs a transition.
func (s *scheduler) tell(ctx context.Context, c check, err error) {
	server, path := slog.String("server", c.address.String()), slog.String("check", c.path)
	if err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "server unhealthy", server, path, slog.String("err", err.Error()))
		return
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, "server healthy", server, path)
}

// queue is a heap of probes, the one due first at its head.
type queue []*probe

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].queueAt, q[j].queueAt = i, j
}

// Push is for container/heap.
func (q *queue) Push(x any) {
	p := x.(*probe)
	p.queueAt = len(*q)
	*q = append(*q, p)
}

// Pop is for container/heap.
func (q *queue) Pop() any {
	last := len(*q) - 1
	p := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	p.queueAt = -1
	return p
}
