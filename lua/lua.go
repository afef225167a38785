// Package lua is the sandbox that tenants' scripts run in.
//
// [Compile] parses a tenant's scripts, runs them once in a fresh state to learn
// what they require and register, and gives a [Program]. [Program.NewPool] runs
// them a second time, insists on the same registration, and gives a [Pool]. A
// request is a [Pool.Call] of one [Chain]: the functions run in order in one
// state until one answers, and what comes back is a [Decision] and never a
// stream. No state is held while an upstream works.
//
// Scripts are hostile until proven otherwise, and no proof is accepted. Every
// instruction is counted, every native function that allocates, loops or
// backtracks asks the call's budget first, and a budget once spent stays spent:
// nothing a script does catches it. What cannot be bounded is not there: no io,
// os, debug, package or load. String concatenation, table constructors and
// index assignments are opcodes of the interpreter that allocate unasked, so
// the compiler rewrites them into budgeted calls.
//
// The package opens no file and no connection, and exports no type of the
// interpreter it uses.
package lua

import (
	"log/slog"
	"net/http"
	"time"
)

// Limits bound scripts. A zero field is the default given beside it.
type Limits struct {
	Instructions     int64         // a call: 1 M
	LoadInstructions int64         // while loading: 10 M
	Alloc            int64         // bytes that native functions may make a call: 16 MiB
	Timeout          time.Duration // wall clock a call: 5 s
	LoadTimeout      time.Duration // wall clock while loading: 2 s
	MaxStates        int           // states of one pool: 4 a processor
}

// Source finds scripts. Paths are relative to the scripts directory and end in
// .lua: "shop/main.lua", "lib/jwt.lua".
type Source interface {
	Lookup(path string) (data []byte, hash string, ok bool)
}

// Options say what to compile.
type Options struct {
	Tenant    string
	Scripts   []string // entry files, in order
	Source    Source
	Upstreams []string // the names that keystone.proxy may use
	Limits    Limits
	Cache     *Cache  // compiled prototypes, shared by all tenants; nil: none
	States    *States // the process-wide budget; nil: none
	Log       *slog.Logger
}

// Input is one file that a program was made from, or looked for in vain.
type Input struct {
	Path string // relative to the scripts directory
	Hash string // "" for a file that was looked for and absent
}

// Chain is a list of registered functions, called in order in one state.
type Chain []int32

// Route is one route that a script registered.
type Route struct {
	Method  string // upper case; "" for any
	Pattern string // chi's
	Chain   Chain  // use functions, group's use functions, handler
	File    string // where it was registered
	Line    int
}

// Request is what a script sees of a request.
type Request struct {
	// HTTP is the request as it will be forwarded: what a script assigns to
	// req.headers changes HTTP.Header.
	HTTP                                           *http.Request
	Scheme, Host, Path, ID, IP, Tenant, Route, Rev string
	// Param returns a route parameter, decoded once.
	Param func(name string) (string, bool)
	// ReadBody returns the whole body, which the upstream still gets, or
	// ErrBodyTooLarge over max bytes.
	ReadBody func(max int64) ([]byte, error)
	// Values is req.ctx; made when first used. It holds strings, numbers
	// (float64) and booleans.
	Values map[string]any
}

// Action is what a script decided.
type Action int

// The actions.
const (
	Next    Action = iota // no function of the chain answered
	Respond               // answer with Status, Header, Body
	Proxy                 // forward to Upstream
)

// Decision is the outcome of a call.
type Decision struct {
	Action Action

	Status int
	Header http.Header
	Body   []byte

	Upstream string
	Path     string        // "" as it came; else begins with "/", not canonical yet
	Query    *string       // nil: as it came
	Host     string        // "" as it came
	Set      http.Header   // headers to set on the forwarded request
	Remove   []string      // headers to take off it
	Timeout  time.Duration // 0: the upstream's
	Retries  int           // -1: the upstream's
}
