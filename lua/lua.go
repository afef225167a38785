// Package lua is the sandbox that tenants' scripts run in.
package lua

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// Limits bound scripts. A zero field is the default of LUA limits.
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
	Cache     *Cache // compiled prototypes, shared by all tenants; nil: none
	States    *States
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
	// Values is req.ctx; made when first used.
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

// Compile parses the scripts and runs them once in a fresh state to learn what
// they require and register. The error is a *Failure.
func Compile(ctx context.Context, o Options) (*Program, error) { panic("unimplemented") }

// Program is a tenant's compiled scripts. Immutable.
type Program struct{}

// Inputs are all files the program was made from, each name that was looked
// for and absent among them.
func (p *Program) Inputs() []Input { panic("unimplemented") }

// Routes in order of registration.
func (p *Program) Routes() []Route { panic("unimplemented") }

// Use is the chain of the tenant-wide middleware, for routes that are not the script's.
func (p *Program) Use() Chain { panic("unimplemented") }

// NotFound is the chain (Use first) of keystone.not_found, nil without one.
func (p *Program) NotFound() Chain { panic("unimplemented") }

// NewPool makes the pool and a second state in it, and refuses (*Failure) when
// the two states did not register alike or a handler cannot be resolved.
func (p *Program) NewPool(ctx context.Context) (*Pool, error) { panic("unimplemented") }

// Pool holds a tenant's states.
type Pool struct{}

// Call runs chain in one state until a function answers. The error is an *Error.
func (p *Pool) Call(ctx context.Context, chain Chain, req *Request) (Decision, error) {
	panic("unimplemented")
}

// Close ends idle states now; one in use is ended by the call that gives it back.
func (p *Pool) Close() { panic("unimplemented") }

// Cache holds compiled prototypes by content hash.
type Cache struct{}

// NewCache makes an empty one.
func NewCache() *Cache { panic("unimplemented") }

// States is the process-wide budget of live states.
type States struct{}

// NewStates makes a budget of max states, 0 for a default from the memory limit.
func NewStates(max int) *States { panic("unimplemented") }

// Live counts the states alive now.
func (s *States) Live() int { panic("unimplemented") }

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
	File string // relative to the scripts directory
	Line int
	Msg  string
	Err  error
}

func (e *Error) Error() string { panic("unimplemented") }

// Failure is why scripts did not compile, with the inputs seen until then.
type Failure struct {
	Errors []*Error
	Inputs []Input
}

func (f *Failure) Error() string { panic("unimplemented") }
