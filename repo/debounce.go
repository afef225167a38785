package repo

import (
	"context"
	"time"
)

// longestDebounce bounds how long steady change can hold back a nudge.
const longestDebounce = 2 * time.Second

// debounce calls fire once events have been quiet for that long, or have gone
// on for longestDebounce, until ctx is done. It returns ctx.Err().
func debounce(ctx context.Context, quiet time.Duration, events <-chan struct{}, fire func()) error {
	timer := time.NewTimer(quiet)
	timer.Stop()
	defer timer.Stop()
	var last time.Time // by when to fire; zero while nothing is pending
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-events:
			now := time.Now()
			if last.IsZero() {
				last = now.Add(longestDebounce)
			}
			timer.Reset(min(quiet, last.Sub(now)))
		case <-timer.C:
			last = time.Time{}
			fire()
		}
	}
}
