package proxy

import (
	"sync"
	"time"
)

// limiter lets one event through a second and counts the others.
type limiter struct {
	mu      sync.Mutex
	next    time.Time
	skipped int
}

// allow reports whether to speak, and how often it was silent since.
func (l *limiter) allow(now time.Time) (ok bool, skipped int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Before(l.next) {
		l.skipped++
		return false, 0
	}
	skipped, l.skipped = l.skipped, 0
	l.next = now.Add(time.Second)
	return true, skipped
}
