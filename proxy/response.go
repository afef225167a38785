package proxy

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ResponseWriter is the one writer of an exchange. Middleware does not wrap
// it (a wrapper hides ReadFrom, and with it the kernel's copy): what wants a
// say in the response's head registers a hook.
type ResponseWriter struct {
	base     http.ResponseWriter
	deadline deadlines
	idle     time.Duration // a write may block for so long; 0: for ever
	buffers  *sync.Pool    // of *[copyBuffer]byte
	hooks    []HeadHook

	// started is set once a final head was written; other goroutines may ask.
	started  atomic.Bool
	hijacked bool
	status   int
	bytes    int64 // of the body
}

// HeadHook may change a response's status and headers before its head is
// written. It is not called for interim (1xx) responses.
type HeadHook func(status *int, header http.Header)

// deadlines is what net/http's response writers offer beyond http.ResponseWriter.
type deadlines interface {
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// copyBuffer is how much of a body is moved at a time.
const copyBuffer = 32 << 10

// spliceSize is how much the kernel moves before the deadline is pushed on.
const spliceSize = 1 << 20

// OnHead registers a hook; the last registered is called first.
func (w *ResponseWriter) OnHead(hook HeadHook) { w.hooks = append(w.hooks, hook) }

// Status of the response's head; 0 before it was written.
func (w *ResponseWriter) Status() int { return w.status }

// Header implements http.ResponseWriter.
func (w *ResponseWriter) Header() http.Header { return w.base.Header() }

// WriteHeader implements http.ResponseWriter; interim responses pass through.
func (w *ResponseWriter) WriteHeader(status int) {
	if w.started.Load() || w.hijacked {
		return
	}
	if status < http.StatusOK && status != http.StatusSwitchingProtocols {
		w.push()
		w.base.WriteHeader(status)
		return
	}
	for _, hook := range slices.Backward(w.hooks) {
		hook(&status, w.base.Header())
	}
	w.status = status
	w.started.Store(true)
	w.push()
	w.base.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *ResponseWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.push()
	n, err := w.base.Write(p) //nolint:gosec // a proxy passes on what servers answer
	w.bytes += int64(n)
	return n, err
}

// ReadFrom copies src to the client. What the kernel can copy goes down to
// net/http in slices, so that the deadline moves with the bytes.
func (w *ResponseWriter) ReadFrom(src io.Reader) (int64, error) {
	w.WriteHeader(http.StatusOK)
	if base, ok := w.base.(io.ReaderFrom); ok && canSplice(src) {
		return w.splice(base, src)
	}
	return w.copyBody(src, false)
}

func (w *ResponseWriter) splice(base io.ReaderFrom, src io.Reader) (total int64, err error) {
	for {
		w.push()
		n, err := base.ReadFrom(io.LimitReader(src, spliceSize))
		total += n
		w.bytes += n
		if err != nil || n < spliceSize {
			return total, err
		}
	}
}

func canSplice(src io.Reader) bool {
	if limited, ok := src.(*io.LimitedReader); ok {
		src = limited.R
	}
	switch src.(type) {
	case *net.TCPConn, *net.UnixConn, *os.File:
		return true
	}
	return false
}

// sourceError is a body that could not be read to its end.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return "read body: " + e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

// copyBody copies src through a pooled buffer, and with flush sends on each
// piece as it comes. An error of src is a *sourceError.
func (w *ResponseWriter) copyBody(src io.Reader, flush bool) (total int64, err error) {
	buf, ok := w.buffers.Get().(*[copyBuffer]byte)
	if !ok {
		buf = new([copyBuffer]byte)
	}
	defer w.buffers.Put(buf)
	for {
		n, readErr := src.Read(buf[:])
		if n > 0 {
			written, err := w.Write(buf[:n])
			total += int64(written)
			if err != nil {
				return total, err
			}
			if flush {
				if err := w.FlushError(); err != nil {
					return total, err
				}
			}
		}
		switch {
		case errors.Is(readErr, io.EOF):
			return total, nil
		case readErr != nil:
			return total, &sourceError{readErr}
		}
	}
}

// Flush implements http.Flusher.
func (w *ResponseWriter) Flush() { _ = w.FlushError() }

// FlushError implements what http.ResponseController looks for.
func (w *ResponseWriter) FlushError() error {
	w.WriteHeader(http.StatusOK)
	w.push()
	if f, ok := w.base.(interface{ FlushError() error }); ok {
		return f.FlushError()
	}
	if f, ok := w.base.(http.Flusher); ok {
		f.Flush()
		return nil
	}
	return http.ErrNotSupported
}

// Unwrap lets http.ResponseController reach the connection.
func (w *ResponseWriter) Unwrap() http.ResponseWriter { return w.base }

// push gives the next write its time. A writer without deadlines has none.
func (w *ResponseWriter) push() {
	if w.idle > 0 && w.deadline != nil {
		_ = w.deadline.SetWriteDeadline(time.Now().Add(w.idle))
	}
}
