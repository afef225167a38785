// Package repo is where configuration comes from: a directory or a git
// repository, both as one Snapshot.
//
// There is one flow. A Source's Watch nudges when something may have changed;
// whoever is nudged calls Fetch; Fetch returns the state of the tree as an
// immutable Snapshot in memory, the very same one as before when nothing
// changed. What did not change is not read again, and successive snapshots
// share its memory.
//
// A Dir reads twice what changed, because files are not written in one step,
// and trusts events of the file system only to look sooner: a look at all time
// stamps now and then, and at all content more rarely, finds the rest. A Git
// asks for the refs, fetches what is new into a bare store that it may lose at
// any time, and reads tree objects; a repository on the same machine it reads
// where it lies.
//
// The two errors of Fetch are *Error, the source could not be read and may be
// later, and *TreeError, it was read and its tree is refused.
//
// A source never runs a program, makes a work tree, writes to what it reads,
// follows a link out of it or shows credentials, and the package knows nothing
// of what the bytes mean.
package repo

import (
	"context"
	"io/fs"
	"time"
)

// Trigger says why a reload was asked for; the values are those of the log.
type Trigger string

// The triggers.
const (
	TriggerStart    Trigger = "start"
	TriggerPoll     Trigger = "poll"
	TriggerWebhook  Trigger = "webhook"
	TriggerFsnotify Trigger = "fsnotify"
	TriggerRescan   Trigger = "rescan"
	TriggerSignal   Trigger = "signal"
	TriggerAdmin    Trigger = "admin"
	TriggerRollback Trigger = "rollback"
)

// Revision names one state of a source.
type Revision struct {
	ID       string // commit (40 hex), "<commit>-dirty", or "sha256:" and 12 hex digits
	Author   string // "Name <mail>", "" for a directory
	Subject  string // first line of the message
	Time     time.Time
	Verified bool
	Dirty    bool
}

// Snapshot is one consistent state of the tree, held in memory: it stays
// readable whatever becomes of the source. Immutable.
type Snapshot struct {
	Revision Revision
	FS       fs.FS
	// Hashes gives the lower-case hex SHA-256 of each file's content, by path.
	Hashes map[string]string
	// Refused gives, by path, why an entry below the roots cannot be taken: a
	// symbolic link, a submodule, a file over a limit. It may stand for a whole
	// directory. Reading it fails with that reason. One bad entry does not
	// refuse the tree: it costs those who need it.
	Refused map[string]string
}

// Source is a place that configuration comes from.
type Source interface {
	// Watch blocks until ctx is done and calls nudge whenever the source may
	// have changed. A nudge may be lost, doubled or merged by whoever gets it.
	// It returns ctx.Err(), and never ends before for trouble with the source.
	Watch(ctx context.Context, nudge func(Trigger)) error
	// Fetch reads the source as it is now. When nothing changed since the last
	// successful Fetch it returns the very same *Snapshot. One call at a time.
	Fetch(ctx context.Context) (*Snapshot, error)
	// Contains says whether commit id (7 hex digits or more) is the last fetched
	// revision or an ancestor of it. False when unknown.
	Contains(id string) bool
	// String describes the source, credentials masked.
	String() string
	// Close releases what Fetch holds. May be called twice.
	Close() error
}

// Limits bound what one Fetch reads. Zero is no limit.
type Limits struct {
	Files     int
	FileSize  int64 // bytes of one file
	TotalSize int64 // bytes of all files
	Depth     int   // path elements of a file below its Root or Mount
}

// Root is one part of the tree that is read: files below Dir whose name ends
// in one of Ext, but for what editors leave beside the files they edit. Nothing
// else of the source is read.
type Root struct {
	Dir string // slash-separated, in the tree
	Ext []string
}
