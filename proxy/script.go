package proxy

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"keystone-gateway/lua"
	"keystone-gateway/proxy/upstream"
)

// runScripts calls the chain and does what it decided. It reports whether that
// settled the exchange; an error refuses it, and nothing lets it through.
func (x *Exchange) runScripts(chain lua.Chain) (settled bool) {
	t := x.tenant
	request := &lua.Request{
		HTTP: x.request, Scheme: x.scheme, Host: x.host, Path: x.routePath, ID: x.id,
		Tenant: t.Name(), Route: x.route.pattern, Rev: x.revision,
		Param: x.param, ReadBody: x.body.readAhead,
	}
	if x.client.IsValid() {
		request.IP = x.client.String()
	}
	decision, err := t.scripts.Call(x, chain, request)
	var pool *upstream.Pool
	if err == nil {
		pool, err = x.apply(&decision)
	}
	if err != nil {
		x.scriptFailed(err)
		return true
	}
	t.counters.LuaCall("ok")
	switch decision.Action {
	case lua.Respond:
		x.write(decision.Status, decision.Body)
	case lua.Proxy:
		x.forward(pool)
	default:
		return false
	}
	return true
}

// apply checks what scripts have set and decided, and makes it the request's
// or the response's. The pool is that of a decision to proxy.
func (x *Exchange) apply(d *lua.Decision) (*upstream.Pool, error) {
	if err := x.checkScripted(); err != nil {
		return nil, err
	}
	switch d.Action {
	case lua.Respond:
		return nil, x.prepareAnswer(d)
	case lua.Proxy:
		return x.prepareProxy(d)
	default:
		return nil, nil
	}
}

// param returns a route parameter, its escapes decoded once.
func (x *Exchange) param(name string) (string, bool) {
	keys := x.routing.URLParams.Keys
	for i, key := range slices.Backward(keys) {
		if key != name {
			continue
		}
		raw := x.routing.URLParams.Values[i]
		if decoded, err := url.PathUnescape(raw); err == nil {
			return decoded, true
		}
		return raw, true
	}
	return "", false
}

// scriptFailed answers for a script that did not: what went wrong is for the
// log, the client gets a status.
func (x *Exchange) scriptFailed(err error) {
	failed, ok := errors.AsType[*lua.Error](err)
	if !ok {
		failed = &lua.Error{Kind: lua.KindScript, Msg: err.Error(), Err: err}
	}
	result := "error"
	switch failed.Kind {
	case lua.KindBudget:
		result = "budget"
		x.problem(http.StatusServiceUnavailable, err)
	case lua.KindBusy:
		result = "busy"
		x.writer.Header().Set("Retry-After", "1")
		x.problem(http.StatusServiceUnavailable, err)
	case lua.KindBody:
		status, bodyErr := x.body.fault()
		if status == 0 {
			status, bodyErr = http.StatusRequestEntityTooLarge, err
		}
		x.problem(status, bodyErr)
	case lua.KindCanceled:
		x.gone()
	default:
		x.problem(http.StatusInternalServerError, err)
	}
	x.tenant.counters.LuaCall(result)
	if failed.Kind == lua.KindBody || failed.Kind == lua.KindCanceled {
		return // the client's doing
	}
	if ok, skipped := x.tenant.faults.allow(time.Now()); ok {
		x.server.o.Log.LogAttrs(x, slog.LevelWarn, "script failed",
			slog.String("request_id", x.id), slog.String("tenant", x.tenant.Name()), slog.String("route", x.route.pattern),
			slog.String("file", failed.File), slog.Int("line", failed.Line), slog.String("err", err.Error()), slog.Int("skipped", skipped))
	}
}

// checkScripted looks at the headers that scripts have set on the request.
// Those of this hop go, as they went when they came from the client.
func (x *Exchange) checkScripted() error {
	h := x.request.Header
	for name, values := range h {
		switch {
		case name == "Te" || name == "Content-Length":
			// Ours: what sanitize left. Neither frames the forwarded message.
		case isHopByHop(name), name == "Host", name == "Expect":
			delete(h, name)
		default:
			if err := checkHeader(name, values); err != nil {
				return err
			}
		}
	}
	return nil
}

// prepareAnswer sets the headers of the response that a script made.
func (x *Exchange) prepareAnswer(d *lua.Decision) error {
	if d.Status < http.StatusOK || d.Status > 599 {
		return fmt.Errorf("status %d is none that a response can have", d.Status)
	}
	for name, values := range d.Header {
		if http.CanonicalHeaderKey(name) == "Content-Length" {
			continue // counted below
		}
		if err := checkHeader(name, values); err != nil {
			return err
		}
	}
	h := x.writer.Header()
	for name, values := range d.Header {
		if canonical := http.CanonicalHeaderKey(name); canonical != "X-Request-Id" {
			h[canonical] = values
		}
	}
	if d.Status == http.StatusNoContent || d.Status == http.StatusNotModified {
		delete(h, "Content-Length")
	} else {
		h["Content-Length"] = []string{strconv.Itoa(len(d.Body))}
	}
	return nil
}

// write sends a whole response whose headers are set.
func (x *Exchange) write(status int, body []byte) {
	x.writer.WriteHeader(status)
	if x.method == http.MethodHead || status == http.StatusNoContent || status == http.StatusNotModified {
		return
	}
	if _, err := x.writer.Write(body); err != nil {
		x.err = err
	}
}

// prepareProxy makes the request what a script wants forwarded.
func (x *Exchange) prepareProxy(d *lua.Decision) (*upstream.Pool, error) {
	pool := x.tenant.upstreams[d.Upstream]
	if pool == nil {
		return nil, fmt.Errorf("upstream %q is not one of the tenant's", d.Upstream)
	}
	r := x.request
	for name, values := range d.Set {
		if err := checkHeader(name, values); err != nil {
			return nil, err
		}
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	for _, name := range d.Remove {
		r.Header.Del(name)
	}
	if d.Query != nil {
		query, _, err := canonicalQuery(*d.Query)
		if err != nil {
			return nil, err
		}
		r.URL.RawQuery = query
	}
	if d.Path != "" {
		p, err := CanonicalPath(d.Path)
		if err != nil {
			return nil, fmt.Errorf("proxy path %q: %w", d.Path, err)
		}
		if err := x.setPath(p); err != nil {
			return nil, err
		}
	}
	if d.Host != "" {
		host, port, err := canonicalHost(d.Host)
		if err != nil {
			return nil, fmt.Errorf("proxy host %q: %w", d.Host, err)
		}
		if r.Host = host; port != "" {
			r.Host += ":" + port
		}
	}
	x.trip.Retries, x.trip.Timeout = d.Retries, d.Timeout
	return pool, nil
}
