package repo

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"time"
)

// memFS serves the nodes of one snapshot as a read-only fs.FS. It never
// touches the source, so that a snapshot outlives whatever becomes of it.
// Immutable and safe for concurrent use.
type memFS struct {
	root  *node
	mtime time.Time // of every file: the revision's, for git does not keep one a file
}

var (
	_ fs.ReadFileFS = (*memFS)(nil)
	_ fs.ReadDirFS  = (*memFS)(nil)
	_ fs.StatFS     = (*memFS)(nil)
)

func (m *memFS) find(op, name string) (*node, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	n := m.root.lookup(name)
	if n == nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	if n.file != nil && n.file.refused != "" && op != "stat" {
		return nil, &fs.PathError{Op: op, Path: name, Err: errors.New(n.file.refused)}
	}
	return n, nil
}

// Open implements fs.FS. Reading the file that it returns copies nothing but
// what is read.
func (m *memFS) Open(name string) (fs.File, error) {
	n, err := m.find("open", name)
	if err != nil {
		return nil, err
	}
	info := fileInfo{node: n, mtime: m.mtime}
	if n.file == nil {
		return &memDir{info: info}, nil
	}
	return &memFile{info: info, Reader: bytes.NewReader(n.file.data)}, nil
}

// ReadFile implements fs.ReadFileFS. The caller owns the bytes, as that
// interface promises.
func (m *memFS) ReadFile(name string) ([]byte, error) {
	n, err := m.find("read", name)
	if err != nil {
		return nil, err
	}
	if n.file == nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errIsDirectory}
	}
	return bytes.Clone(n.file.data), nil
}

// ReadDir implements fs.ReadDirFS.
func (m *memFS) ReadDir(name string) ([]fs.DirEntry, error) {
	n, err := m.find("readdir", name)
	if err != nil {
		return nil, err
	}
	if n.file != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errNotDirectory}
	}
	return dirEntries(n.kids, m.mtime), nil
}

// Stat implements fs.StatFS.
func (m *memFS) Stat(name string) (fs.FileInfo, error) {
	n, err := m.find("stat", name)
	if err != nil {
		return nil, err
	}
	return fileInfo{node: n, mtime: m.mtime}, nil
}

func dirEntries(kids []*node, mtime time.Time) []fs.DirEntry {
	out := make([]fs.DirEntry, len(kids))
	for i, k := range kids {
		out[i] = fs.FileInfoToDirEntry(fileInfo{node: k, mtime: mtime})
	}
	return out
}

// fileInfo describes a node.
type fileInfo struct {
	node  *node
	mtime time.Time
}

func (i fileInfo) Name() string       { return i.node.name }
func (i fileInfo) ModTime() time.Time { return i.mtime }
func (i fileInfo) IsDir() bool        { return i.node.file == nil }
func (i fileInfo) Sys() any           { return nil }

func (i fileInfo) Size() int64 {
	if i.IsDir() {
		return 0
	}
	return int64(len(i.node.file.data))
}

func (i fileInfo) Mode() fs.FileMode {
	if i.IsDir() {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

// memFile is a file being read.
type memFile struct {
	*bytes.Reader
	info fileInfo
}

func (f *memFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *memFile) Close() error               { return nil }

// memDir is a directory being read.
type memDir struct {
	info fileInfo
	next int
}

func (d *memDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *memDir) Close() error               { return nil }

func (d *memDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.info.Name(), Err: errIsDirectory}
}

func (d *memDir) ReadDir(n int) ([]fs.DirEntry, error) {
	rest := d.info.node.kids[d.next:]
	if n > 0 {
		if len(rest) == 0 {
			return nil, io.EOF
		}
		rest = rest[:min(n, len(rest))]
	}
	d.next += len(rest)
	return dirEntries(rest, d.info.mtime), nil
}
