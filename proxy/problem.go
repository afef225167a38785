package proxy

import (
	"fmt"
	"net/http"
	"strconv"
)

// problem answers with a status and nothing of the inside (RFC 9457). It does
// nothing once a response has begun. Headers set before stay.
func (x *Exchange) problem(status int, reason error) {
	x.err = reason
	w := &x.writer
	if w.started.Load() || w.hijacked {
		return
	}
	title := http.StatusText(status)
	if title == "" {
		title = "Error"
	}
	// The title is one of net/http's, the id holds no quotes: both are checked.
	body := fmt.Sprintf("{\"status\":%d,\"title\":%q,\"request_id\":%q}\n", status, title, x.id)
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	if x.body.unread() {
		// What is left of the body is not worth reading.
		h.Set("Connection", "close")
	}
	w.WriteHeader(status)
	if _, err := w.Write([]byte(body)); err != nil && x.err == nil {
		x.err = err
	}
}
