package testenv

import (
	"context"
	"testing"
	"time"
)

// Patience is how long anything is waited for before a test fails: far longer
// than a loaded machine needs, as no test that passes waits for it.
const Patience = 60 * time.Second

// patient returns a context that ends after Patience, and before t's cleanup.
func patient(t testing.TB) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), Patience)
}

// Until asks done every few milliseconds until it says yes. It is for what
// nothing tells of: a count of goroutines, a socket that closes.
func Until(t testing.TB, what string, done func() bool) {
	t.Helper()
	UntilOr(t, done, func() { t.Fatalf("waited %v for %s", Patience, what) })
}

// UntilOr is Until with a word of its own for when the answer stays no.
func UntilOr(t testing.TB, done func() bool, complain func()) {
	t.Helper()
	ctx, cancel := patient(t)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			complain()
			return
		}
	}
}
