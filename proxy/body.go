package proxy

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"keystone-gateway/lua"
)

// errBodyTooLarge ends a body that is longer than the tenant's max_body_size.
var errBodyTooLarge = errors.New("request body is too large")

// errExchangeOver is what is read from the body of an exchange that has ended.
var errExchangeOver = errors.New("read of a request body after its exchange ended")

// clientBody is a request's body on its way to a script or an upstream. It
// bounds its size and how long the client may pause, remembers what went
// wrong, and gives back what a script has read. A nil *clientBody is a request
// without one.
type clientBody struct {
	deadline deadlines
	idle     time.Duration

	// mu is held while the client is read from: a transport may still be
	// reading when the exchange ends, and must have left the connection then.
	mu    sync.Mutex
	src   io.ReadCloser
	left  int64  // may still be read of src; -1: any number
	ahead []byte // read by a script, not yet read by an upstream
	over  bool

	// state guards what is asked while a read may be blocked.
	state sync.Mutex
	err   error // what reading src ended with; io.EOF for all of it
}

func newClientBody(src io.ReadCloser, d deadlines, idle time.Duration) *clientBody {
	return &clientBody{src: src, left: -1, deadline: d, idle: idle}
}

// limit bounds the body's size. It must be called before the first read.
func (b *clientBody) limit(size int64) { b.left = size }

// Read implements io.Reader for the transport.
func (b *clientBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return 0, errExchangeOver
	}
	if len(b.ahead) > 0 {
		n := copy(p, b.ahead)
		b.ahead = b.ahead[n:]
		return n, nil
	}
	return b.read(p)
}

// Close implements io.Closer. Transports close a body whose dial failed; the
// next server must still get it, so the exchange ends it instead.
func (b *clientBody) Close() error { return nil }

// read reads from the client. mu must be held.
func (b *clientBody) read(p []byte) (int, error) {
	if err := b.ended(); err != nil {
		return 0, err
	}
	if b.left >= 0 && int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	if b.idle > 0 && b.deadline != nil {
		_ = b.deadline.SetReadDeadline(time.Now().Add(b.idle))
	}
	n, err := b.src.Read(p)
	if b.left >= 0 {
		if int64(n) > b.left {
			n, err = int(b.left), errBodyTooLarge
		}
		b.left -= int64(n)
	}
	if err != nil {
		b.finish(err)
	}
	return n, err
}

// finish notes how the body ended. From then on the server itself reads the
// connection, to notice when the client goes away: no deadline may be left.
func (b *clientBody) finish(err error) {
	b.state.Lock()
	b.err = err
	b.state.Unlock()
	if b.idle > 0 && b.deadline != nil {
		_ = b.deadline.SetReadDeadline(time.Time{})
	}
}

func (b *clientBody) ended() error {
	b.state.Lock()
	defer b.state.Unlock()
	return b.err
}

// unread says that there may be more of the body.
func (b *clientBody) unread() bool { return b != nil && !errors.Is(b.ended(), io.EOF) }

// fault returns the status that the client's own body earns, 0 while nothing
// is wrong with it.
func (b *clientBody) fault() (status int, err error) {
	if b == nil {
		return 0, nil
	}
	switch err = b.ended(); {
	case err == nil, errors.Is(err, io.EOF):
		return 0, nil
	case errors.Is(err, errBodyTooLarge):
		return http.StatusRequestEntityTooLarge, err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return http.StatusRequestTimeout, err
	default:
		return http.StatusBadRequest, err
	}
}

// readAhead returns the whole body for a script, or lua.ErrBodyTooLarge when
// it is longer than limit. An upstream still gets all of it.
func (b *clientBody) readAhead(limit int64) ([]byte, error) {
	if b == nil {
		return nil, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	buf := bytes.NewBuffer(b.ahead)
	for int64(buf.Len()) <= limit {
		err := b.ended()
		if err == nil {
			buf.Grow(bytes.MinRead)
			var n int
			n, err = b.read(buf.AvailableBuffer()[:min(buf.Available(), copyBuffer)])
			buf.Write(buf.AvailableBuffer()[:n])
		}
		b.ahead = buf.Bytes()
		if errors.Is(err, io.EOF) && int64(buf.Len()) <= limit {
			return bytes.Clone(b.ahead), nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
	}
	return nil, lua.ErrBodyTooLarge
}

// end closes the body for good: a transport that still reads it is sent away
// and waited for, and net/http, which reads what small rest there is before it
// keeps the connection, is given grace for it.
func (b *clientBody) end(grace time.Duration) {
	if b == nil {
		return
	}
	if !b.mu.TryLock() {
		// Somebody is reading: make the read fail, and wait.
		if b.deadline != nil {
			_ = b.deadline.SetReadDeadline(time.Unix(1, 0))
		}
		b.mu.Lock()
	}
	defer b.mu.Unlock()
	b.over = true
	switch {
	case b.deadline == nil:
	case errors.Is(b.ended(), io.EOF):
		_ = b.deadline.SetReadDeadline(time.Time{})
	default:
		_ = b.deadline.SetReadDeadline(time.Now().Add(grace))
	}
}
