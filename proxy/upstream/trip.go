package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"time"
)

// maxInterim is how many interim responses a server may send before the final
// one.
const maxInterim = 5

var (
	errNoServer    = errors.New("no healthy server")
	errHeadTimeout = errors.New("no response within the trip's timeout")
	errInterim     = fmt.Errorf("more than %d interim responses", maxInterim)
	errUnasked     = errors.New("switched to a protocol that was not asked for")
)

// RoundTrip picks a server, sends req (whose URL.Scheme and URL.Host it sets,
// and to whose path it prepends the server's) and returns the response's head.
// A 101 response's Body is an io.ReadWriteCloser. Before anything was sent, a
// failed connect is tried on another server. The error is an *Error.
//
// The bytes of URL.RawPath, else the escaped URL.Path, go on the wire as they
// are; URL.Opaque is not looked at. Headers, req.Host among them, are sent as
// they are too, with one trap: net/http adds a User-Agent of its own unless the
// header holds one, if only an empty string.
//
// Unlike with an http.RoundTripper, req.Body stays the caller's: it is never
// closed here, and no read of it starts after RoundTrip has failed. A nil trip
// stands for Trip{Retries: -1}.
func (p *Pool) RoundTrip(req *http.Request, trip *Trip) (*http.Response, error) {
	if trip == nil {
		trip = &Trip{Retries: -1}
	}
	trip.Server, trip.Attempts = "", 0
	retries := trip.Retries
	if retries < 0 {
		retries = p.retries
	}
	s := p.serving.Load()
	if s == nil {
		return nil, &Error{Kind: KindNoServer, Err: errNoServer}
	}
	j := newJourney(req, trip)
	resp, err := j.run(&s.balancer, retries)
	if err != nil {
		j.abandon()
		return nil, err
	}
	return resp, nil
}

// journey is one RoundTrip under way.
type journey struct {
	trip   *Trip
	out    *http.Request // what transports get
	target target
	body   body // of out, if that has one
	trace  httptrace.ClientTrace

	cancel context.CancelCauseFunc // nil without a timeout
	timer  *time.Timer             // nil without a timeout

	mu      sync.Mutex // guards what follows; held while Interim runs
	interim int        // responses so far; a try that had one is not repeated
	refused error      // what Interim returned
	stale   bool       // the connection got last was closed before it was used
	over    bool       // Interim may not be called any more
}

func newJourney(req *http.Request, trip *Trip) *journey {
	j := &journey{trip: trip, target: targetOf(req.URL)}
	ctx := req.Context()
	if trip.Timeout > 0 {
		ctx, j.cancel = context.WithCancelCause(ctx)
		j.timer = time.AfterFunc(trip.Timeout, func() { j.cancel(errHeadTimeout) })
	}
	j.trace.GotConn = j.gotConn
	j.trace.Got1xxResponse = j.got1xx
	j.out = req.WithContext(httptrace.WithClientTrace(ctx, &j.trace))
	j.out.GetBody = nil // whether a request is repeated is decided here
	if req.Body != nil && req.Body != http.NoBody {
		j.body.from = req.Body
		j.out.Body = &j.body
	}
	return j
}

// run tries servers until one answers, none is left, or no other may be tried.
func (j *journey) run(b *balancer, retries int) (*http.Response, error) {
	var room [4]*member // most trips need no more
	tried := room[:0]
	var failed *Error
	for {
		m := b.pick(tried)
		switch {
		case m == nil && failed == nil:
			return nil, &Error{Kind: KindNoServer, Err: errNoServer}
		case m == nil:
			return nil, failed
		}
		j.trip.Server = m.name
		j.trip.Attempts++
		resp, err := j.send(m)
		if err == nil {
			return resp, nil
		}
		failed = j.classify(m, err)
		if len(tried) == retries || !j.nothingSent(err) {
			return nil, failed
		}
		tried = append(tried, m)
	}
}

// send makes one try and checks what came of it. Kept connections that turn out
// to be closed before anything was sent are no try: each is gone by then, and
// the next one, or a new one, is taken.
func (j *journey) send(m *member) (*http.Response, error) {
	j.target.aim(j.out.URL, m)
	resp, err := m.endpoint.transport.RoundTrip(j.out)
	for err != nil && j.tookStale() && j.untouched() {
		resp, err = m.endpoint.transport.RoundTrip(j.out)
	}
	if err != nil {
		return nil, err
	}
	if err := j.inspect(resp); err != nil {
		_ = resp.Body.Close() // refused anyway
		return nil, err
	}
	return resp, nil
}

// gotConn looks at a kept connection before the transport uses it. If it is
// closed, the transport must not even begin to read the body.
func (j *journey) gotConn(info httptrace.GotConnInfo) {
	stale := false
	if c := connOf(info.Conn); info.Reused && c != nil {
		stale = !c.clean()
	}
	if stale {
		_ = j.body.Close() // never fails
	} else {
		j.body.reopen()
	}
	j.mu.Lock()
	j.stale = stale
	j.mu.Unlock()
}

func (j *journey) tookStale() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.stale
}

// inspect refuses heads that net/http lets through, and stops the clock.
func (j *journey) inspect(resp *http.Response) error {
	switching := resp.StatusCode == http.StatusSwitchingProtocols
	switch {
	case resp.StatusCode < 100:
		return fmt.Errorf("status %03d", resp.StatusCode)
	case switching && !j.askedFor(resp):
		return errUnasked
	case j.timer == nil:
		return nil
	case !j.timer.Stop():
		return errHeadTimeout
	case switching:
		j.cancel(nil) // the transport is done with the context
	default:
		resp.Body = &bounded{resp.Body, j.cancel}
	}
	return nil
}

// askedFor reports whether resp switches to the one protocol that the request
// offered (RFC 9110, section 7.8).
func (j *journey) askedFor(resp *http.Response) bool {
	offered := j.out.Header.Get("Upgrade")
	_, tunnel := resp.Body.(io.ReadWriteCloser)
	return tunnel && offered != "" && strings.EqualFold(offered, resp.Header.Get("Upgrade"))
}

// abandon makes sure that nothing of the caller's is touched after a failure.
func (j *journey) abandon() {
	j.mu.Lock()
	j.over = true
	j.mu.Unlock()
	_ = j.body.Close() // never fails
	if j.timer != nil {
		j.timer.Stop()
		j.cancel(nil)
	}
}

// got1xx counts and passes on an interim response, on a goroutine of the
// transport.
func (j *journey) got1xx(status int, header textproto.MIMEHeader) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.interim++
	switch {
	case j.interim > maxInterim:
		return errInterim
	case j.over, status == http.StatusContinue, j.trip.Interim == nil:
		return nil
	}
	j.refused = j.trip.Interim(status, http.Header(header))
	return j.refused
}
