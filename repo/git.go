package repo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// The defaults of GitOptions.
const (
	defaultBranch       = "main"
	defaultPollInterval = 30 * time.Second
	defaultTimeout      = 60 * time.Second
)

// GitOptions say which part of which repository is followed.
type GitOptions struct {
	// URL is http://, https://, git://, or a local path: of a work tree, a
	// linked work tree or a bare repository. Credentials in it are used and
	// never shown.
	URL string
	// Branch is the branch that is followed; "" is main.
	Branch string
	// Path is the directory of the repository that is the root of the tree,
	// slash-separated; "" is its own root.
	Path string
	// PollInterval is the time between looks; 0 is 30 s.
	PollInterval time.Duration
	// Timeout bounds one Fetch as a whole; 0 is 60 s.
	Timeout time.Duration
	// MaxSize bounds the bytes that one Fetch receives; 0 is no limit.
	MaxSize int64
	// StateDir is where what was fetched is kept, so that the next Fetch, and
	// the next process, asks only for what is new. "" is a temporary directory
	// that Close removes. Not used for local paths.
	StateDir string
	// Roots are the parts of the tree that are read.
	Roots  []Root
	Limits Limits
	// Log may be nil.
	Log *slog.Logger
}

// Git is a branch of a git repository as a Source. It never runs a git
// program and never makes a work tree: trees are read from the objects.
type Git struct {
	options GitOptions
	name    string // the address, credentials masked
	path    string
	roots   []Root
	origin  origin
	poller  *poller

	mu      sync.Mutex // one Fetch at a time; guards closed and refused
	closed  bool
	refused refusal
	// last is what the last good Fetch found. Written under mu, read by
	// Contains at any time.
	last atomic.Pointer[fetched]
}

var _ Source = (*Git)(nil)

// origin is where objects come from.
type origin interface {
	// sync finds the commit of the branch and, unless known says that nothing
	// has to be done for it, calls use with a store that holds it. use may be
	// called again with another store when its error leaves doubt about the
	// first.
	sync(ctx context.Context, known func(plumbing.Hash) bool, use func(*objects, plumbing.Hash) error) error
	close() error
}

// fetched is the outcome of a good Fetch. Immutable.
type fetched struct {
	commit   plumbing.Hash
	tree     *node
	snapshot *Snapshot
	ancestry *ancestry
}

// refusal remembers the head that was refused, which needs no second look.
type refusal struct {
	commit plumbing.Hash
	err    error
}

// OpenGit checks the options and opens the store. It does not reach for the
// network: the first Fetch does. The caller closes what it returns.
func OpenGit(o GitOptions) (*Git, error) {
	a, err := parseAddress(o.URL)
	if err != nil {
		return nil, fmt.Errorf("open repository: %w", err)
	}
	if o.Branch == "" {
		o.Branch = defaultBranch
	}
	if err := checkBranch(o.Branch); err != nil {
		return nil, fmt.Errorf("open %s: %w", a, err)
	}
	if o.PollInterval <= 0 {
		o.PollInterval = defaultPollInterval
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	g := &Git{options: o, name: a.String(), poller: newPoller(o.PollInterval)}
	if g.path, err = cleanTreePath(o.Path); err != nil {
		return nil, fmt.Errorf("open %s: %w", a, err)
	}
	if g.roots, err = cleanRoots(o.Roots); err != nil {
		return nil, fmt.Errorf("open %s: %w", a, err)
	}
	if g.origin, err = openOrigin(a, o); err != nil {
		return nil, &Error{Op: "open", Source: g.name, Reason: ReasonStorage, Err: err}
	}
	return g, nil
}

func cleanRoots(roots []Root) ([]Root, error) {
	out := make([]Root, len(roots))
	for i, r := range roots {
		dir, err := cleanTreePath(r.Dir)
		if err != nil {
			return nil, err
		}
		out[i] = Root{Dir: dir, Ext: r.Ext}
	}
	return out, nil
}

func openOrigin(a address, o GitOptions) (origin, error) {
	if a.local() {
		path, err := filepath.Abs(a.path)
		if err != nil {
			return nil, err
		}
		return &localOrigin{path: path, branch: o.Branch}, nil
	}
	dir := ""
	if o.StateDir != "" {
		sum := sha256.Sum256([]byte(a.url.String()))
		dir = filepath.Join(o.StateDir, "git", hex.EncodeToString(sum[:6]))
	}
	s, err := openStore(dir)
	if err != nil && dir != "" {
		o.Log.Warn("git store not usable, using a temporary one", "dir", dir, "err", err)
		s, err = openStore("")
	}
	if err != nil {
		return nil, err
	}
	r := &remoteOrigin{branch: o.Branch, maxSize: o.MaxSize, store: s, log: o.Log, name: a.String()}
	if a.scheme == "git" {
		r.wire = newGitWire(a.url)
	} else {
		r.wire = newHTTPWire(a.url, a.user)
	}
	return r, nil
}

// String is the URL, credentials masked, and the branch.
func (g *Git) String() string { return g.name + " branch " + g.options.Branch }

// Watch asks for a look every poll interval, give or take a tenth, and ever
// more rarely while looks fail.
func (g *Git) Watch(ctx context.Context, nudge func(Trigger)) error {
	return g.poller.run(ctx, func() { nudge(TriggerPoll) })
}

// Contains implements Source, as far back as 10,000 commits.
func (g *Git) Contains(id string) bool {
	last := g.last.Load()
	return last != nil && last.ancestry.contains(id)
}

// Close waits for a Fetch in progress and releases the store. May be called
// twice.
func (g *Git) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	return g.origin.close()
}

// Fetch reads the branch as it is now. Its error is an *Error when the
// repository could not be read, and a *TreeError when the tree of the head
// cannot be taken.
func (g *Git) Fetch(ctx context.Context) (*Snapshot, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, fmt.Errorf("fetch %s: source is closed", g.name)
	}
	bounded, cancel := context.WithTimeout(ctx, g.options.Timeout)
	defer cancel()
	snap, err := g.fetch(bounded)
	if err != nil {
		err = g.explain(ctx, bounded, err)
	}
	g.poller.note(err)
	return snap, err
}

func (g *Git) fetch(ctx context.Context) (*Snapshot, error) {
	last := g.last.Load()
	var head plumbing.Hash
	known := func(id plumbing.Hash) bool {
		head = id
		return last != nil && last.commit == id || g.refused.err != nil && g.refused.commit == id
	}
	var next *fetched
	err := g.origin.sync(ctx, known, func(o *objects, id plumbing.Hash) error {
		head = id
		var err error
		next, err = g.build(ctx, o, id, last)
		return err
	})
	if tree, ok := errors.AsType[*TreeError](err); ok {
		g.refused = refusal{commit: head, err: tree}
		return nil, tree
	}
	switch {
	case err != nil:
		return nil, err
	case next != nil:
		g.refused = refusal{}
		g.last.Store(next)
		return next.snapshot, nil
	case last != nil && last.commit == head:
		g.refused = refusal{}
		return last.snapshot, nil
	}
	return nil, g.refused.err
}

// build reads the snapshot of a commit.
func (g *Git) build(ctx context.Context, o *objects, id plumbing.Hash, last *fetched) (*fetched, error) {
	c, err := o.commit(id)
	if err != nil {
		return nil, err
	}
	rev := revisionOf(c)
	if last == nil {
		last = &fetched{}
	}
	r := &rules{limits: g.options.Limits}
	root, err := o.subtree(c.TreeHash, g.path)
	if errors.Is(err, errNoSubtree) {
		r.refuse(g.path, "the repository has no such directory (source.git.path)")
		return nil, r.verdict(rev)
	}
	if err != nil {
		return nil, err
	}
	tree, err := newTreeWalk(o, r).dir(ctx, ".", root, last.tree, topScope(g.roots))
	if err != nil {
		return nil, err
	}
	if err := r.verdict(rev); err != nil {
		return nil, err
	}
	ancestors, err := newAncestry(ctx, o, id, last.ancestry)
	if err != nil {
		return nil, err
	}
	return &fetched{
		commit: id, tree: tree, ancestry: ancestors,
		snapshot: snapshot(rev, tree, last.tree, last.snapshot),
	}, nil
}

// revisionOf describes a commit.
func revisionOf(c *object.Commit) Revision {
	subject, _, _ := strings.Cut(strings.TrimSpace(c.Message), "\n")
	return Revision{
		ID:      c.Hash.String(),
		Author:  oneLine(fmt.Sprintf("%s <%s>", c.Author.Name, c.Author.Email)),
		Subject: oneLine(subject),
		Time:    c.Committer.When,
	}
}

// explain makes an error that tells the operator what happened where. asked is
// the caller's context, bounded the one with the timeout.
func (g *Git) explain(asked, bounded context.Context, err error) error {
	if _, ok := errors.AsType[*TreeError](err); ok {
		return err
	}
	switch {
	case errors.Is(asked.Err(), context.Canceled):
		return fmt.Errorf("fetch %s: %w", g.name, asked.Err())
	case bounded.Err() != nil:
		err = faultf(ReasonTimeout, "no complete answer within %s (source.git.timeout): %w", g.options.Timeout, context.DeadlineExceeded)
	}
	otherwise := ReasonUnreachable
	if slow, ok := errors.AsType[net.Error](err); ok && slow.Timeout() {
		otherwise = ReasonTimeout
	}
	return asError("fetch", g.name, err, otherwise)
}
