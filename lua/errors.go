package lua

import (
	"errors"
	"strconv"
	"strings"

	glua "github.com/yuin/gopher-lua"
)

// ErrBodyTooLarge is what [Request].ReadBody returns for a body over its
// limit. The script gets it as nil and a message.
var ErrBodyTooLarge = errors.New("body too large")

// Kind says what an Error means to a client.
type Kind int

// The kinds.
const (
	KindScript   Kind = iota // the script failed: 500
	KindBudget               // over a limit: 503, the state is thrown away
	KindBusy                 // no state became free in time: 503 with Retry-After
	KindBody                 // the client's body could not be read: see Err
	KindCanceled             // ctx ended
)

// Error is a failed call, or one thing wrong with a script.
type Error struct {
	Kind Kind
	File string // relative to the scripts directory; "" when not known
	Line int
	Msg  string
	Err  error // the cause, where there is one outside the script
}

// Error is "shop/main.lua:14: message".
func (e *Error) Error() string {
	switch {
	case e.File == "":
		return e.Msg
	case e.Line == 0:
		return e.File + ": " + e.Msg
	default:
		return e.File + ":" + strconv.Itoa(e.Line) + ": " + e.Msg
	}
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Failure is why scripts did not compile, with the inputs seen until then:
// while they are the same it would fail again.
type Failure struct {
	Errors []*Error
	Inputs []Input
}

// Error lists all errors, one a line.
func (f *Failure) Error() string {
	lines := make([]string, len(f.Errors))
	for i, e := range f.Errors {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns all errors.
func (f *Failure) Unwrap() []error {
	errs := make([]error, len(f.Errors))
	for i, e := range f.Errors {
		errs[i] = e
	}
	return errs
}

// thrown turns a value that a script threw into an Error. The place that the
// interpreter wrote before the message becomes File and Line.
func thrown(v glua.LValue) *Error {
	s, ok := v.(glua.LString)
	if !ok {
		return &Error{Msg: "error object is a " + v.Type().String() + " value"}
	}
	msg := string(s)
	if at := strings.Index(msg, ".lua:"); at >= 0 {
		at += len(".lua")
		if digits, rest, ok := strings.Cut(msg[at+1:], ": "); ok {
			if line, err := strconv.Atoi(digits); err == nil {
				return &Error{File: msg[:at], Line: line, Msg: clip(rest)}
			}
		}
	}
	return &Error{Msg: clip(msg)}
}

// clip bounds a message that a script made.
func clip(s string) string {
	const most = 2048
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
