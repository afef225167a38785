package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"
)

// demoUpstream is a small server for the demo's tenants to forward to: it
// answers what it was asked.
type demoUpstream struct {
	listener net.Listener
	server   *http.Server
	ended    chan error
}

func openDemoUpstream(ctx context.Context, name, address string) (*demoUpstream, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	u := &demoUpstream{
		listener: l,
		server:   &http.Server{Handler: echo(name), ReadHeaderTimeout: 5 * time.Second},
		ended:    make(chan error, 1),
	}
	go func() { u.ended <- u.server.Serve(l) }()
	return u, nil
}

func (u *demoUpstream) address() string { return u.listener.Addr().String() }

func (u *demoUpstream) close() error {
	err := u.server.Close()
	if ended := <-u.ended; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}

func echo(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		answer := map[string]any{
			"server": name, "method": r.Method, "host": r.Host, "path": r.URL.RequestURI(),
			"tenant_prefix": r.Header.Get("X-Forwarded-Prefix"), "request_id": r.Header.Get("X-Request-Id"),
		}
		_ = json.NewEncoder(w).Encode(answer) // the client went away: nothing to do about it
	})
}
