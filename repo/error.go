package repo

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

var (
	errIsDirectory  = errors.New("is a directory")
	errNotDirectory = errors.New("not a directory")
)

// Reason classes why a source could not be read. The values are fit for
// labels and for callers that branch.
type Reason string

// The reasons.
const (
	ReasonUnreachable    Reason = "unreachable"
	ReasonTimeout        Reason = "timeout"
	ReasonUnauthorized   Reason = "unauthorized"
	ReasonForbidden      Reason = "forbidden"
	ReasonNotFound       Reason = "not_found"
	ReasonRateLimited    Reason = "rate_limited"
	ReasonServerError    Reason = "server_error"
	ReasonNotGit         Reason = "not_git"
	ReasonBranchNotFound Reason = "branch_not_found"
	ReasonEmpty          Reason = "empty_repository"
	ReasonTooLarge       Reason = "too_large"
	ReasonCorrupt        Reason = "corrupt"
	ReasonRedirect       Reason = "redirect_refused"
	ReasonStorage        Reason = "storage"         // the local store cannot be written: disk full, read-only
	ReasonMissing        Reason = "missing"         // a directory that must be there is not
	ReasonUnreadable     Reason = "unreadable"      // a file or directory cannot be read
	ReasonEmptyDir       Reason = "empty_directory" // a directory that must hold files holds none
	ReasonUnstable       Reason = "unstable"        // files kept changing while they were read
)

// Error says that the source could not be read, and leaves what is served
// untouched: later tries may succeed. A tree that was read and is not
// acceptable is a *TreeError.
type Error struct {
	Op     string // "open", "fetch", "read"
	Source string // described, credentials masked
	Reason Reason
	// RetryAfter is how long the server asked to be left alone, 0 when it did not.
	RetryAfter time.Duration
	// Err says what happened and, where there is one, what to do about it.
	Err error
}

// Error tells operation, source, cause.
func (e *Error) Error() string { return fmt.Sprintf("%s %s: %v", e.Op, e.Source, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// fault is an Error that does not know its operation and source yet; what
// lies deep inside returns it, the source's own methods make it an Error.
type fault struct {
	reason     Reason
	retryAfter time.Duration
	err        error
}

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

func faultf(r Reason, format string, args ...any) error {
	return &fault{reason: r, err: fmt.Errorf(format, args...)}
}

// reasonOf returns the class of err, or otherwise when nothing inside says.
func reasonOf(err error, otherwise Reason) Reason {
	if f, ok := errors.AsType[*fault](err); ok {
		return f.reason
	}
	return otherwise
}

// asError gives a fault its operation and source.
func asError(op, source string, err error, otherwise Reason) *Error {
	e := &Error{Op: op, Source: source, Reason: otherwise, Err: err}
	if f, ok := errors.AsType[*fault](err); ok {
		e.Reason, e.RetryAfter = f.reason, f.retryAfter
	}
	return e
}

// Problem is one entry of a tree that cannot be taken.
type Problem struct {
	Path   string // in the tree, made printable
	Reason string
}

// TreeError refuses a revision for what its tree holds. The source itself is
// well; the same revision is refused until it changes.
type TreeError struct {
	Revision Revision
	Problems []Problem // sorted by path, at least one
}

// maxProblems bounds how many entries of one tree are reported.
const maxProblems = 100

// shownProblems bounds how many of them Error spells out.
const shownProblems = 5

// Error names the first problems and counts the others.
func (e *TreeError) Error() string {
	var b strings.Builder
	if e.Revision.ID != "" {
		fmt.Fprintf(&b, "revision %s: ", e.Revision.ID)
	}
	for i, p := range e.Problems {
		if i == shownProblems {
			fmt.Fprintf(&b, "; and %d more", len(e.Problems)-i)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s: %s", p.Path, p.Reason)
	}
	return b.String()
}
