package repo

import (
	"context"
	"crypto/sha1" //nolint:gosec // The checksum of git's pack format, not a defence.
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

const (
	// maxPacks is how many fetches one bare store takes before a fresh one is
	// built: each leaves a pack, go-git never repacks, and every pack slows
	// each look-up.
	maxPacks = 50
	// growth is how much larger than when it was fresh a store may become,
	// with growthSlack for small ones.
	growth      = 2
	growthSlack = 64 << 20

	currentDir = "current"
	freshDir   = "fresh-"
	headFile   = "keystone-head" // the commit that the store is known to hold
)

// store keeps what was fetched, as a bare repository on disk. It is a cache:
// whatever is wrong with it, it is emptied and filled again. One process owns
// it, by a lock.
type store struct {
	dir     string // holds current and, while one is built, a fresh repository
	remove  bool   // dir is removed by close
	lock    *os.File
	current *bare
}

// openStore opens or makes the store below dir; with dir "", in a temporary
// directory that close removes. Where another process holds the store, or dir
// cannot be written, it returns an error.
func openStore(dir string) (*store, error) {
	s := &store{dir: dir}
	if dir == "" {
		tmp, err := os.MkdirTemp("", "keystone-git-")
		if err != nil {
			return nil, err
		}
		s.dir, s.remove = tmp, true
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if s.lock, err = lockFile(filepath.Join(s.dir, "lock")); err != nil {
		return nil, err
	}
	if err := s.sweep(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.current, err = openBare(filepath.Join(s.dir, currentDir))
	if err != nil { // of an older layout, or damaged: begin anew
		err = os.RemoveAll(filepath.Join(s.dir, currentDir))
		if err == nil {
			s.current, err = openBare(filepath.Join(s.dir, currentDir))
		}
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// sweep removes what processes that ended in the middle left behind.
func (s *store) sweep() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), freshDir) {
			if err := os.RemoveAll(filepath.Join(s.dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// fresh makes an empty repository beside the current one. The caller adopts or
// discards it.
func (s *store) fresh() (*bare, error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil { // it may have vanished
		return nil, &fault{reason: ReasonStorage, err: err}
	}
	dir, err := os.MkdirTemp(s.dir, freshDir)
	if err != nil {
		return nil, &fault{reason: ReasonStorage, err: err}
	}
	return openBare(dir)
}

// adopt puts b, whole and checked, in the place of the current repository.
func (s *store) adopt(b *bare) error {
	target := filepath.Join(s.dir, currentDir)
	old := b.dir + "-old" // has the prefix that sweep looks for
	if err := errors.Join(b.close(), s.current.close()); err != nil {
		return &fault{reason: ReasonStorage, err: err}
	}
	err := os.Rename(target, old)
	if err == nil || errors.Is(err, os.ErrNotExist) {
		err = os.Rename(b.dir, target)
	}
	if err == nil {
		err = os.RemoveAll(old)
	}
	current, openErr := openBare(target)
	if err = errors.Join(err, openErr); err != nil {
		return &fault{reason: ReasonStorage, err: err}
	}
	s.current = current
	return nil
}

// close releases the lock; what was fetched stays, unless the store was a
// temporary one. May be called twice.
func (s *store) close() error {
	var errs []error
	if s.current != nil {
		errs = append(errs, s.current.close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
		s.lock = nil
	}
	if s.remove {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

// bare is one repository of a store: packs and the commit that they were last
// known to hold with its whole history.
type bare struct {
	dir     string
	objects *objects // nil while nobody reads
	head    plumbing.Hash
	packs   int
	bytes   int64 // of all packs
	base    int64 // bytes after the first pack
}

// openBare opens the repository in dir, which it makes if need be, and sweeps
// what cut fetches left.
func openBare(dir string) (*bare, error) {
	b := &bare{dir: dir}
	if err := os.MkdirAll(b.packDir(), 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(b.packDir())
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tmpPack) {
			if err := os.Remove(filepath.Join(b.packDir(), e.Name())); err != nil {
				return nil, err
			}
			continue
		}
		if strings.HasSuffix(e.Name(), ".pack") {
			info, err := e.Info()
			if err != nil {
				return nil, err
			}
			b.packs++
			b.bytes += info.Size()
			b.base = max(b.base, info.Size())
		}
	}
	head, err := readLine(filepath.Join(dir, headFile))
	if err == nil && plumbing.IsHash(head) {
		b.head = plumbing.NewHash(head)
	}
	return b, nil
}

func (b *bare) packDir() string { return filepath.Join(b.dir, "objects", "pack") }

// worn says that a fresh repository should take the place of this one.
func (b *bare) worn() bool {
	return b.packs >= maxPacks || b.bytes > growth*b.base+growthSlack
}

// add stores a pack.
func (b *bare) add(ctx context.Context, r io.Reader) error {
	size, err := storePack(ctx, b.packDir(), r)
	if err != nil {
		return err
	}
	b.packs++
	b.bytes += size
	b.base = max(b.base, size)
	return b.close() // read opens anew, and sees the pack
}

// read opens the objects; they are the bare's until its next add or close.
func (b *bare) read() (*objects, error) {
	if b.objects == nil {
		o, err := openObjects(b.dir)
		if err != nil {
			return nil, err
		}
		b.objects = o
	}
	return b.objects, nil
}

// settle notes that the store holds head and all its history: the next fetch
// asks only for what is newer.
func (b *bare) settle(head plumbing.Hash) error {
	if b.head == head {
		return nil
	}
	name := filepath.Join(b.dir, headFile)
	if err := os.WriteFile(name+".tmp", []byte(head.String()+"\n"), 0o600); err != nil {
		return &fault{reason: ReasonStorage, err: err}
	}
	if err := os.Rename(name+".tmp", name); err != nil {
		return &fault{reason: ReasonStorage, err: err}
	}
	b.head = head
	return nil
}

func (b *bare) close() error {
	if b.objects == nil {
		return nil
	}
	err := b.objects.close()
	b.objects = nil
	return err
}

// discard removes a repository that was not adopted.
func (b *bare) discard() error {
	return errors.Join(b.close(), os.RemoveAll(b.dir))
}

func sha1Of(r io.Reader) (plumbing.Hash, error) {
	sum := sha1.New() //nolint:gosec // As above.
	if _, err := io.Copy(sum, r); err != nil {
		return plumbing.ZeroHash, fmt.Errorf("hash: %w", err)
	}
	return plumbing.Hash(sum.Sum(nil)), nil
}
