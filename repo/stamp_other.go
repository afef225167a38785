//go:build !linux

package repo

import "io/fs"

// stampOf reads the stamp of a file, as far as every system has it; the look
// that reads every file catches the rest.
func stampOf(info fs.FileInfo) stamp {
	return stamp{size: info.Size(), mtime: info.ModTime().UnixNano()}
}
