// Package admin is what operators see and ask of a running gateway: JSON over a
// listener of its own.
//
// A request passes one gate, in this order: the Host it names (DNS rebinding),
// the site it comes from (cross-site requests), the token. Then a page answers
// from what the reloader and the proxy say at that moment. The package keeps no
// state that could differ from theirs and decides nothing: a reload is asked of
// the reloader like one by signal.
//
// /healthz, /readyz and /metrics are for machines and never need the token;
// everything else does where one is configured. Without one the listener must
// be on loopback and nothing can be changed through it.
package admin

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"keystone-gateway/proxy"
	"keystone-gateway/reloader"
	"keystone-gateway/repo"
)

// Reloader is what admin asks of *reloader.Reloader. Status and State answer at
// once; Reload waits for an outcome or ctx.
type Reloader interface {
	Status() reloader.Status
	State(id string) reloader.RevisionState
	Reload(ctx context.Context, trigger repo.Trigger, allowEmpty bool) (*reloader.Attempt, error)
}

// Server is what admin asks of *proxy.Server.
type Server interface {
	Applied() (*proxy.Generation, string)
	Draining() int
}

// Options of an Admin. Reloader, Server, Metrics and Listen are needed.
type Options struct {
	Reloader Reloader
	Server   Server
	Metrics  http.Handler
	// Token gives the operators' token, asked at each request so that a changed
	// file counts at once. Nil: there is none, and the API is read-only.
	Token func() (string, error)
	// BasePath is what the JSON API lies below: "/admin" or "/ops/gateway"; ""
	// and "/" put it at the root.
	BasePath string
	// Listen is the address listened on, host:port. Its host decides whether Host
	// headers are checked.
	Listen  string
	Version string
	Log     *slog.Logger     // nil: nothing is logged
	Now     func() time.Time // nil: time.Now
	// Stopping says that the process is shutting down: not ready any more. Nil:
	// it never is.
	Stopping func() bool
}

// Admin answers operators. Safe for concurrent use.
type Admin struct {
	o       Options
	base    string // "" or "/admin"
	host    string // of Options.Listen
	started time.Time
	mux     *http.ServeMux
	origin  *http.CrossOriginProtection
	server  *http.Server
}

// New makes an Admin, which answers as an [http.Handler] or by [Admin.Serve].
// The error is a Listen or a BasePath that cannot be.
func New(o Options) (*Admin, error) {
	if err := CheckListen(o.Listen, o.Token != nil); err != nil {
		return nil, err
	}
	base, err := cleanBase(o.BasePath)
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Stopping == nil {
		o.Stopping = func() bool { return false }
	}
	a := &Admin{
		o:       o,
		base:    base,
		host:    hostOf(o.Listen),
		started: o.Now(),
		origin:  http.NewCrossOriginProtection(),
	}
	a.mux = a.pages()
	a.server = newServer(a, o.Log)
	return a, nil
}

// pages is everything there is, by path and method.
func (a *Admin) pages() *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("/healthz", methods{http.MethodGet: a.healthz})
	mux.Handle("/readyz", methods{http.MethodGet: a.readyz})
	mux.Handle("/metrics", methods{http.MethodGet: a.o.Metrics.ServeHTTP})
	mux.Handle(a.base+"/health", methods{http.MethodGet: a.health})
	mux.Handle(a.base+"/tenants", methods{http.MethodGet: a.tenants})
	mux.Handle(a.base+"/tenants/{name}", methods{http.MethodGet: a.tenant})
	mux.Handle(a.base+"/tenants/{name}/health", methods{http.MethodGet: a.tenantHealth})
	mux.Handle(a.base+"/routes", methods{http.MethodGet: a.routes})
	mux.Handle(a.base+"/revision", methods{http.MethodGet: a.revision})
	mux.Handle(a.base+"/reload", methods{http.MethodPost: a.changing(a.reload)})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fail(w, problem{Status: http.StatusNotFound, Detail: "there is no such page"})
	})
	return mux
}

// ServeHTTP answers one request.
func (a *Admin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if refused := a.gate(r); refused != nil {
		fail(w, *refused)
		return
	}
	a.mux.ServeHTTP(w, r)
}

// cleanBase returns base without its trailing slash. Only what means itself in
// a path and in a mux pattern may be in it.
func cleanBase(base string) (string, error) {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~"
	trimmed := strings.TrimSuffix(base, "/")
	if trimmed == "" {
		return "", nil
	}
	rooted, ok := strings.CutPrefix(trimmed, "/")
	for segment := range strings.SplitSeq(rooted, "/") {
		ok = ok && strings.Trim(segment, plain) == "" && strings.Trim(segment, ".") != ""
	}
	if !ok {
		return "", fmt.Errorf("base path %q: want segments of letters, digits, '-', '_', '.' and '~', as in /admin", base)
	}
	return trimmed, nil
}
