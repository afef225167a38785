package proxy

import (
	"errors"
	"net/http"
	"strconv"

	"keystone-gateway/proxy/upstream"
	"keystone-gateway/spec"
)

// What a route can end in, after the scripts before it let the request through.

var (
	errNoRoute  = errors.New("no route")
	errNoMethod = errors.New("no route for this method")
	errNoAnswer = errors.New("the script returned nothing")
)

func notFoundEnd(x *Exchange) { x.problem(http.StatusNotFound, errNoRoute) }

func notAllowedEnd(x *Exchange) {
	x.writer.Header().Set("Allow", x.allow)
	x.problem(http.StatusMethodNotAllowed, errNoMethod)
}

// noAnswerEnd is reached when a script's handler decided nothing.
func noAnswerEnd(x *Exchange) { x.scriptFailed(errNoAnswer) }

func redirectEnd(to spec.Redirect) func(*Exchange) {
	return func(x *Exchange) {
		h := x.writer.Header()
		h.Set("Location", to.To)
		h.Set("Content-Length", "0")
		x.write(to.Status, nil)
	}
}

func respondEnd(r spec.Respond) func(*Exchange) {
	body := []byte(r.Body)
	length := strconv.Itoa(len(body))
	return func(x *Exchange) {
		if r.Status != http.StatusNoContent && r.Status != http.StatusNotModified {
			h := x.writer.Header()
			h.Set("Content-Type", "text/plain; charset=utf-8")
			h.Set("Content-Length", length)
		}
		x.write(r.Status, body)
	}
}

func forwardEnd(pool *upstream.Pool, to rewrite) func(*Exchange) {
	if to == nil {
		return func(x *Exchange) { x.forward(pool) }
	}
	return func(x *Exchange) {
		p, err := to.path(x)
		if err == nil {
			err = x.setPath(p)
		}
		if err != nil {
			x.problem(http.StatusBadRequest, err)
			return
		}
		x.forward(pool)
	}
}
