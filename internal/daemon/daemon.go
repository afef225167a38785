package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"keystone-gateway/admin"
	"keystone-gateway/internal/telemetry"
	"keystone-gateway/lua"
	"keystone-gateway/proxy"
	"keystone-gateway/proxy/upstream"
	"keystone-gateway/reloader"
	"keystone-gateway/repo"
	"keystone-gateway/spec"
)

// ErrSettings is what an error is that is the fault of the settings, not of the
// machine.
var ErrSettings = errors.New("impossible settings")

// settingError says what is wrong with one setting. It is an ErrSettings.
type settingError struct {
	key string
	err error
}

func (e *settingError) Error() string        { return e.key + ": " + e.err.Error() }
func (e *settingError) Unwrap() error        { return e.err }
func (e *settingError) Is(target error) bool { return target == ErrSettings }

// Options are what a daemon is given besides its settings.
type Options struct {
	Log     *slog.Logger
	Version string
	// ReadSettings reads the settings again, to notice that they changed; nil:
	// nobody looks.
	ReadSettings func() (Settings, error)
}

// Daemon is one gateway: it holds its listeners from Open on, and everything
// else runs in Run.
type Daemon struct {
	settings Settings
	o        Options

	public, operators net.Listener
	source            repo.Source
	registry          *upstream.Registry
	server            *proxy.Server
	reloader          *reloader.Reloader
	admin             *admin.Admin
	metrics           *telemetry.Metrics

	stopping atomic.Bool
	closed   sync.Once
}

// Open checks the settings against the machine and takes the listeners. Nothing
// is served until Run; Close gives back what Open took if Run is never called.
func Open(ctx context.Context, s Settings, o Options) (_ *Daemon, err error) {
	d := &Daemon{settings: s, o: o, metrics: telemetry.NewMetrics()}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	if err := d.listen(ctx); err != nil {
		return nil, err
	}
	policy, err := policyOf(s.UpstreamPolicy)
	if err != nil {
		return nil, err
	}
	policy.Own = d.ownAddresses
	trusted, err := prefixes("server.trusted_proxies", s.Server.TrustedProxies)
	if err != nil {
		return nil, err
	}
	if d.source, err = openSource(s, o.Log); err != nil {
		return nil, err
	}

	states := lua.NewStates(s.Lua.MaxStatesTotal)
	d.registry = upstream.NewRegistry(upstream.Options{Policy: policy, Log: o.Log})
	d.server = proxy.New(proxy.Options{
		TrustedProxies: trusted,
		Timeouts:       proxy.Timeouts(s.Server.Timeouts),
		Limits:         s.requestLimits(),
		AccessLog:      s.Log.Access,
		Metrics:        d.metrics,
		Log:            o.Log,
		Drained: func(tenant string, took time.Duration, cut int) {
			o.Log.Info("tenant drained", "tenant", tenant, "took_ms", took.Milliseconds(), "cut", cut)
		},
	})
	d.reloader = reloader.New(reloader.Options{
		Source:  d.source,
		Builder: NewBuilder(s, d.registry, states, d.metrics, o.Log),
		Server:  d.server,
		Input:   s.Input(),
		Policy:  s.policy(),
		Metrics: d.metrics,
		Log:     o.Log,
	})
	d.metrics.Observe(func() telemetry.Observed { return observe(d.server, states) })
	return d, d.openAdmin()
}

// NewBuilder makes what compiles tenants under the settings s.
func NewBuilder(s Settings, registry *upstream.Registry, states *lua.States, metrics *telemetry.Metrics, log *slog.Logger) *proxy.Builder {
	return proxy.NewBuilder(proxy.BuilderOptions{
		Registry: registry, Cache: lua.NewCache(), States: states, MaxStates: s.Lua.MaxStates, Metrics: metrics, Log: log,
	})
}

func (d *Daemon) listen(ctx context.Context) (err error) {
	var lc net.ListenConfig
	if d.public, err = lc.Listen(ctx, "tcp", d.settings.Server.Listen); err != nil {
		return fmt.Errorf("server.listen: %w", err)
	}
	if d.settings.Admin.Listen == "" {
		return nil
	}
	if err := admin.CheckListen(d.settings.Admin.Listen, d.settings.Admin.TokenFile != ""); err != nil {
		return &settingError{key: "admin.listen", err: err}
	}
	if d.operators, err = lc.Listen(ctx, "tcp", d.settings.Admin.Listen); err != nil {
		return fmt.Errorf("admin.listen: %w", err)
	}
	return nil
}

func (d *Daemon) openAdmin() (err error) {
	if d.operators == nil {
		return nil
	}
	var token func() (string, error)
	if file := d.settings.Admin.TokenFile; file != "" {
		token = func() (string, error) { return readToken(file) }
		if _, err := token(); err != nil {
			return fmt.Errorf("admin.token_file: %w", err)
		}
	}
	d.admin, err = admin.New(admin.Options{
		Reloader: d.reloader,
		Server:   d.server,
		Metrics:  d.metrics.Handler(),
		Token:    token,
		BasePath: d.settings.Admin.BasePath,
		Listen:   d.operators.Addr().String(),
		Version:  d.o.Version,
		Log:      d.o.Log,
		Stopping: d.stopping.Load,
	})
	return err
}

func readToken(file string) (string, error) {
	data, err := os.ReadFile(file) //nolint:gosec // the path is the operator's own setting
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(data))
	if token == "" {
		return "", fmt.Errorf("%s is empty", file)
	}
	return token, nil
}

// Addr is where the public listener listens.
func (d *Daemon) Addr() net.Addr { return d.public.Addr() }

// AdminAddr is where the admin listener listens; nil without one.
func (d *Daemon) AdminAddr() net.Addr {
	if d.operators == nil {
		return nil
	}
	return d.operators.Addr()
}

func (d *Daemon) adminText() string {
	if d.operators == nil {
		return ""
	}
	return d.operators.Addr().String()
}

// Reloader is the running reloader.
func (d *Daemon) Reloader() *reloader.Reloader { return d.reloader }

// Server is the running proxy.
func (d *Daemon) Server() *proxy.Server { return d.server }

// Close gives back the listeners and the source. May be called twice; Run calls it.
func (d *Daemon) Close() (err error) {
	d.closed.Do(func() {
		for _, l := range []net.Listener{d.public, d.operators} {
			if l == nil {
				continue
			}
			if e := l.Close(); e != nil && !errors.Is(e, net.ErrClosed) {
				err = errors.Join(err, e)
			}
		}
		if d.source != nil {
			err = errors.Join(err, d.source.Close())
		}
		if d.registry != nil {
			err = errors.Join(err, d.registry.Close())
		}
	})
	return err
}

// ownAddresses are those that no upstream may have.
func (d *Daemon) ownAddresses() []netip.AddrPort {
	var own []netip.AddrPort
	for _, l := range []net.Listener{d.public, d.operators} {
		if l == nil {
			continue
		}
		if tcp, ok := l.Addr().(*net.TCPAddr); ok {
			own = append(own, tcp.AddrPort())
		}
	}
	return own
}

// watchSettings tells, once a change, that the settings are not those that run.
func (d *Daemon) watchSettings(ctx context.Context) {
	if d.o.ReadSettings == nil {
		return
	}
	tick := time.NewTicker(settingsInterval)
	defer tick.Stop()
	told := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, err := d.o.ReadSettings()
		changed := err != nil || !reflect.DeepEqual(now, d.settings)
		if changed && !told {
			attrs := []any{"file", d.settings.File, "hint", "restart to apply them"}
			if err != nil {
				attrs = append(attrs, "err", err.Error())
			}
			d.o.Log.Warn("settings changed", attrs...)
		}
		told = changed
		d.metrics.SettingsChanged(changed)
	}
}

const settingsInterval = 5 * time.Second

// Input says where in a snapshot tenants and scripts lie, and what reaches them.
func (s Settings) Input() spec.Input {
	in := spec.Input{
		Tenants: s.Source.Tenants,
		Scripts: s.Source.Scripts,
		Defaults: spec.Defaults{
			RequestLimits:   s.requestLimits(),
			Lua:             spec.LuaLimits{Instructions: s.Lua.Instructions, AllocPerCall: int64(s.Lua.AllocPerCall), Timeout: s.Lua.Timeout},
			DrainTimeout:    s.DrainTimeout,
			MaxDrainTimeout: s.MaxDrainTimeout,
			GlobalScripts:   slices.Clone(s.GlobalScripts),
		},
	}
	if s.Inline {
		in.SettingsFile, in.Scripts = s.inlineFile(), inlineScripts
	}
	return in
}

func (s Settings) requestLimits() spec.RequestLimits {
	return spec.RequestLimits{
		MaxBodySize:   int64(s.RequestLimits.MaxBodySize),
		MaxHeaderSize: int64(s.RequestLimits.MaxHeaderSize),
		MaxHeaders:    s.RequestLimits.MaxHeaders,
		MaxURLSize:    int(s.RequestLimits.MaxURLSize),
	}
}

func (s Settings) policy() reloader.Policy {
	return reloader.Policy{RejectInvalid: s.Reload.OnInvalid == "reject", AllowEmpty: s.Reload.AllowEmpty}
}

func policyOf(p UpstreamPolicy) (upstream.Policy, error) {
	deny, err := prefixes("upstream_policy.deny", p.Deny)
	if err != nil {
		return upstream.Policy{}, err
	}
	allow, err := prefixes("upstream_policy.allow", p.Allow)
	if err != nil {
		return upstream.Policy{}, err
	}
	return upstream.Policy{Deny: deny, Allow: allow}, nil
}

// prefixes reads CIDRs; a plain address stands for itself.
func prefixes(key string, texts []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range texts {
		if addr, err := netip.ParseAddr(text); err == nil {
			out = append(out, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, &settingError{key: key, err: fmt.Errorf("%q is neither a CIDR nor an address", text)}
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// observe is what a scrape of the metrics asks for.
func observe(server *proxy.Server, states *lua.States) telemetry.Observed {
	o := telemetry.Observed{TenantsDraining: server.Draining(), LuaStates: states.Live()}
	generation, _ := server.Applied()
	if generation == nil {
		return o
	}
	values := map[proxy.State]float64{proxy.Current: 0, proxy.Stale: 1, proxy.Invalid: 2}
	for name, slot := range generation.Slots() {
		o.TenantState = append(o.TenantState, telemetry.Sample{Tenant: name, Value: values[slot.State]})
		if slot.Tenant == nil {
			continue
		}
		for _, u := range slot.Tenant.Health() {
			for _, s := range u.Servers {
				healthy := telemetry.Sample{Tenant: name, Upstream: u.Name, Server: s.Name}
				if s.Healthy {
					healthy.Value = 1
				}
				o.UpstreamHealthy = append(o.UpstreamHealthy, healthy)
			}
		}
	}
	return o
}
