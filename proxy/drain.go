package proxy

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// cutGrace is how long exchanges that were cut may take to notice.
const cutGrace = 5 * time.Second

// drain ends the exchanges of retired tenants: none before four fifths of the
// tenant's drain_timeout have passed, then one after the other, evenly, so
// that what they were connected to is not met by all of them at once, and the
// last at the timeout.
type drain struct {
	told func(tenant string, took time.Duration, cut int)
	wake chan struct{} // holds one token

	// mu guards all below.
	mu       sync.Mutex
	byTenant map[*Tenant]*retired
	queue    retiredQueue
	gone     []*retired // closed, not told yet
}

// retired is a tenant on its way out.
type retired struct {
	tenant   *Tenant
	since    time.Time
	deadline time.Time
	next     time.Time // when to look at it again
	cutting  bool      // next is when one exchange is cut
	place    int       // in the queue
	took     time.Duration
}

func newDrain(told func(string, time.Duration, int)) drain {
	return drain{told: told, wake: make(chan struct{}, 1), byTenant: make(map[*Tenant]*retired)}
}

// retire takes a tenant over from the server. It closes now if nobody uses it.
func (d *drain) retire(t *Tenant, now time.Time) {
	timeout := t.spec.DrainTimeout
	r := &retired{tenant: t, since: now, deadline: now.Add(timeout), next: now.Add(timeout - timeout/5)}
	d.mu.Lock()
	d.byTenant[t] = r
	heap.Push(&d.queue, r)
	d.mu.Unlock()
	d.nudge()
	if t.lease.retire() {
		t.close()
	}
}

// closed hears from every tenant that closes, retired or not.
func (d *drain) closed(t *Tenant) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.byTenant[t]
	if r == nil {
		return
	}
	delete(d.byTenant, t)
	heap.Remove(&d.queue, r.place)
	r.took = time.Since(r.since)
	d.gone = append(d.gone, r)
	d.nudge()
}

// count says how many are on their way.
func (d *drain) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.byTenant)
}

func (d *drain) nudge() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// step cuts what is due, tells of what has closed, and returns when to come
// back; zero for not before a nudge.
func (d *drain) step(now time.Time) (next time.Time) {
	d.mu.Lock()
	for len(d.queue) > 0 && !d.queue[0].next.After(now) {
		r := d.queue[0]
		r.step(now)
		heap.Fix(&d.queue, 0)
	}
	if len(d.queue) > 0 {
		next = d.queue[0].next
	}
	gone := d.gone
	d.gone = nil
	d.mu.Unlock()
	if d.told != nil {
		for _, r := range gone {
			d.told(r.tenant.Name(), r.took, r.tenant.lease.cutSoFar())
		}
	}
	return next
}

// step cuts one exchange if it is time to, and says when the next is due.
func (r *retired) step(now time.Time) {
	l := &r.tenant.lease
	switch left := r.deadline.Sub(now); {
	case left <= 0:
		// All that is left; what still comes was leased just before the swap.
		l.cut(l.running())
		r.next = now.Add(cutGrace)
	default:
		if r.cutting {
			l.cut(1)
		}
		r.cutting = true
		r.next = now.Add(left / time.Duration(max(l.running(), 1)))
	}
}

// cutAll ends all exchanges of all retired tenants, timeout or not.
func (d *drain) cutAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for t := range d.byTenant {
		t.lease.cut(t.lease.running())
	}
}

// Run drains retired tenants until ctx is done, then cuts what is left.
func (s *Server) Run(ctx context.Context) error {
	d := &s.drain
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-d.wake:
		case <-timer.C:
		}
		if next := d.step(time.Now()); next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(next))
		}
	}
	d.cutAll()
	timer.Reset(cutGrace)
	for d.count() > 0 {
		select {
		case <-d.wake:
		case <-timer.C:
			return nil // what does not notice that it was cut is not waited for
		}
	}
	d.step(time.Now())
	return nil
}

// retiredQueue is a heap by next.
type retiredQueue []*retired

func (q retiredQueue) Len() int           { return len(q) }
func (q retiredQueue) Less(i, j int) bool { return q[i].next.Before(q[j].next) }
func (q retiredQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

// Push implements heap.Interface.
func (q *retiredQueue) Push(r any) {
	entry, _ := r.(*retired)
	entry.place = len(*q)
	*q = append(*q, entry)
}

// Pop implements heap.Interface.
func (q *retiredQueue) Pop() any {
	last := len(*q) - 1
	r := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return r
}
