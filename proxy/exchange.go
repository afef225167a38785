package proxy

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"keystone-gateway/proxy/upstream"
)

// Exchange is one request and its response, and the one context of both: what
// is known of the request travels in it, so nothing on the way wraps the
// context or clones the request. It is not reused after the response, because
// a transport may hold on to a request's context for longer.
type Exchange struct {
	context.Context // net/http's, cancellable
	cancel          context.CancelCauseFunc
	routing         chi.Context

	server  *Server
	writer  ResponseWriter
	request *http.Request // what scripts see and upstreams get
	body    *clientBody   // nil for none
	start   time.Time

	id        string
	method    string
	scheme    string // as the client used it: http or https
	host      string // canonical, without port
	port      string // as the client wrote it, "" for none
	authority string // host and port
	path      string // canonical
	peer      netip.Addr
	client    netip.Addr // the peer, or whom trusted proxies name
	trusted   bool       // the peer is a trusted proxy
	websocket bool       // the client asks for a WebSocket
	size      size       // of the head, as it came

	slot      *Slot   // nil: no tenant
	tenant    *Tenant // leased; nil: none
	revision  string
	routePath string // path as routes are matched: without a stripped prefix
	stripped  string // the stripped prefix
	route     *route // nil: none yet
	allow     string // methods known for the path, for a 405
	target    string // the upstream's name, "" for none
	trip      upstream.Trip

	err   error // why it failed, for the log
	abort bool  // the connection must not be used again
	// values back the headers that are set on the forwarded request.
	values [7]string

	// leased by the tenant; its mu guards them.
	next, previous *Exchange
	listed         bool
	tunnel         *tunnel
}

// The causes an exchange's context ends with.
var (
	errOver = errors.New("exchange is over")
	errCut  = errors.New("cut at the end of a drain")
)

// exchangeKey is what Exchange.Value answers with itself.
type exchangeKey struct{}

// exchangeOf returns the exchange that a request belongs to.
func exchangeOf(r *http.Request) *Exchange {
	x, _ := r.Context().Value(exchangeKey{}).(*Exchange)
	return x
}

// Value implements context.Context; chi finds its routing context here.
func (x *Exchange) Value(key any) any {
	switch key {
	case exchangeKey{}:
		return x
	case any(chi.RouteCtxKey):
		return &x.routing
	}
	return x.Context.Value(key)
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := s.begin(w, r)
	defer x.end()
	if status, err := x.receive(r); status != 0 {
		x.problem(status, err)
		return
	}
	if status, err := s.lease(x); status != 0 {
		x.problem(status, err)
		return
	}
	x.tenant.serve(x)
}

// begin makes the exchange of a request.
func (s *Server) begin(w http.ResponseWriter, r *http.Request) *Exchange {
	x := &Exchange{server: s, start: time.Now(), method: r.Method, scheme: "http"}
	if r.TLS != nil {
		x.scheme = "https"
	}
	x.Context, x.cancel = context.WithCancelCause(r.Context())
	d, _ := w.(deadlines)
	x.writer = ResponseWriter{base: w, deadline: d, idle: s.o.Timeouts.WriteIdle, buffers: &s.buffers}
	x.request = r.WithContext(x)
	x.takeBody()
	x.trip.Retries = -1
	x.peer = peerAddr(r.RemoteAddr)
	x.client = x.peer
	if x.trusted = s.trust.holds(x.peer); x.trusted {
		x.client = s.trust.client(x.peer, r.Header["X-Forwarded-For"])
		if id := r.Header.Get("X-Request-Id"); saneID(id) {
			x.id = id
		}
		if proto := strings.ToLower(r.Header.Get("X-Forwarded-Proto")); proto == "http" || proto == "https" {
			x.scheme = proto
		}
	}
	if x.id == "" {
		x.id = newID()
	}
	w.Header()["X-Request-Id"] = x.value(0, x.id)
	return x
}

// newID makes 128 random bits.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// value returns a one-element slice of the exchange's own memory.
func (x *Exchange) value(slot int, s string) []string {
	x.values[slot] = s
	return x.values[slot : slot+1 : slot+1]
}

// receive makes the request canonical, or says with which status and why it is
// refused. Whatever is looked at later is what receive left.
func (x *Exchange) receive(r *http.Request) (status int, err error) {
	switch {
	case r.Method == http.MethodConnect:
		x.writer.Header().Set("Connection", "close") // what follows may be meant for a tunnel
		return http.StatusNotImplemented, nil
	case r.Method == http.MethodTrace:
		x.writer.Header().Set("Allow", allMethods)
		return http.StatusMethodNotAllowed, nil
	}
	x.size = measure(r)
	if status := x.size.over(&x.server.o.Limits); status != 0 {
		return status, nil
	}
	t, err := splitTarget(r.RequestURI)
	if err != nil {
		return http.StatusBadRequest, err
	}
	if t.authority == "" {
		t.authority = r.Host
	}
	if x.host, x.port, err = canonicalHost(t.authority); err != nil {
		return http.StatusBadRequest, err
	}
	query, dropped, err := canonicalQuery(t.query)
	if err != nil {
		return http.StatusBadRequest, err
	}
	if x.path, err = CanonicalPath(t.path); err != nil {
		return http.StatusBadRequest, err
	}
	x.routePath = x.path
	if dropped {
		x.server.o.Log.DebugContext(x, "query parameters dropped", "request_id", x.id)
	}
	if x.path == reservedPath || strings.HasPrefix(x.path, reservedPath+"/") {
		return http.StatusNotFound, nil
	}
	x.websocket = sanitize(r.Header, x.trusted) && r.Method == http.MethodGet && r.ContentLength == 0 && r.ProtoMajor == 1 && r.ProtoMinor == 1

	out := x.request
	x.authority = x.host
	if x.port != "" {
		x.authority += ":" + x.port
	}
	out.Host = x.authority
	out.URL = &url.URL{RawQuery: query}
	out.RequestURI = "" // clients must not have one
	out.Close = false
	out.TransferEncoding = nil
	out.Trailer = nil // may name anything, Host and Authorization among it
	return 0, nil
}

// reservedPath is the gateway's own, on every host.
const reservedPath = "/.keystone"

// setPath makes p, which is canonical, the path that scripts see and upstreams
// get.
func (x *Exchange) setPath(p string) error {
	u, err := pathURL(p, x.request.URL.RawQuery)
	if err != nil {
		return fmt.Errorf("path: %w", err)
	}
	x.request.URL = u
	return nil
}

// takeBody puts a *clientBody in the place of the request's body, if there is one.
func (x *Exchange) takeBody() {
	r := x.request
	if r.Body == nil || r.Body == http.NoBody {
		r.Body = http.NoBody
		return
	}
	x.body = newClientBody(r.Body, x.writer.deadline, x.server.o.Timeouts.BodyIdle)
	r.Body = x.body
	if r.ProtoMajor == 1 {
		// Without it net/http would swallow the rest of the body before the
		// first byte of a response. Writers that cannot are not HTTP/1.
		_ = http.NewResponseController(x.writer.base).EnableFullDuplex()
	}
}

// drainGrace is how long an unread rest of a body may take to come in before
// its connection is closed instead of kept.
const drainGrace = time.Second

// end runs when the handler is left, by return or by panic.
func (x *Exchange) end() {
	if p := recover(); p != nil {
		x.recovered(p)
	}
	x.cancel(errOver)
	x.body.end(drainGrace)
	x.record()
	if x.tenant != nil {
		x.tenant.release(x)
	}
	if x.abort {
		panic(http.ErrAbortHandler)
	}
}

// recovered answers for a panic: 500 where nothing was sent yet.
func (x *Exchange) recovered(p any) {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		x.abort = true
		return
	}
	x.server.o.Log.ErrorContext(x, "panic", "request_id", x.id, "err", fmt.Sprint(p), "stack", string(debug.Stack()))
	if x.writer.started.Load() || x.writer.hijacked {
		x.abort = true
		return
	}
	x.problem(http.StatusInternalServerError, fmt.Errorf("panic: %v", p))
}
