package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// silentGrace is how long, at a shutdown, a connection that has not sent a
// byte may still send its first.
const silentGrace = 250 * time.Millisecond

func (s *Server) newHTTPServer() *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:                      s,
		ReadHeaderTimeout:            s.o.Timeouts.ReadHeader,
		IdleTimeout:                  s.o.Timeouts.Idle,
		MaxHeaderBytes:               int(s.o.Limits.MaxHeaderSize) + s.o.Limits.MaxURLSize,
		Protocols:                    &protocols,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug),
		ConnState:                    s.connState,
	}
}

// connState knows the connections that never sent a byte: net/http waits five
// seconds for them at a shutdown.
func (s *Server) connState(c net.Conn, state http.ConnState) {
	if state == http.StateNew {
		s.silent.Store(c, nil)
	} else {
		s.silent.Delete(c)
	}
}

// Serve accepts on l until Shutdown. Returns nil after Shutdown.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown stops accepting, lets exchanges finish until ctx is done, then cuts
// them (tunnels at TCP) and returns how many it cut. All tenants are closed
// when it returns, and the server answers 503 to whoever still asks.
func (s *Server) Shutdown(ctx context.Context) (cut int, err error) {
	hush := time.AfterFunc(silentGrace, func() {
		s.silent.Range(func(c, _ any) bool {
			if c, ok := c.(net.Conn); ok {
				_ = c.Close()
			}
			return true
		})
	})
	defer hush.Stop()
	err = s.http.Shutdown(ctx)
	if errors.Is(err, ctx.Err()) {
		err = nil // what did not finish is cut below
	}

	// Exchanges are over but for tunnels, which net/http does not know, and
	// those that ctx did not wait for.
	last := s.live.Swap(&live{}).generation
	for t := range last.tenants {
		if t.lease.retire() {
			t.close()
		}
	}
	idle := s.whenIdle()
	select {
	case <-idle:
		return 0, err
	case <-ctx.Done():
	}
	for _, t := range s.openTenants() {
		cut += t.lease.cut(t.lease.running())
	}
	grace := time.NewTimer(cutGrace)
	defer grace.Stop()
	select {
	case <-idle:
	case <-grace.C:
	}
	return cut, errors.Join(err, s.http.Close())
}
