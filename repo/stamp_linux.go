package repo

import (
	"io/fs"
	"syscall"
)

// stampOf reads the stamp of a file. The change time and the inode catch what
// tools that preserve modification times do.
func stampOf(info fs.FileInfo) stamp {
	s := stamp{size: info.Size(), mtime: info.ModTime().UnixNano()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.ctime = sys.Ctim.Nano()
		s.dev, s.inode = sys.Dev, sys.Ino
	}
	return s
}
