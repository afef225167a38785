package repo

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// maxAncestry bounds how many commits before the head are remembered.
const maxAncestry = 10_000

// minPrefix is how much of a commit id names it: what git shows.
const minPrefix = 7

// ancestry is the ids of a commit and of those before it, the nearest first
// where there are more than maxAncestry. Immutable: it is asked while a fetch
// runs.
type ancestry struct {
	head plumbing.Hash
	ids  []plumbing.Hash // sorted
}

// newAncestry walks the history of head. Where prev is of an ancestor it reads
// only what is newer.
func newAncestry(ctx context.Context, o *objects, head plumbing.Hash, prev *ancestry) (*ancestry, error) {
	if prev != nil {
		fresh, joined, err := history(ctx, o, head, prev)
		if err != nil {
			return nil, err
		}
		if joined && len(fresh)+len(prev.ids) <= maxAncestry {
			return &ancestry{head: head, ids: mergeSorted(fresh, prev.ids)}, nil
		}
	}
	ids, _, err := history(ctx, o, head, nil)
	if err != nil {
		return nil, err
	}
	return &ancestry{head: head, ids: ids}, nil
}

// history lists head and what comes before it, sorted, without what known
// holds; joined says whether known's head is among head's ancestors. The ends
// of a shallow history end the walk, as roots do.
func history(ctx context.Context, o *objects, head plumbing.Hash, known *ancestry) (ids []plumbing.Hash, joined bool, err error) {
	seen := map[plumbing.Hash]bool{head: true}
	for queue := []plumbing.Hash{head}; len(queue) > 0 && len(ids) < maxAncestry; queue = queue[1:] {
		if err := ctx.Err(); err != nil {
			return nil, false, err
		}
		id := queue[0]
		if known.has(id) {
			joined = joined || id == known.head
			continue
		}
		c, err := o.commit(id)
		if errors.Is(err, errMissing) && id != head {
			continue
		}
		if err != nil {
			return nil, false, err
		}
		ids = append(ids, id)
		for _, p := range c.ParentHashes {
			if !seen[p] {
				seen[p] = true
				queue = append(queue, p)
			}
		}
	}
	slices.SortFunc(ids, compareIDs)
	return ids, joined, nil
}

func compareIDs(a, b plumbing.Hash) int { return bytes.Compare(a[:], b[:]) }

func mergeSorted(a, b []plumbing.Hash) []plumbing.Hash {
	out := slices.Concat(a, b)
	slices.SortFunc(out, compareIDs)
	return slices.Compact(out)
}

func (a *ancestry) has(id plumbing.Hash) bool {
	if a == nil {
		return false
	}
	_, ok := slices.BinarySearchFunc(a.ids, id, compareIDs)
	return ok
}

// contains says whether an abbreviated id, 7 hex digits or more, names one of
// the commits.
func (a *ancestry) contains(id string) bool {
	if a == nil || len(id) < minPrefix || len(id) > 2*len(a.head) {
		return false
	}
	var low plumbing.Hash
	padded := id + strings.Repeat("0", 2*len(low)-len(id))
	if _, err := hex.Decode(low[:], []byte(padded)); err != nil {
		return false
	}
	i, _ := slices.BinarySearchFunc(a.ids, low, compareIDs)
	return i < len(a.ids) && strings.EqualFold(a.ids[i].String()[:len(id)], id)
}
