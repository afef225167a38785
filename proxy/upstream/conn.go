package upstream

import (
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// writeIdle is how long a server may take nothing of what it is sent.
const writeIdle = 30 * time.Second

// conn adds to a connection what net/http does not do: it ends one whose server
// stops taking what it is sent, and it can tell whether a kept one is clean.
// One goroutine reads and one writes at a time.
type conn struct {
	net.Conn

	armed  time.Time // when the write deadline was last moved
	manual bool      // somebody else has set one

	mu      sync.Mutex // guards what follows; nothing is called while it is held
	changed sync.Cond
	reading bool // a Read waits
	closed  bool
}

func newConn(c net.Conn) *conn {
	made := &conn{Conn: c}
	made.changed.L = &made.mu
	return made
}

// connOf returns the conn that a transport's connection is or is made of.
func connOf(c net.Conn) *conn {
	if secured, ok := c.(*tls.Conn); ok {
		c = secured.NetConn()
	}
	made, _ := c.(*conn)
	return made
}

// clean waits until the transport has looked at what it has read of a kept
// connection, and reports whether that was nothing. If it was, the transport is
// waiting for more. If not, the server has sent something that nobody asked for
// and the transport closes the connection; one who took it a moment before
// would be given those bytes as the answer to his request.
func (c *conn) clean() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.reading && !c.closed {
		c.changed.Wait()
	}
	return !c.closed
}

func (c *conn) Read(p []byte) (int, error) {
	c.set(&c.reading, true)
	n, err := c.Conn.Read(p)
	c.set(&c.reading, false)
	return n, err
}

func (c *conn) Close() error {
	c.set(&c.closed, true)
	return c.Conn.Close()
}

func (c *conn) set(flag *bool, to bool) {
	c.mu.Lock()
	*flag = to
	c.mu.Unlock()
	if to {
		c.changed.Broadcast()
	}
}

// Write moves the deadline at most once in a while: a timer for each write
// would cost more than the write.
func (c *conn) Write(p []byte) (int, error) {
	if now := time.Now(); !c.manual && now.Sub(c.armed) > writeIdle/8 {
		if err := c.Conn.SetWriteDeadline(now.Add(writeIdle)); err != nil {
			return 0, err
		}
		c.armed = now
	}
	return c.Conn.Write(p)
}

// SetWriteDeadline hands the deadline over to the caller for good.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.manual = true
	return c.Conn.SetWriteDeadline(t)
}

// CloseWrite ends one direction of a tunnel.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}
