package repo

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// rules decide what of a tree is read and what is refused; one set for both
// kinds of source, so that a tree means the same in a directory and in git.
type rules struct {
	limits   Limits
	problems []Problem
}

// maxName is the longest name of a file or directory, in bytes, that common
// file systems can hold.
const maxName = 255

// maxLFSPointer is the size that the Git LFS specification keeps pointer files
// below.
const maxLFSPointer = 1024

// refuse notes a problem that no tree may have: the revision is refused whole.
// What is wrong with one entry alone is a refusedFile in its place.
func (r *rules) refuse(name, format string, args ...any) {
	if len(r.problems) < maxProblems {
		r.problems = append(r.problems, Problem{Path: printable(name), Reason: fmt.Sprintf(format, args...)})
	}
}

// verdict returns the problems as an error, nil when there are none.
func (r *rules) verdict(rev Revision) error {
	if len(r.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(r.problems, func(a, b Problem) int { return cmp.Compare(a.Path, b.Path) })
	return &TreeError{Revision: rev, Problems: r.problems}
}

// fits says whether t keeps the limits that count a whole tree; it refuses
// name, where the count went over, when not.
func (r *rules) fits(name string, t totals) bool {
	l := r.limits
	switch {
	case l.Files > 0 && t.files > l.Files:
		r.refuse(name, "more than %d files (source.limits.files)", l.Files)
	case l.Files > 0 && t.entries > entriesFor(l.Files):
		r.refuse(name, "more than %d directory entries, for at most %d files (source.limits.files)", entriesFor(l.Files), l.Files)
	case l.TotalSize > 0 && t.bytes > l.TotalSize:
		r.refuse(name, "more than %d bytes in all (source.limits.total_size)", l.TotalSize)
	default:
		return true
	}
	return false
}

// entriesFor bounds what is looked at to find that many files: trees may hold
// much that is not read, but not without end.
func entriesFor(files int) int { return 4*files + 10_000 }

// overSize says why a file of that size is not read, "" when it is.
func (r *rules) overSize(size int64) string {
	if m := r.limits.FileSize; m > 0 && size > m {
		return fmt.Sprintf("%d bytes, at most %d (source.limits.file_size)", size, m)
	}
	return ""
}

// tooDeep says why what lies that many path elements below its root is not
// read, "" when it is.
func (r *rules) tooDeep(depth int) string {
	if m := r.limits.Depth; m > 0 && depth > m {
		return fmt.Sprintf("more than %d levels deep (source.limits.depth)", m)
	}
	return ""
}

// checkName says what is wrong with the name of one file or directory, "" when
// nothing is. Names reach logs, diagnostics, Lua's require and other people's
// disks, so only those that mean the same everywhere are taken.
func checkName(name string) string {
	switch {
	case name == "":
		return "an empty name"
	case len(name) > maxName:
		return fmt.Sprintf("a name of more than %d bytes", maxName)
	case strings.HasPrefix(name, ".."):
		return `a name that starts with ".."`
	case name == ".":
		return `the name "."`
	case strings.EqualFold(name, ".git"):
		return `the name ".git"`
	case strings.ContainsAny(name, `/\`):
		return "a slash or backslash in a name"
	case !utf8.ValidString(name):
		return "a name that is not UTF-8"
	case strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) && c != ' ' }):
		return "a control or invisible character in a name"
	}
	return ""
}

// forged says whether no ordinary git would have written an entry of that
// name: one that leaves its directory, or git's own.
func forged(name string) bool {
	return name == "" || name == "." || name == ".." || strings.Contains(name, "/") || strings.EqualFold(name, ".git")
}

// printable makes a path fit for a log line.
func printable(name string) string {
	if utf8.ValidString(name) && !strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) }) {
		return name
	}
	quoted := strconv.QuoteToGraphic(name)
	return quoted[1 : len(quoted)-1]
}

// dropping says whether a name is one that editors leave beside the file they
// edit; such entries are not looked at.
func dropping(name string) bool {
	return name == "4913" || // vim tests with it whether it may write
		strings.HasPrefix(name, ".#") ||
		strings.HasSuffix(name, "~") ||
		strings.HasSuffix(name, ".swp") || strings.HasSuffix(name, ".swx")
}

// isLFSPointer says whether data stands for content that lies elsewhere.
func isLFSPointer(data []byte) bool {
	return len(data) < maxLFSPointer && bytes.HasPrefix(data, []byte("version https://git-lfs.github.com/spec/"))
}

const lfsReason = "a Git LFS pointer: its content is not in the repository; commit the file itself"

// hasExt says whether name ends in one of exts and has something before it.
func hasExt(name string, exts []string) bool {
	return slices.ContainsFunc(exts, func(ext string) bool {
		return len(name) > len(ext) && strings.HasSuffix(name, ext)
	})
}

// cleanTreePath returns the canonical form of a slash-separated path in a
// tree; "" and "." are its root.
func cleanTreePath(name string) (string, error) {
	clean := path.Clean(strings.TrimSuffix(name, "/"))
	if name == "" {
		clean = "."
	}
	if !fs.ValidPath(clean) {
		return "", fmt.Errorf("path %q must be relative and stay inside the tree", name)
	}
	return clean, nil
}

// below says whether name is dir or lies in it.
func below(name, dir string) bool {
	return dir == "." || name == dir || strings.HasPrefix(name, dir+"/")
}
