package admin

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// methods is one path's handlers. GET answers HEAD as well.
type methods map[string]http.HandlerFunc

// ServeHTTP answers 405 with Allow to a method that the path does not have.
func (m methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if page := m[method]; page != nil {
		page(w, r)
		return
	}
	allow := slices.Sorted(maps.Keys(m))
	if m[http.MethodGet] != nil {
		allow = append(allow, http.MethodHead)
	}
	fail(w, problem{
		Status: http.StatusMethodNotAllowed,
		Detail: "this page does not take " + r.Method,
		header: http.Header{"Allow": {strings.Join(allow, ", ")}},
	})
}

// problem is an error for a client (RFC 9457). Title is the status's name
// unless set.
type problem struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail,omitempty"`
	Hint   string `json:"hint,omitempty"`

	header http.Header
}

// fail answers with a problem.
func fail(w http.ResponseWriter, p problem) {
	if p.Title == "" {
		p.Title = http.StatusText(p.Status)
	}
	maps.Copy(w.Header(), p.header)
	write(w, p.Status, "application/problem+json", p)
}

// reply answers with v as JSON.
func reply(w http.ResponseWriter, status int, v any) { write(w, status, "application/json", v) }

// write encodes v before the first byte leaves, so that what goes out is whole
// or a 500. Strings stand as they are: nobody renders JSON as HTML.
func write(w http.ResponseWriter, status int, contentType string, v any) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	// A client that has gone is told nothing more.
	_, _ = w.Write(body.Bytes())
}
