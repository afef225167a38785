package proxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"

	"keystone-gateway/proxy/upstream"
)

// forward sends the exchange's request to an upstream and its answer back.
func (x *Exchange) forward(pool *upstream.Pool) {
	x.target = pool.Name()
	x.announce()
	x.trip.Interim = x.passInterim
	resp, err := pool.RoundTrip(x.request, &x.trip)
	if err != nil {
		x.tripFailed(err)
		return
	}
	x.tenant.counters.Upstream(x.target, "ok")
	defer func() { _ = resp.Body.Close() }() // what it could say, reading it has said
	if resp.StatusCode == http.StatusSwitchingProtocols {
		x.switchProtocols(resp)
		return
	}
	if resp.StatusCode < http.StatusOK || resp.StatusCode > 999 {
		x.problem(http.StatusBadGateway, fmt.Errorf("upstream answered with status %d", resp.StatusCode))
		return
	}
	x.respond(resp)
}

// announce sets on the forwarded request what the gateway itself says. It
// comes last, so that neither a client nor a script can say it instead.
func (x *Exchange) announce() {
	h := x.request.Header
	host, port := x.authority, x.port
	if x.trusted {
		host = first(h, "X-Forwarded-Host", host)
		port = first(h, "X-Forwarded-Port", port)
	}
	if port == "" {
		port = "80"
		if x.scheme == "https" {
			port = "443"
		}
	}
	peer := ""
	if x.peer.IsValid() {
		peer = x.peer.String()
	}
	if before := h["X-Forwarded-For"]; x.trusted && len(before) > 0 {
		peer = strings.Join(before, ", ") + ", " + peer
	}
	if peer == "" {
		delete(h, "X-Forwarded-For")
	} else {
		h["X-Forwarded-For"] = x.value(1, peer)
	}
	h["X-Forwarded-Proto"] = x.value(2, x.scheme)
	h["X-Forwarded-Host"] = x.value(3, host)
	h["X-Forwarded-Port"] = x.value(4, port)
	h["X-Request-Id"] = x.value(0, x.id)
	if prefix := h.Get("X-Forwarded-Prefix"); x.stripped != "" {
		h["X-Forwarded-Prefix"] = x.value(5, strings.TrimSuffix(prefix, "/")+x.stripped)
	}
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = nil // or net/http would send its own name
	}
	if x.websocket {
		h["Connection"] = x.value(6, "Upgrade")
		h["Upgrade"] = []string{"websocket"}
	}
}

// first value of a header, or def.
func first(h http.Header, name, def string) string {
	if values := h[name]; len(values) > 0 && values[0] != "" {
		return values[0]
	}
	return def
}

// tripFailed answers for an upstream that did not. What the client did wrong
// is told the client, and is no fault of the upstream.
func (x *Exchange) tripFailed(err error) {
	kind := upstream.KindProtocol
	if failed, ok := errors.AsType[*upstream.Error](err); ok {
		kind = failed.Kind
	}
	bodyStatus, bodyErr := x.body.fault()
	if bodyStatus != 0 || x.Err() != nil {
		kind = upstream.KindClient
	}
	x.tenant.counters.Upstream(x.target, string(kind))
	switch {
	case bodyStatus != 0 && !errors.Is(context.Cause(x), errCut):
		// Looked at first: net/http ends the context for it, too.
		x.problem(bodyStatus, bodyErr)
	case x.Err() != nil:
		x.gone()
	case kind == upstream.KindClient:
		x.problem(http.StatusBadRequest, err)
	case kind == upstream.KindNoServer:
		x.problem(http.StatusServiceUnavailable, err)
	case kind == upstream.KindTimeout:
		x.problem(http.StatusGatewayTimeout, err)
	default:
		x.problem(http.StatusBadGateway, err)
	}
}

// gone ends an exchange whose context did: the client went away and cannot be
// answered, or a drain cut it.
func (x *Exchange) gone() {
	if errors.Is(context.Cause(x), errCut) {
		x.writer.Header().Set("Connection", "close")
		x.problem(http.StatusServiceUnavailable, errCut)
		return
	}
	x.err = errClientGone
	x.abort = true
}

var errClientGone = errors.New("the client went away")

// respond copies an upstream's response to the client.
func (x *Exchange) respond(resp *http.Response) {
	removeHopByHop(resp.Header)
	h := x.writer.Header()
	maps.Copy(h, resp.Header)
	h["X-Request-Id"] = x.value(0, x.id)
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // or net/http would guess one
	}
	announced := len(resp.Trailer)
	for name := range resp.Trailer {
		h.Add("Trailer", name)
	}
	x.writer.WriteHeader(resp.StatusCode)
	if x.method == http.MethodHead {
		return
	}
	var err error
	if streams(resp) {
		// The head goes out now: the body may be long in coming.
		if err = x.writer.FlushError(); err == nil {
			_, err = x.writer.copyBody(resp.Body, true)
		}
	} else {
		_, err = x.writer.ReadFrom(resp.Body)
	}
	if err != nil {
		// The client must not take what it got for the whole.
		if x.Err() != nil {
			err = fmt.Errorf("%w: %w", context.Cause(x), err)
		}
		x.err, x.abort = err, true
		return
	}
	x.trailers(resp.Trailer, announced)
}

// streams says whether each piece of a body must be sent on as it comes: one
// of unknown length, or of events.
func streams(resp *http.Response) bool {
	media, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	return resp.ContentLength == -1 || strings.EqualFold(strings.TrimSpace(media), "text/event-stream")
}

// trailers passes on an upstream's trailers, announced or not.
func (x *Exchange) trailers(trailer http.Header, announced int) {
	h := x.writer.Header()
	for name, values := range trailer {
		switch {
		case isHopByHop(name), name == "Content-Length", name == "Host", name == "Set-Cookie", name == "X-Request-Id":
		case len(trailer) == announced:
			h[name] = values
		default:
			// Some came unannounced: the prefix has net/http send all of them.
			h[http.TrailerPrefix+name] = values
		}
	}
	if len(trailer) > 0 {
		x.writer.Flush() // makes the body chunked, which trailers need
	}
}

// passInterim passes an interim response on; it is called while the trip
// lasts, from a goroutine of the transport. HTTP/1.0 knows none.
func (x *Exchange) passInterim(status int, received http.Header) error {
	if !x.request.ProtoAtLeast(1, 1) {
		return nil
	}
	removeHopByHop(received)
	h := x.writer.Header()
	before := maps.Clone(h)
	maps.Copy(h, received)
	x.writer.WriteHeader(status)
	clear(h) // net/http leaves them to go out with the final head
	maps.Copy(h, before)
	return nil
}

func isGRPC(contentType string) bool { return strings.HasPrefix(contentType, "application/grpc") }
