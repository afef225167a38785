package proxy

import (
	"errors"
	"net/http"
	"sync"
	"time"
)

// lease counts who uses a tenant: the server that publishes it, and each
// exchange. Who gives up the last reference closes the tenant. The exchanges
// are listed, oldest first, so that a drain can end them.
type lease struct {
	// mu guards all below, and the list's fields in each exchange. An
	// exchange is cut while it is held: that only sets deadlines and flags.
	mu       sync.Mutex
	refs     int // exchanges, and one of the server's; 0: closed for good
	retired  bool
	oldest   *Exchange
	youngest *Exchange
	listed   int
	cuts     int
}

func newLease() lease { return lease{refs: 1} }

// acquire leases for x, unless the tenant is closed.
func (l *lease) acquire(x *Exchange) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refs == 0 {
		return false
	}
	l.refs++
	x.listed, x.previous = true, l.youngest
	if l.youngest != nil {
		l.youngest.next = x
	} else {
		l.oldest = x
	}
	l.youngest = x
	l.listed++
	return true
}

// release ends x's lease and reports whether it was the last reference.
func (l *lease) release(x *Exchange) (last bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unlist(x)
	l.refs--
	return l.refs == 0
}

func (l *lease) unlist(x *Exchange) {
	if !x.listed {
		return
	}
	if x.previous != nil {
		x.previous.next = x.next
	} else {
		l.oldest = x.next
	}
	if x.next != nil {
		x.next.previous = x.previous
	} else {
		l.youngest = x.previous
	}
	x.next, x.previous, x.listed = nil, nil, false
	l.listed--
}

// retire gives up the server's reference, once, and reports whether it was the
// last.
func (l *lease) retire() (last bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.retired {
		return false
	}
	l.retired = true
	l.refs--
	return l.refs == 0
}

// running counts the exchanges that have not been cut.
func (l *lease) running() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.listed
}

// cut ends the n oldest exchanges that still run, and returns how many it
// found. They give up their leases on their own goroutines.
func (l *lease) cut(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	done := 0
	for ; done < n && l.oldest != nil; done++ {
		x := l.oldest
		l.unlist(x)
		x.cut()
	}
	l.cuts += done
	return done
}

// cutSoFar counts the exchanges that were cut.
func (l *lease) cutSoFar() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cuts
}

// cut ends the exchange from outside. The tenant's lease is locked, so the
// exchange is not over and its connection still its own. What waits for an
// upstream or a script sees its context end; what waits for the client sees
// its deadline pass; a tunnel is closed at TCP.
func (x *Exchange) cut() {
	// Asked first: one that has not begun its response is woken by cancel to
	// answer 503, and must be able to.
	started := x.writer.started.Load()
	x.cancel(errCut)
	if x.tunnel != nil {
		x.tunnel.close()
		return
	}
	if d := x.writer.deadline; d != nil && started {
		_ = d.SetReadDeadline(time.Unix(1, 0))
		_ = d.SetWriteDeadline(time.Unix(1, 0))
	}
}

// dig makes the exchange a tunnel, closed at once if the exchange was cut.
func (t *Tenant) dig(x *Exchange, tunnel *tunnel) {
	t.lease.mu.Lock()
	defer t.lease.mu.Unlock()
	x.tunnel = tunnel
	if !x.listed {
		tunnel.close()
	}
}

// release ends x's lease.
func (t *Tenant) release(x *Exchange) {
	if t.lease.release(x) {
		t.close()
	}
}

var (
	errNoGeneration = errors.New("no generation serves yet")
	errNoTenant     = errors.New("no tenant for this host and path")
	errNoVersion    = errors.New("the tenant has no version that can serve")
)

// lease finds the tenant of a request and leases it. A tenant that closed
// between the two was replaced before: the next generation is there already.
func (s *Server) lease(x *Exchange) (status int, err error) {
	for {
		live := s.live.Load()
		if live.generation == nil {
			return http.StatusServiceUnavailable, errNoGeneration
		}
		slot := live.generation.index.match(x.host, x.path)
		switch {
		case slot == nil && live.generation.number == 0:
			return http.StatusServiceUnavailable, errNoGeneration
		case slot == nil:
			return http.StatusNotFound, errNoTenant
		}
		x.slot, x.revision = slot, live.revision
		if slot.State == Stale {
			x.revision = slot.Kept
		}
		if slot.Tenant == nil {
			return http.StatusServiceUnavailable, errNoVersion
		}
		if slot.Tenant.lease.acquire(x) {
			x.tenant = slot.Tenant
			return 0, nil
		}
	}
}
