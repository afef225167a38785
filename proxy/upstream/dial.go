package upstream

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"syscall"
	"time"
)

const (
	connectTimeout   = 2 * time.Second // DNS and TCP
	handshakeTimeout = 5 * time.Second // TLS
)

// dialer is the one way out, for traffic and probes alike.
type dialer struct {
	// dial connects; it judges the address it connects to.
	dial func(ctx context.Context, network, address string) (net.Conn, error)
	tls  *tls.Config // without a ServerName
}

func newDialer(g *guard) *dialer {
	d := &net.Dialer{
		Timeout: connectTimeout,
		// Control runs after DNS, for each address that is tried: a name
		// cannot point somewhere else between the check and the connection.
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return err
			}
			return g.judge(to)
		},
	}
	return &dialer{
		dial: d.DialContext,
		tls: &tls.Config{
			MinVersion:         tls.VersionTLS12,
			NextProtos:         []string{"http/1.1"},
			ClientSessionCache: tls.NewLRUClientSessionCache(256),
		},
	}
}

// plain connects without TLS. Its errors are *dialError.
func (d *dialer) plain(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.dial(ctx, network, address)
	if err != nil {
		return nil, &dialError{err}
	}
	return newConn(c), nil
}

// secure connects with TLS, the name in the certificate being that of address.
// Its errors are *dialError.
func (d *dialer) secure(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &dialError{err}
	}
	c, err := d.plain(ctx, network, address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	config := d.tls.Clone()
	config.ServerName = host
	secured := tls.Client(c, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = c.Close() // the handshake's error is the one that says something
		return nil, &dialError{err}
	}
	return secured, nil
}

// dialError marks a failure before there was a connection: nothing of a
// request was sent.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }
