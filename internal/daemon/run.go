package daemon

import (
	"context"
	"errors"
	"sync"
	"time"

	"keystone-gateway/repo"
)

// Run serves until ctx is done, then shuts down in order: not ready, the
// shutdown delay, no more reloads, no more accepted, drained, closed, the admin
// listener last. It starts the goroutines named below and waits for each.
func (d *Daemon) Run(ctx context.Context) error {
	// The parts outlive ctx, each as long as the order of shutdown says.
	base := context.WithoutCancel(ctx)
	reloading, stopReloading := context.WithCancel(base)
	probing, stopProbing := context.WithCancel(base)
	draining, stopDraining := context.WithCancel(base)
	defer stopReloading()
	defer stopProbing()
	defer stopDraining()

	fatal := make(chan error, 2) // the two listeners
	var reload, serve, background, operators sync.WaitGroup
	if d.admin != nil {
		operators.Go(func() { fatal <- d.admin.Serve(d.operators) })
	}
	serve.Go(func() { fatal <- d.server.Serve(d.public) })
	background.Go(func() { ignore(d.registry.Run(probing)) })
	background.Go(func() { ignore(d.server.Run(draining)) })
	reload.Go(func() { ignore(d.reloader.Run(reloading)) })
	reload.Go(func() { d.watchSettings(reloading) })

	d.o.Log.Info("gateway started",
		"version", d.o.Version, "listen", d.public.Addr().String(), "admin", d.adminText(), "source", d.source.String())
	if d.settings.StateDir == "" {
		d.o.Log.Warn("state_dir is not set: nothing is remembered over a restart")
	}

	var failed error
	select {
	case <-ctx.Done():
	case failed = <-fatal:
	}

	started := time.Now()
	d.stopping.Store(true)
	d.o.Log.Info("gateway stopping", "shutdown_delay", d.settings.ShutdownDelay.String(), "drain_timeout", d.settings.DrainTimeout.String())
	if failed == nil && d.settings.ShutdownDelay > 0 {
		time.Sleep(d.settings.ShutdownDelay)
	}
	stopReloading()
	reload.Wait()

	bounded, cancel := context.WithTimeout(base, d.settings.DrainTimeout)
	defer cancel()
	cut, err := d.server.Shutdown(bounded)
	serve.Wait()
	stopDraining()
	stopProbing()
	background.Wait()
	if d.admin != nil {
		closing, cancel := context.WithTimeout(base, time.Second)
		defer cancel()
		err = errors.Join(err, d.admin.Shutdown(closing))
		operators.Wait()
	}
	err = errors.Join(failed, err, d.Close())
	d.o.Log.Info("gateway stopped", "took_ms", time.Since(started).Milliseconds(), "cut", cut)
	return err
}

// ignore drops the error of a part that only ever ends because it was told to.
func ignore(error) {}

// Reload asks for a reload and does not wait for it.
func (d *Daemon) Reload(trigger repo.Trigger) { d.reloader.Ask(trigger) }
