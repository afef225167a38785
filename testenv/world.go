package testenv

import (
	"testing"

	"go.uber.org/goleak"

	"keystone-gateway/internal/daemon"
)

// World is a repository, a server and a gateway between them. Its verbs are
// those of the repository and of the gateway; what both can do is asked of the
// one that is meant, as in world.Git.Stop().
type World struct {
	*Git
	*Gateway
	// Upstream is one server; NewUpstream makes more.
	Upstream *Upstream
	// Process is the gateway's, nil unless it is a [Binary].
	Process *Process

	t      testing.TB
	config config
}

type config struct {
	daemon   bool
	local    bool
	binary   string
	files    func(u *Upstream) map[string]string
	settings []func(*daemon.Settings)
}

// Option says how a world differs from the usual one.
type Option func(*config)

// GitDaemon has the repository served by git daemon instead of git http-backend.
func GitDaemon() Option { return func(c *config) { c.daemon = true } }

// LocalPath has the gateway read the repository by its path. A poll then costs no
// process, as it does with the servers.
func LocalPath() Option { return func(c *config) { c.local = true } }

// Binary runs the gateway as a process of the built program at path.
func Binary(path string) Option { return func(c *config) { c.binary = path } }

// Tree is the first commit, made of what files returns; u is the world's upstream.
// Without it the repository has no commit when the gateway starts.
func Tree(files func(u *Upstream) map[string]string) Option {
	return func(c *config) { c.files = files }
}

// With alters the gateway's settings.
func With(alter func(*daemon.Settings)) Option {
	return func(c *config) { c.settings = append(c.settings, alter) }
}

// New makes a world. With a [Tree] it returns once that serves. Everything ends
// with the test, and a goroutine that is left behind fails it.
func New(t testing.TB, options ...Option) *World {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	w := &World{t: t}
	for _, option := range options {
		option(&w.config)
	}
	w.Git = NewGit(t, w.config.daemon)
	w.Upstream = NewUpstream(t, "upstream")
	first := ""
	if w.config.files != nil {
		first = w.Commit(w.config.files(w.Upstream))
	}
	settings := Settings(t)
	settings.Source.Dir, settings.Source.Git.URL = "", w.URL()
	if w.config.local {
		settings.Source.Git.URL = w.Origin()
	}
	for _, alter := range w.config.settings {
		alter(&settings)
	}
	if w.config.binary != "" {
		w.Gateway, w.Process = newProcessGateway(t, w.config.binary, settings)
	} else {
		w.Gateway = NewGateway(t, settings)
	}
	if first != "" {
		w.WaitRevision(first)
	}
	return w
}
