package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"keystone-gateway/configs"
	"keystone-gateway/internal/daemon"
	"keystone-gateway/repo"
	"keystone-gateway/scripts"
)

func demoCommand(ctx context.Context, e *env, args []string) int {
	f := newFlags(e, "demo", "demo [-dir DIR] [-addr HOST:PORT] [-admin HOST:PORT]", `
Makes a git repository of the embedded examples, starts two small upstreams and
a gateway that follows the repository, and prints what to try. Ctrl-C drains and
leaves nothing behind but the repository.`)
	dir := f.String("dir", "", "make the repository below `DIR` (default: a new temporary directory)")
	addr := f.String("addr", "127.0.0.1:8080", "gateway's `HOST:PORT`; a free port is taken if it is in use")
	admin := f.String("admin", "127.0.0.1:9090", "admin's `HOST:PORT`; a free port is taken if it is in use")
	if _, code, ok := f.parse(args, 0); !ok {
		return code
	}
	d, err := openDemo(ctx, e, *dir, *addr, *admin)
	if err != nil {
		return e.fail(err)
	}
	_, _ = e.stdout.Write(d.guide())
	code := serve(ctx, e, d.gateway)
	if err := d.close(); err != nil {
		return e.fail(err)
	}
	_, _ = fmt.Fprintf(e.stdout, "\nThe repository is still there: %s\n", d.repository)
	return code
}

// demo is a gateway with all it needs: a repository to follow and servers to
// forward to. Only the repository outlives it.
type demo struct {
	repository string // work tree
	leftovers  string // directory of everything else
	token      string // file
	upstreams  []*demoUpstream
	gateway    *daemon.Daemon
}

func openDemo(ctx context.Context, e *env, dir, addr, admin string) (_ *demo, err error) {
	d := &demo{}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	if dir == "" {
		if dir, err = os.MkdirTemp("", "keystone-demo-"); err != nil {
			return nil, err
		}
	} else if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	d.repository = filepath.Join(dir, "repository")
	// It is removed afterwards, so it must be ours: dir may hold anything.
	state := filepath.Join(dir, "state")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	if err := os.Mkdir(state, 0o700); err != nil {
		return nil, fmt.Errorf("%w (remove it if a demo that was killed left it, else name another -dir)", err)
	}
	d.leftovers = state
	d.token = filepath.Join(d.leftovers, "token")
	if err := os.WriteFile(d.token, []byte(rand.Text()+"\n"), 0o600); err != nil {
		return nil, err
	}
	if err := d.openRepository(ctx); err != nil {
		return nil, err
	}

	s := daemon.Defaults()
	s.Server.Listen, s.Admin.Listen = freeAddress(ctx, addr), freeAddress(ctx, admin)
	s.Admin.TokenFile = d.token
	s.Source.Dir, s.Source.Git.URL, s.Source.Git.PollInterval = "", d.repository, time.Second
	s.StateDir = filepath.Join(d.leftovers, "gateway")
	s.DrainTimeout = 10 * time.Second
	s.Log.Format, s.Log.Access = "text", false
	d.gateway, err = daemon.Open(ctx, s, daemon.Options{Log: newLogger(e, s.Log), Version: version().Version})
	return d, err
}

// openRepository opens the upstreams and makes the repository that names them.
// One that an earlier demo made is followed as it is: its upstreams are where
// its tenants look for them.
func (d *demo) openRepository(ctx context.Context) error {
	examples := []string{"127.0.0.1:9001", "127.0.0.1:9002"} // as the example tree has them
	made := filepath.Join(d.repository, ".git", "keystone-demo")
	known, err := os.ReadFile(made) //nolint:gosec // below the directory that the user named
	before := strings.Fields(string(known))
	again := err == nil && len(before) == len(examples)
	if _, err := os.Stat(d.repository); err == nil && !again {
		return fmt.Errorf("%s is there already, and no demo made it: name another -dir", d.repository)
	}

	addresses := make(map[string]string)
	for i, example := range examples {
		wanted := freeAddress(ctx, example)
		if again {
			wanted = before[i]
		}
		u, err := openDemoUpstream(ctx, fmt.Sprintf("upstream-%d", i+1), wanted)
		if err != nil {
			return err
		}
		d.upstreams = append(d.upstreams, u)
		addresses[example] = u.address()
	}
	if again {
		return nil
	}
	if err := d.createRepository(addresses); err != nil {
		return err
	}
	return os.WriteFile(made, []byte(addresses[examples[0]]+" "+addresses[examples[1]]+"\n"), 0o600)
}

// createRepository commits the example tree, its servers at addresses.
func (d *demo) createRepository(addresses map[string]string) error {
	files := map[string][]byte{".gitignore": []byte("*.bak\n")}
	for _, part := range []struct {
		at   string
		tree fs.FS
	}{{"configs", configs.FS}, {"scripts", scripts.FS}} {
		err := fs.WalkDir(part.tree, ".", func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			data, err := fs.ReadFile(part.tree, name)
			for wanted, actual := range addresses {
				data = bytes.ReplaceAll(data, []byte(wanted), []byte(actual))
			}
			files[path.Join(part.at, name)] = data
			return err
		})
		if err != nil {
			return err
		}
	}
	_, err := repo.Create(d.repository, files, "Keystone demo", "demo@localhost", "the example tenants")
	return err
}

// freeAddress is wanted, or the same host with a port that is free.
func freeAddress(ctx context.Context, wanted string) string {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", wanted)
	if err == nil {
		_ = l.Close()
		return wanted
	}
	host, _, err := net.SplitHostPort(wanted)
	if err != nil {
		return wanted // Open says what is wrong with it
	}
	return net.JoinHostPort(host, "0")
}

// close ends everything and removes all but the repository.
func (d *demo) close() error {
	var errs []error
	if d.gateway != nil {
		errs = append(errs, d.gateway.Close())
	}
	for _, u := range d.upstreams {
		errs = append(errs, u.close())
	}
	if d.leftovers != "" {
		errs = append(errs, os.RemoveAll(d.leftovers))
	}
	return errors.Join(errs...)
}

// guide is what to try, to be copied line by line.
func (d *demo) guide() []byte {
	_, port, err := net.SplitHostPort(d.gateway.Addr().String())
	if err != nil {
		port = "8080"
	}
	admin := d.gateway.AdminAddr().String()
	var b bytes.Buffer
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("Keystone Gateway demo: gateway on port %s, admin on %s", port, admin)
	say("")
	say("Ask it, in another terminal:")
	say("  curl http://shop.localhost:%s/              # a tenant by host", port)
	say("  curl http://127.0.0.1:%s/api/users           # a tenant by path", port)
	say("  curl http://127.0.0.1:%s/hello/you           # a tenant that Lua answers", port)
	say("")
	say("Change it: a commit is live within a second or two, and the log below says so:")
	say("  cd %s", d.repository)
	say("  sed -i.bak 's/Hello/Good morning/' scripts/hello/main.lua && git commit -qam 'greet'")
	say("")
	say("Break it: the mistake is kept out, with file and line, and what worked goes on:")
	say("  echo '    colour: blue' >> configs/tenants/shop.yaml && git commit -qam 'a mistake'")
	say("")
	say("Roll it back:")
	say("  git revert --no-edit HEAD")
	say("")
	say("Look at it:")
	say("  curl http://%s/readyz", admin)
	say("  curl -H \"Authorization: Bearer $(cat %s)\" http://%s/admin/health", d.token, admin)
	say("")
	say("Ctrl-C ends it.")
	say("")
	return b.Bytes()
}
