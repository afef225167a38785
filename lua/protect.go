package lua

import (
	"strings"

	glua "github.com/yuin/gopher-lua"
)

// thread makes a thread that runs under the state's budget. The interpreter
// would give it a context of its own, which nothing counts.
func (s *state) thread(L *glua.LState) *glua.LState {
	L.RemoveContext()
	th, _ := L.NewThread()
	L.SetContext(&s.budget)
	th.SetContext(&s.budget)
	th.Panic = throw
	return th
}

// enter and leave count calls that nest on Go's stack.
func (s *state) enter(L *glua.LState, what string) {
	if s.budget.depth >= maxProtected {
		L.RaiseError("%s nested too deeply (more than %d levels)", what, maxProtected)
	}
	s.budget.depth++
}

func (s *state) leave() { s.budget.depth-- }

// protect calls fn with args on a thread of its own and returns its results,
// or what it threw. On the caller's own thread the interpreter would cut the
// caller's closures off from their variables (yuin/gopher-lua issue 448).
// A thread that saw an error is left to the closures that still point into it;
// the others are used again.
func (s *state) protect(L *glua.LState, fn glua.LValue, args []glua.LValue) (results []glua.LValue, ok bool) {
	var th *glua.LState
	if n := len(s.threads); n > 0 {
		th = s.threads[n-1]
		s.threads = s.threads[:n-1]
	} else {
		s.alloc(L, callStack*96+registryMin*16)
		th = s.thread(L)
	}
	depth := s.budget.depth
	func() {
		defer func() {
			if r := recover(); r != nil {
				s.budget.depth = depth
				results = []glua.LValue{s.caught(r)}
			}
		}()
		th.Push(fn)
		for _, arg := range args {
			th.Push(arg)
		}
		th.Call(len(args), glua.MultRet)
		ok = true
	}()
	if !ok {
		s.budget.look() // the interpreter makes messages as long as the keys they name
		s.mustRun(L)
		return results, false
	}
	results = values(th, 1)
	th.SetTop(0)
	if len(s.threads) < 4 {
		s.threads = append(s.threads, th)
	}
	return results, true
}

// caught is the value that a pcall gives for what it recovered. What only a
// mistake of the interpreter or of a native can throw ends the call.
func (s *state) caught(r any) glua.LValue {
	e, ok := r.(*glua.ApiError)
	if !ok {
		s.broken(r)
		return glua.LNil
	}
	return scrub(e.Object)
}

// scrub takes addresses out of messages of the interpreter, which names a key
// it could not index with by them.
func scrub(v glua.LValue) glua.LValue {
	s, ok := v.(glua.LString)
	if !ok || !strings.Contains(string(s), ": 0x") {
		return v
	}
	var b strings.Builder
	for rest := string(s); ; {
		before, after, found := strings.Cut(rest, ": 0x")
		b.WriteString(before)
		if !found {
			return glua.LString(b.String())
		}
		rest = strings.TrimLeft(after, "0123456789abcdef")
	}
}

// broken ends the call because the interpreter can no longer be trusted.
func (s *state) broken(cause any) {
	s.program.log.Error("script broke the interpreter", "tenant", s.program.tenant, "err", cause)
	s.budget.spend(KindScript, "internal error", nil)
}

// isGoPanic tells a message that the interpreter made of a panic of Go in a
// coroutine, where it keeps only the text.
func isGoPanic(v glua.LValue) bool {
	s, ok := v.(glua.LString)
	return ok && (strings.HasPrefix(string(s), "runtime error: ") || strings.HasPrefix(string(s), "interface conversion: "))
}

// values returns what is on the stack from position n.
func values(L *glua.LState, n int) []glua.LValue {
	top := L.GetTop()
	if top < n {
		return nil
	}
	list := make([]glua.LValue, 0, top-n+1)
	for ; n <= top; n++ {
		list = append(list, L.Get(n))
	}
	return list
}

func push(L *glua.LState, list ...glua.LValue) int {
	for _, v := range list {
		L.Push(v)
	}
	return len(list)
}

// basePcall is pcall(f, ...).
func basePcall(s *state, L *glua.LState) int {
	anyArg(L, 1, "pcall")
	s.enter(L, "pcall")
	defer s.leave()
	args := values(L, 2)
	s.alloc(L, 16*len(args))
	results, ok := s.protect(L, L.Get(1), args)
	return push(L, glua.LBool(ok)) + push(L, results...)
}

// baseXpcall is xpcall(f, handler). The handler runs once f has been unwound;
// there is no traceback for it to make.
func baseXpcall(s *state, L *glua.LState) int {
	handler := L.Get(2)
	anyArg(L, 2, "xpcall")
	s.enter(L, "xpcall")
	defer s.leave()
	results, ok := s.protect(L, L.Get(1), nil)
	if ok {
		return push(L, glua.LTrue) + push(L, results...)
	}
	results, ok = s.protect(L, handler, results)
	if !ok {
		return push(L, glua.LFalse, glua.LString("error in error handling"))
	}
	return push(L, glua.LFalse) + push(L, results...)
}
