package upstream

import (
	"context"
	"errors"
	"net"
)

// classify makes a failed try of m an *Error. The client's own failure comes
// first: it makes the transport fail in ways that look like the server's.
func (j *journey) classify(m *member, err error) *Error {
	e := &Error{Kind: KindProtocol, Server: m.name, Err: err}
	ctx := j.out.Context()
	j.mu.Lock()
	refused := j.refused
	j.mu.Unlock()
	switch failure := j.body.failure(); {
	case failure != nil:
		e.Kind, e.Err = KindClient, failure
	case refused != nil:
		e.Kind, e.Err = KindClient, refused
	case errors.Is(err, errHeadTimeout), errors.Is(context.Cause(ctx), errHeadTimeout), errors.Is(ctx.Err(), context.DeadlineExceeded):
		e.Kind = KindTimeout
	case ctx.Err() != nil:
		e.Kind, e.Err = KindClient, context.Cause(ctx)
	case isDial(err):
		e.Kind = connectKind(err)
	case isTimeout(err):
		e.Kind = KindTimeout
	}
	return e
}

// nothingSent reports whether err leaves the request as it was, so that any
// method may be tried elsewhere.
func (j *journey) nothingSent(err error) bool { return isDial(err) && j.untouched() }

// untouched reports whether the request may be sent: nothing of its body was
// read, and the client waits. It makes the body ready again.
func (j *journey) untouched() bool { return j.out.Context().Err() == nil && j.body.reopen() }

func isDial(err error) bool {
	_, ok := errors.AsType[*dialError](err)
	return ok
}

// connectKind tells a server that is slow to connect from one that does not. A
// name server's slowness is not the server's.
func connectKind(err error) Kind {
	if _, dns := errors.AsType[*net.DNSError](err); !dns && isTimeout(err) {
		return KindTimeout
	}
	return KindConnect
}

func isTimeout(err error) bool {
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout()
}
