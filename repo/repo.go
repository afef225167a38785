// Package repo is where configuration comes from: a directory or a git
// repository, both as one Snapshot.
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
	FileSize  int64
	TotalSize int64
	Depth     int
}

// Root is one part of the tree that is read: files below Dir whose name ends
// in one of Ext. Nothing else of the source is looked at.
type Root struct {
	Dir string // slash-separated, in the tree
	Ext []string
}
