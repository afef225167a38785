package upstream

import (
	"context"
	"errors"
	"io"
	"sync"
)

// errGivenUp is what a transport reads that has already let go of a body.
var errGivenUp = errors.New("request body read after the trip ended")

// body is a request's body on its way to servers. It stays open when a
// transport closes it, so that another server can have it as long as nothing
// was read, and it tells the client's failures from the server's.
type body struct {
	from io.ReadCloser

	mu      sync.Mutex // guards what follows; not held while from is read
	touched bool       // a read was tried
	closed  bool       // the transport that had it is done with it
	err     error      // of reading from; never io.EOF
}

// Read is the transport's.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	closed := b.closed
	b.touched = b.touched || !closed
	b.mu.Unlock()
	if closed {
		return 0, errGivenUp
	}
	n, err := b.from.Read(p)
	if err != nil && err != io.EOF {
		b.mu.Lock()
		b.err = err
		b.mu.Unlock()
	}
	return n, err
}

// Close is the transport's. What from is closed by is the caller's business.
func (b *body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return nil
}

// reopen prepares for another try; false if something was read already.
func (b *body) reopen() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.touched {
		return false
	}
	b.closed = false
	return true
}

// failure returns the client's error, nil if it had none.
func (b *body) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// bounded is a response's body whose request had a deadline for the head. The
// context must outlive the body.
type bounded struct {
	io.ReadCloser
	release context.CancelCauseFunc
}

// Close ends the exchange.
func (b *bounded) Close() error {
	err := b.ReadCloser.Close()
	b.release(nil)
	return err
}
