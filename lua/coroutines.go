package lua

import (
	glua "github.com/yuin/gopher-lua"
)

// maxCoroutines bounds how many one call, or one load, makes.
const maxCoroutines = 64

// coroutines is what the state knows of them.
type coroutines struct {
	body    map[*glua.LState]*glua.LFunction // those not yet started
	running []*glua.LState                   // innermost last
}

// forget ends those that a call made and never started.
func (c *coroutines) forget() {
	for th := range c.body {
		th.Dead = true
	}
	clear(c.body)
}

func coroutineLibrary() []entry {
	return []entry{
		{"create", coroutineCreate},
		{"resume", coroutineResume},
		{"running", coroutineRunning},
		{"status", coroutineStatus},
		{"wrap", coroutineWrap},
		{"yield", coroutineYield},
	}
}

func (s *state) newCoroutine(L *glua.LState, fn string) *glua.LState {
	body := functionArg(L, 1, fn)
	if body.IsG {
		badArg(L, 1, fn, "Lua function expected")
	}
	if s.budget.coroutines++; s.budget.coroutines > maxCoroutines {
		L.RaiseError("too many coroutines (more than %d)", maxCoroutines)
	}
	s.alloc(L, callStack*96+registryMin*16)
	th := s.thread(L)
	if s.coroutines.body == nil {
		s.coroutines.body = map[*glua.LState]*glua.LFunction{}
	}
	s.coroutines.body[th] = body
	return th
}

func coroutineCreate(s *state, L *glua.LState) int {
	return push(L, s.newCoroutine(L, "create"))
}

func coroutineWrap(s *state, L *glua.LState) int {
	th := s.newCoroutine(L, "wrap")
	return push(L, s.function(func(s *state, L *glua.LState) int {
		results, thrown := s.resume(L, th, values(L, 1))
		if thrown != nil {
			L.Error(thrown, 0)
		}
		return push(L, results...)
	}))
}

func coroutineResume(s *state, L *glua.LState) int {
	th, ok := L.Get(1).(*glua.LState)
	if !ok {
		badType(L, 1, "resume", "coroutine")
	}
	results, thrown := s.resume(L, th, values(L, 2))
	if thrown != nil {
		return push(L, glua.LFalse, thrown)
	}
	return push(L, glua.LTrue) + push(L, results...)
}

// resume runs th until it yields, ends or fails; thrown is what it failed with.
func (s *state) resume(L, th *glua.LState, args []glua.LValue) (results []glua.LValue, thrown glua.LValue) {
	if status := s.status(th); status != "suspended" {
		return nil, glua.LString("cannot resume " + status + " coroutine")
	}
	s.enter(L, "coroutine")
	s.alloc(L, 16*len(args))
	s.coroutines.running = append(s.coroutines.running, th)
	body := s.coroutines.body[th]
	delete(s.coroutines.body, th)
	depth := s.budget.depth
	how, err, results := L.Resume(th, body, args...)
	s.budget.depth = depth - 1
	s.coroutines.running = s.coroutines.running[:len(s.coroutines.running)-1]
	if how == glua.ResumeError {
		s.budget.look() // as in protect
	}
	s.mustRun(L)
	if how != glua.ResumeError {
		return results, nil
	}
	thrown = glua.LNil
	if e, ok := err.(*glua.ApiError); ok { //nolint:errorlint // Resume makes it itself
		thrown = e.Object
	}
	if isGoPanic(thrown) {
		s.broken(thrown.String())
		s.mustRun(L)
	}
	return nil, scrub(thrown)
}

// coroutineYield refuses where values would have to cross a native function
// (pcall, sort, gsub), as Lua 5.1 does.
func coroutineYield(_ *state, L *glua.LState) int {
	if L.Parent == nil {
		L.RaiseError("attempt to yield from outside a coroutine")
	}
	for level := 1; level < callStack; level++ {
		dbg, ok := L.GetStack(level)
		if !ok {
			break
		}
		if _, err := L.GetInfo("S", dbg, glua.LNil); err == nil && dbg.What == "G" {
			L.RaiseError("attempt to yield across a native function")
		}
	}
	return -1 // tells the interpreter to yield
}

func coroutineRunning(s *state, L *glua.LState) int {
	if n := len(s.coroutines.running); n > 0 {
		return push(L, s.coroutines.running[n-1])
	}
	return push(L, glua.LNil)
}

func coroutineStatus(s *state, L *glua.LState) int {
	th, ok := L.Get(1).(*glua.LState)
	if !ok {
		badType(L, 1, "status", "coroutine")
	}
	return push(L, glua.LString(s.status(th)))
}

func (s *state) status(th *glua.LState) string {
	for i, r := range s.coroutines.running {
		if r == th && i == len(s.coroutines.running)-1 {
			return "running"
		} else if r == th {
			return "normal"
		}
	}
	if th.Dead {
		return "dead"
	}
	return "suspended"
}
