package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// reloadTimeout bounds how long a reload is waited for. It goes on when nobody
// waits any more.
const reloadTimeout = 60 * time.Second

func newServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      reloadTimeout + 15*time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// Serve accepts on l, which it closes, until Shutdown. It returns nil after
// Shutdown. It refuses a listener that [CheckListen] would refuse.
func (a *Admin) Serve(l net.Listener) error {
	if _, tcp := l.Addr().(*net.TCPAddr); tcp {
		if err := CheckListen(l.Addr().String(), a.o.Token != nil); err != nil {
			return errors.Join(err, l.Close())
		}
	}
	if err := a.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve admin: %w", err)
	}
	return nil
}

// Shutdown stops accepting, lets answers under way finish until ctx is done,
// and then cuts them. May be called twice, and before Serve.
func (a *Admin) Shutdown(ctx context.Context) error {
	if err := a.server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("shut down admin: %w", err), a.server.Close())
	}
	return nil
}
