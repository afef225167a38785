package repo

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

const (
	// tmpPack begins the name of a pack that is not whole yet.
	tmpPack = "tmp_pack_"
	// maxObject bounds one inflated object: indexing holds it in memory, and a
	// pack of some kilobytes can claim gigabytes.
	maxObject = 256 << 20
	// minPacked is the least that an object takes in a pack: its header and an
	// empty zlib stream.
	minPacked = 9
	// packOverhead is the header and the checksum of a pack.
	packOverhead = 12 + 20
)

// storePack writes the pack that r holds into dir with its index, and returns
// its size. Until it is whole and checked the pack has a temporary name; on
// any error, ctx ending included, nothing is left of it.
//
// go-git's own pack writer leaves its temporary files behind, does not look at
// a context while it resolves deltas, and believes what headers claim.
func storePack(ctx context.Context, dir string, r io.Reader) (size int64, err error) {
	f, err := os.CreateTemp(dir, tmpPack)
	if errors.Is(err, os.ErrNotExist) {
		return 0, faultf(ReasonCorrupt, "the store vanished: %w", err)
	}
	if err != nil {
		return 0, &fault{reason: ReasonStorage, err: err}
	}
	kept := false
	defer func() {
		if !kept {
			err = errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
	}()
	if size, err = copyPack(ctx, f, r); err != nil {
		return 0, err
	}
	index, sum, err := indexPack(ctx, f, size)
	if err != nil {
		return 0, err
	}
	base := filepath.Join(dir, "pack-"+sum.String())
	if err := writeIndex(base+".idx", index); err != nil {
		return 0, &fault{reason: ReasonStorage, err: err}
	}
	if err := os.Rename(f.Name(), base+".pack"); err != nil {
		return 0, &fault{reason: ReasonStorage, err: errors.Join(err, os.Remove(base+".idx"))}
	}
	kept = true
	return size, f.Close()
}

// copyPack tells trouble with the disk from trouble with the network.
func copyPack(ctx context.Context, f *os.File, r io.Reader) (int64, error) {
	buf := make([]byte, 64<<10)
	var size int64
	for {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n, err := r.Read(buf)
		if _, werr := f.Write(buf[:n]); werr != nil {
			return 0, &fault{reason: ReasonStorage, err: werr}
		}
		size += int64(n)
		if errors.Is(err, io.EOF) {
			return size, nil
		}
		if err != nil {
			return 0, fmt.Errorf("receive pack: %w", err)
		}
	}
}

// indexPack checks a pack and computes its index and checksum.
func indexPack(ctx context.Context, f *os.File, size int64) (_ *idxfile.MemoryIndex, _ plumbing.Hash, err error) {
	defer recovered(&err)
	if err := inspectPack(ctx, f, size); err != nil {
		return nil, plumbing.ZeroHash, err
	}
	if err := checkPackSum(f, size); err != nil {
		return nil, plumbing.ZeroHash, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, plumbing.ZeroHash, err
	}
	var index idxfile.Writer
	parser, err := packfile.NewParser(packfile.NewScanner(&contextFile{File: f, ctx: ctx}), &index)
	if err != nil {
		return nil, plumbing.ZeroHash, err
	}
	sum, err := parser.Parse()
	if err != nil {
		return nil, plumbing.ZeroHash, packError(ctx, err)
	}
	made, err := index.Index()
	return made, sum, err
}

// inspectPack reads the pack once and refuses what would take much more memory
// than its size to index: a count of objects that cannot be, and objects, deltas
// applied, above maxObject.
func inspectPack(ctx context.Context, f *os.File, size int64) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	scanner := packfile.NewScanner(&contextFile{File: f, ctx: ctx})
	_, count, err := scanner.Header()
	if err != nil {
		return packError(ctx, err)
	}
	if int64(count) > (size-packOverhead)/minPacked {
		return faultf(ReasonCorrupt, "a pack of %d bytes that claims %d objects", size, count)
	}
	for range count {
		header, err := scanner.NextObjectHeader()
		if err != nil {
			return packError(ctx, err)
		}
		if err := checkInflated(header.Length); err != nil {
			return err
		}
		var start deltaStart
		if _, _, err := scanner.NextObject(&start); err != nil {
			return packError(ctx, err)
		}
		if header.Type.IsDelta() {
			if err := checkInflated(start.target()); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkInflated(size int64) error {
	if size > maxObject {
		return faultf(ReasonTooLarge, "an object of more than %d bytes in the history", maxObject)
	}
	return nil
}

// checkPackSum compares the checksum at the end of the pack with its content,
// which go-git does not.
func checkPackSum(f *os.File, size int64) error {
	if size < packOverhead {
		return faultf(ReasonCorrupt, "the pack was cut short")
	}
	var want plumbing.Hash
	if _, err := f.ReadAt(want[:], size-int64(len(want))); err != nil {
		return err
	}
	got, err := sha1Of(io.NewSectionReader(f, 0, size-int64(len(want))))
	if err != nil {
		return err
	}
	if got != want {
		return faultf(ReasonCorrupt, "the pack does not match its checksum")
	}
	return nil
}

// packError tells the end of the context from damage.
func packError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return faultf(ReasonCorrupt, "damaged pack: %w", err)
}

// deltaStart keeps the first bytes of a delta, which hold the size of its base
// and of its result.
type deltaStart struct {
	head [2 * binary.MaxVarintLen64]byte
	n    int
}

func (d *deltaStart) Write(p []byte) (int, error) {
	d.n += copy(d.head[d.n:], p)
	return len(p), nil
}

// target returns the size of the delta's result, or one beyond maxObject when
// that cannot be read.
func (d *deltaStart) target() int64 {
	_, base := binary.Uvarint(d.head[:d.n])
	size, used := binary.Uvarint(d.head[max(base, 0):d.n])
	if base <= 0 || used <= 0 || size > maxObject {
		return maxObject + 1
	}
	return int64(size)
}

// contextFile is a file whose reads end with a context: indexing can take long
// and has no other place to stop.
type contextFile struct {
	*os.File
	ctx context.Context //nolint:containedctx // Lives only as long as one call of indexPack.
}

func (f *contextFile) Read(p []byte) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, err
	}
	return f.File.Read(p)
}

func writeIndex(name string, index *idxfile.MemoryIndex) error {
	var buf bytes.Buffer
	if _, err := idxfile.NewEncoder(&buf).Encode(index); err != nil {
		return err
	}
	return os.WriteFile(name, buf.Bytes(), 0o600)
}
