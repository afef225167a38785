package upstream

import (
	"net/http"
	"time"

	"keystone-gateway/spec"
)

const (
	firstByte      = 30 * time.Second // from the request's last byte to the response's head
	idleConnection = 60 * time.Second
	continueWait   = time.Second // for 100 before the body is sent anyway
	maxIdle        = 256         // kept connections an endpoint
	maxHeaderBytes = 64 << 10    // of a response's head
)

// address is the identity of an endpoint.
type address struct {
	scheme string // http or https
	host   string // host:port
}

func addressOf(s *spec.Server) address { return address{scheme: s.Scheme, host: s.Host} }

func (a address) String() string { return a.scheme + "://" + a.host }

// endpoint is one address with its connections, shared by all pools that name
// it. A transport each, so that an endpoint that goes takes its idle
// connections along, and busy ones do not meet at one lock.
type endpoint struct {
	address   address
	transport *http.Transport
	refs      int // started pools that hold it; guarded by Registry.mu
}

func newEndpoint(a address, d *dialer) *endpoint {
	t := newTransport(d)
	t.MaxIdleConnsPerHost = maxIdle
	t.IdleConnTimeout = idleConnection
	t.ResponseHeaderTimeout = firstByte
	t.ExpectContinueTimeout = continueWait
	return &endpoint{address: a, transport: t}
}

// newTransport is what traffic and probes have in common: HTTP/1.1 only, no
// proxy from the environment, bodies as they are, the guarded dialler.
//
// net/http sends a User-Agent of its own unless the request has the header, if
// only an empty one; a caller that passes on what a client sent must set it.
func newTransport(d *dialer) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		DialContext:            d.plain,
		DialTLSContext:         d.secure,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeaderBytes,
		Protocols:              protocols,
	}
}
