// Package upstream keeps the servers that requests are forwarded to.
//
// There are two halves. What is shared by all tenants lives in the [Registry]
// and outlives generations: endpoints with their connections, and active
// probes. What is one tenant's own lives in a [Pool]: which servers, how they
// are balanced, what is tried after a failure. A pool is compiled inert; it
// takes references on shared things only in [Pool.Start] and gives them back in
// [Pool.Close], so a rejected configuration leaves nothing behind.
//
// A request passes through like this:
//
//	Pool.RoundTrip
//	  pick       a healthy server not tried yet, by smooth weighted round robin
//	  aim        the server's scheme, host and base path into the URL
//	  transport  the endpoint's; each dial is judged by the Policy after DNS
//	  classify   a failure becomes an *Error of one Kind
//	  again      only if nothing was sent and another server is left
//
// The package never reads a status code as a failure, never changes a header,
// and never repeats a request of which a byte may have been sent. The exception
// is net/http's own: a request without a body and with an idempotent method (or
// an Idempotency-Key) is sent again, on a new connection to the same server,
// when a kept connection dies under it. It counts as one attempt.
package upstream

import (
	"errors"
	"net/http"
	"strings"
	"time"
)

// Trip carries what a caller may override and what it is told. It belongs to
// one RoundTrip at a time.
type Trip struct {
	Retries int           // tries after the first; -1: the upstream's
	Timeout time.Duration // until the response's head, over all tries; 0: 30 s for each, after the request was sent

	// Interim, if set, is told of each interim response but 100, which is
	// answered hop by hop. An error means that the client cannot take it, and
	// ends the trip. It runs on another goroutine, one call at a time, and never
	// after RoundTrip has failed. Set it instead of the hook of httptrace, which
	// would undo the limit of five interim responses.
	Interim func(status int, header http.Header) error

	Server   string // out: the name of the server that answered or failed last
	Attempts int    // out: tries made
}

// Kind classifies a failed trip.
type Kind string

// The kinds; their values are the metric's result label.
const (
	KindNoServer Kind = "no_server" // 503
	KindConnect  Kind = "connect"   // 502: refused, reset while connecting, not found, denied by policy
	KindProtocol Kind = "protocol"  // 502: broken or reset answer
	KindTimeout  Kind = "timeout"   // 504: connecting or answering took too long
	KindClient   Kind = "client"    // the client's body failed or it went away
)

// ErrDenied is in the chain of an *Error when Policy forbids every address of
// a server.
var ErrDenied = errors.New("address denied by policy")

// Error is a failed trip.
type Error struct {
	Kind   Kind
	Server string // the name of the server tried last, "" if none was
	// Err is the cause. When the client's body failed it is the error of
	// reading that body.
	Err error
}

// Error is for logs; it may name addresses and is not for clients.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(string(e.Kind))
	if e.Server != "" {
		b.WriteString(" ")
		b.WriteString(e.Server)
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ServerHealth is what is known of one server.
type ServerHealth struct {
	Name    string    `json:"name"`
	URL     string    `json:"url"` // without credentials
	Healthy bool      `json:"healthy"`
	Checked bool      `json:"checked"` // an active check exists
	Since   time.Time `json:"since"`   // of the last transition, else of the start; zero before Start
	Err     string    `json:"last_error,omitempty"`
}
