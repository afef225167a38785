package repo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
)

// localOrigin reads a repository on this machine where it lies, and writes
// nothing to it. It is opened anew each time: what git does to it in between,
// gc included, is none of our business.
type localOrigin struct {
	path   string
	branch string
}

func (l *localOrigin) close() error { return nil }

func (l *localOrigin) sync(ctx context.Context, known func(plumbing.Hash) bool, use func(*objects, plumbing.Hash) error) error {
	err := l.try(known, use)
	// A gc may have moved objects from under a reader: one more look tells.
	if inDoubt(ctx, err) {
		err = l.try(known, use)
	}
	return err
}

func (l *localOrigin) try(known func(plumbing.Hash) bool, use func(*objects, plumbing.Hash) error) (err error) {
	dir, err := findGitDir(l.path)
	if err != nil {
		return faultf(ReasonNotFound, "no git repository is there: %w", err)
	}
	o, err := openObjects(dir)
	if err != nil {
		return faultf(ReasonUnreadable, "%w", err)
	}
	defer func() { err = errors.Join(err, o.close()) }()
	head, err := o.branch(l.branch)
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		names, listErr := o.branches()
		if listErr != nil {
			return faultf(ReasonUnreadable, "list branches: %w", listErr)
		}
		return noBranch(l.branch, names)
	}
	if err != nil {
		return faultf(ReasonUnreadable, "branch %q: %w", l.branch, err)
	}
	if known(head) {
		return nil
	}
	return used(use(o, head))
}

// remoteOrigin fetches from a server into a store.
type remoteOrigin struct {
	name    string
	branch  string
	maxSize int64
	wire    wire
	store   *store
	log     *slog.Logger
}

func (r *remoteOrigin) close() error {
	r.wire.close()
	return r.store.close()
}

// sync asks for the refs and stops there when nothing is new. Else it fetches
// what the store lacks. When that leaves any doubt about the store, or the
// store has worn out, it fetches everything into a fresh one, which takes the
// old one's place once it proved good.
func (r *remoteOrigin) sync(ctx context.Context, known func(plumbing.Hash) bool, use func(*objects, plumbing.Hash) error) error {
	talk, head, err := r.ask(ctx)
	if err != nil {
		return err
	}
	if known(head) {
		talk.close()
		return nil
	}
	current := r.store.current
	if current.worn() {
		talk.close()
		return r.renew(ctx, use)
	}
	first := current.packs == 0
	err = r.fill(ctx, talk, current, head)
	talk.close()
	if err == nil {
		err = r.read(current, head, use)
	}
	if first || !inDoubt(ctx, err) {
		return err
	}
	r.log.Warn("git store in doubt, fetching anew", "source", r.name, "err", err)
	return r.renew(ctx, use)
}

// ask opens a conversation and returns the commit of the branch. The caller
// closes the conversation.
func (r *remoteOrigin) ask(ctx context.Context) (conversation, plumbing.Hash, error) {
	bytes := newAllowance(r.maxSize, fmt.Sprintf("the server sends more than %d bytes (source.git.max_size)", r.maxSize))
	talk, err := r.wire.talk(ctx, bytes)
	if err != nil {
		return nil, plumbing.ZeroHash, err
	}
	head, err := pick(talk.refs(), r.branch)
	if err != nil {
		talk.close()
		return nil, plumbing.ZeroHash, err
	}
	return talk, head, nil
}

// pick finds a branch among the refs.
func pick(refs *packp.AdvRefs, branch string) (plumbing.Hash, error) {
	if id, ok := refs.References[plumbing.NewBranchReferenceName(branch).String()]; ok {
		return id, nil
	}
	var names []string
	for ref := range refs.References {
		if name := plumbing.ReferenceName(ref); name.IsBranch() {
			names = append(names, name.Short())
		}
	}
	return plumbing.ZeroHash, noBranch(branch, names)
}

// shownBranches bounds how many branches an error names.
const shownBranches = 5

func noBranch(branch string, there []string) error {
	if len(there) == 0 {
		return faultf(ReasonEmpty, "the repository has no branch yet: push a first commit to %q", branch)
	}
	slices.Sort(there)
	more := ""
	if n := len(there) - shownBranches; n > 0 {
		there, more = there[:shownBranches], fmt.Sprintf(" and %d more", n)
	}
	return faultf(ReasonBranchNotFound, "there is no branch %q (there are: %s%s)", branch, printable(strings.Join(there, ", ")), more)
}

// fill fetches head and what the repository lacks of its history.
func (r *remoteOrigin) fill(ctx context.Context, talk conversation, b *bare, head plumbing.Hash) error {
	o, err := b.read()
	if err != nil {
		return faultf(ReasonCorrupt, "open store: %w", err)
	}
	if o.has(head) { // a branch set back, or a process started again
		return nil
	}
	pack, err := fetchPack(ctx, talk, head, offer(o, b.head))
	if err != nil {
		return err
	}
	return b.add(ctx, pack)
}

// read lets use have the repository, and settles it on head if all was well.
func (r *remoteOrigin) read(b *bare, head plumbing.Hash, use func(*objects, plumbing.Hash) error) error {
	o, err := b.read()
	if err != nil {
		return faultf(ReasonCorrupt, "open store: %w", err)
	}
	err = used(use(o, head))
	if _, refused := errors.AsType[*TreeError](err); err == nil || refused {
		err = errors.Join(err, b.settle(head))
	}
	return err
}

// renew fetches everything into a fresh repository.
func (r *remoteOrigin) renew(ctx context.Context, use func(*objects, plumbing.Hash) error) (err error) {
	talk, head, err := r.ask(ctx)
	if err != nil {
		return err
	}
	defer talk.close()
	b, err := r.store.fresh()
	if err != nil {
		return err
	}
	if err = r.fill(ctx, talk, b, head); err == nil {
		err = r.read(b, head, use)
	}
	if _, refused := errors.AsType[*TreeError](err); err != nil && !refused {
		return errors.Join(err, b.discard())
	}
	return errors.Join(err, r.store.adopt(b))
}

// offer lists commits that the server need not send: the one the store was
// settled on and, for a history that was rewritten, some before it, ever
// further apart.
func offer(o *objects, head plumbing.Hash) []plumbing.Hash {
	const furthest = 64
	var have []plumbing.Hash
	for step, next := 0, 0; step <= furthest && !head.IsZero(); step++ {
		c, err := o.commit(head)
		if err != nil {
			break
		}
		if step == next {
			have = append(have, head)
			next = max(1, 2*next)
		}
		if len(c.ParentHashes) == 0 {
			break
		}
		head = c.ParentHashes[0]
	}
	return have
}

// used marks an error of reading a store as doubt about it, unless it says
// something else.
func used(err error) error {
	_, refused := errors.AsType[*TreeError](err)
	_, classed := errors.AsType[*fault](err)
	if err == nil || refused || classed || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return faultf(ReasonCorrupt, "read repository: %w", err)
}

// inDoubt says whether err could come from a damaged or incomplete store.
func inDoubt(ctx context.Context, err error) bool {
	return ctx.Err() == nil && reasonOf(err, "") == ReasonCorrupt
}
