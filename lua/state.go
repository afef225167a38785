package lua

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	glua "github.com/yuin/gopher-lua"
)

const (
	callStack    = 120     // frames of one thread
	registryMin  = 256     // values of one thread's registers, at first
	registryMax  = 16384   // and at most
	maxProtected = 32      // pcalls and resumed coroutines within one another
	maxArray     = 1 << 18 // elements of a table's array part
)

// boundArrays sets the interpreter's one variable that matters here: the
// largest index that a table fills an array up to.
//
//nolint:gochecknoglobals // it guards a variable of gopher-lua that is global itself
var boundArrays = sync.OnceFunc(func() { glua.MaxArrayIndex = maxArray })

// phase says what a script may do now.
type phase int

const (
	loading phase = iota // register and require
	serving              // answer requests
)

// state is one interpreter with a tenant's scripts loaded into it. Used by one
// goroutine at a time.
type state struct {
	L       *glua.LState
	program *Program
	budget  budget
	phase   phase
	calls   int       // served so far
	made    int64     // bytes that natives made in them
	idle    time.Time // when it was given back

	globals *glua.LTable // what scripts define and the libraries' names

	registration registration
	modules      modules
	threads      []*glua.LState // threads of protected calls, to be used again
	coroutines   coroutines
	random       *rand.Rand

	request     *request // what req stands for during a call
	requestMeta *glua.LTable
	viewMeta    *glua.LTable
	answerMeta  *glua.LTable
	methods     methods
}

// newState makes a state with the libraries and nothing of the tenant's.
func newState(p *Program) *state {
	boundArrays()
	s := &state{
		L: glua.NewState(glua.Options{
			CallStackSize:    callStack,
			RegistrySize:     registryMin,
			RegistryMaxSize:  registryMax,
			RegistryGrowStep: 256,
			SkipOpenLibs:     true,
		}),
		program: p,
		random:  rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), //nolint:gosec // scripts are promised numbers, not secrets
	}
	s.L.Panic = throw
	s.L.SetContext(&s.budget)
	s.open()
	return s
}

// throw is how errors travel: without the traceback that the interpreter would
// make, whose length a script can choose.
func throw(L *glua.LState) {
	panic(&glua.ApiError{Type: glua.ApiErrorRun, Object: L.Get(-1)})
}

// native is a function that scripts call. It returns how many results it
// pushed.
type native func(s *state, L *glua.LState) int

// entry is one name of a library.
type entry struct {
	name string
	fn   native
}

// function binds a native to the state.
func (s *state) function(fn native) *glua.LFunction {
	return s.L.NewFunction(func(L *glua.LState) int { return fn(s, L) })
}

// table makes a table of natives.
func (s *state) table(entries []entry) *glua.LTable {
	t := s.L.CreateTable(0, len(entries))
	for _, e := range entries {
		t.RawSetString(e.name, s.function(e.fn))
	}
	return t
}

// open makes the globals. The functions' environment is an empty table in
// front of the globals, so that every write passes through one function, which
// refuses after loading.
func (s *state) open() {
	L := s.L
	s.globals = s.table(baseLibrary())
	s.globals.RawSetString("_VERSION", glua.LString("Lua 5.1"))
	env := L.CreateTable(0, 4)
	for _, e := range []entry{{nativeConcat, concat}, {nativeTable, newTable}, {nativeSet, setIndex}} {
		env.RawSetString(e.name, s.function(e.fn))
	}
	env.Metatable = s.guard(s.globals, s.function(setGlobal))
	L.Env = env

	library := func(name string, t *glua.LTable) { s.globals.RawSetString(name, s.readOnly(name, t)) }
	str := s.table(stringLibrary())
	library("string", str)
	L.SetMetatable(glua.LString(""), s.guardIndex(str))
	library("table", s.table(tableLibrary()))
	maths := s.table(mathLibrary())
	for name, v := range mathConstants() {
		maths.RawSetString(name, v)
	}
	library("math", maths)
	library("coroutine", s.table(coroutineLibrary()))
	api := s.table(keystoneLibrary(&s.registration.root))
	api.Metatable = s.guardIndex(s.function(unknownName))
	library("keystone", api)
	s.openRequest()
	s.methods.next, s.methods.ipairs = s.function(baseNext), s.function(ipairsNext)
}

// guard makes a metatable that reads from t and writes through set, and that
// scripts can neither see nor change.
func (s *state) guard(t *glua.LTable, set *glua.LFunction) *glua.LTable {
	mt := s.guardIndex(t)
	mt.RawSetString("__newindex", set)
	return mt
}

func (s *state) guardIndex(index glua.LValue) *glua.LTable {
	mt := s.L.CreateTable(0, 3)
	mt.RawSetString("__index", index)
	mt.RawSetString("__metatable", glua.LFalse)
	return mt
}

// readOnly returns an empty table in front of t that refuses writes.
func (s *state) readOnly(name string, t *glua.LTable) *glua.LTable {
	front := s.L.CreateTable(0, 0)
	front.Metatable = s.guard(t, s.function(func(_ *state, L *glua.LState) int {
		L.RaiseError("the %s library is read-only", name)
		return 0
	}))
	return front
}

// writable refuses tables that scripts may read only: those in front of which
// a guard stands.
func (s *state) writable(L *glua.LState, t *glua.LTable) {
	if mt, ok := t.Metatable.(*glua.LTable); ok && mt.RawGetString("__metatable") == glua.LFalse {
		L.RaiseError("attempt to change a read-only table")
	}
}

// setGlobal is every assignment to a global.
func setGlobal(s *state, L *glua.LState) int {
	name := L.Get(2)
	if s.phase != loading {
		L.RaiseError("global %q cannot be assigned after loading; use a local", clip(name.String()))
	}
	s.globals.RawSet(name, L.Get(3))
	return 0
}

// run calls fn with args under the budget that begin started, then read, if
// any, with the results on the stack, and empties the stack. After an error the
// state must be thrown away.
func (s *state) run(ctx context.Context, fn *glua.LFunction, read func() *Error, args ...glua.LValue) (failed *Error) {
	L := s.L
	defer func() {
		if r := recover(); r != nil {
			failed = s.recovered(ctx, r)
		}
	}()
	L.Push(fn)
	for _, arg := range args {
		L.Push(arg)
	}
	L.Call(len(args), glua.MultRet)
	if read != nil {
		failed = read()
	}
	if s.budget.failure != nil { // by a native with no instruction after it
		return s.budget.failure
	}
	L.SetTop(0)
	return failed
}

// recovered makes an error of what run recovered.
func (s *state) recovered(ctx context.Context, r any) *Error {
	e, ok := r.(*glua.ApiError)
	if !ok {
		s.program.log.ErrorContext(ctx, "script broke the interpreter", "tenant", s.program.tenant,
			"err", fmt.Sprint(r), "stack", string(debug.Stack()))
		return &Error{Msg: "internal error", Err: fmt.Errorf("interpreter: %v", r)}
	}
	err := thrown(e.Object)
	if why := s.budget.failure; why != nil {
		return &Error{Kind: why.Kind, File: err.File, Line: err.Line, Msg: why.Msg, Err: why.Err}
	}
	return err
}

// close frees what the interpreter holds.
func (s *state) close() {
	s.L.Close()
	s.L = nil
}
