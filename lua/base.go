package lua

import (
	"log/slog"
	"strings"

	glua "github.com/yuin/gopher-lua"
)

func baseLibrary() []entry {
	return []entry{
		{"assert", baseAssert},
		{"error", baseError},
		{"getmetatable", baseGetmetatable},
		{"ipairs", baseIpairs},
		{"next", baseNext},
		{"pairs", basePairs},
		{"pcall", basePcall},
		{"print", basePrint},
		{"rawequal", baseRawequal},
		{"rawget", baseRawget},
		{"rawset", baseRawset},
		{"require", require},
		{"select", baseSelect},
		{"setmetatable", baseSetmetatable},
		{"tonumber", baseTonumber},
		{"tostring", baseTostring},
		{"type", baseType},
		{"unpack", baseUnpack},
		{"xpcall", baseXpcall},
	}
}

func baseAssert(_ *state, L *glua.LState) int {
	if glua.LVAsBool(anyArg(L, 1, "assert")) {
		return L.GetTop()
	}
	message := L.Get(2)
	if message == glua.LNil {
		message = glua.LString("assertion failed!")
	}
	L.Error(message, 0)
	return 0
}

func baseError(s *state, L *glua.LState) int {
	level := intOr(L, 2, "error", 1)
	message := L.Get(1)
	if t, ok := message.(glua.LString); ok {
		s.str(L, len(t))
	}
	// Deeper than the stack there is no position, and tail calls do not count.
	L.Error(message, min(max(level, 0), callStack))
	return 0
}

func baseGetmetatable(_ *state, L *glua.LState) int {
	anyArg(L, 1, "getmetatable")
	if t, ok := L.Get(1).(*glua.LTable); ok {
		return push(L, L.GetMetatable(t))
	}
	return push(L, glua.LNil) // those of strings and requests are nobody's business
}

func baseSetmetatable(_ *state, L *glua.LState) int {
	t := tableArg(L, 1, "setmetatable")
	mt := L.Get(2)
	if _, ok := mt.(*glua.LTable); !ok && (mt != glua.LNil || L.GetTop() < 2) {
		badType(L, 2, "setmetatable", "nil or table")
	}
	if old, ok := t.Metatable.(*glua.LTable); ok && old.RawGetString("__metatable") != glua.LNil {
		L.RaiseError("cannot change a protected metatable")
	}
	t.Metatable = mt
	return push(L, t)
}

func ipairsNext(_ *state, L *glua.LState) int {
	i := intArg(L, 2, "ipairs") + 1
	v := at(tableArg(L, 1, "ipairs"), i)
	if v == glua.LNil {
		return push(L, glua.LNil)
	}
	return push(L, glua.LNumber(i), v)
}

func baseIpairs(s *state, L *glua.LState) int {
	t := tableArg(L, 1, "ipairs")
	return push(L, s.methods.ipairs, t, glua.LNumber(0))
}

func basePairs(s *state, L *glua.LState) int {
	t := tableArg(L, 1, "pairs")
	return push(L, s.methods.next, t, glua.LNil)
}

func baseNext(_ *state, L *glua.LState) int {
	k, v := tableArg(L, 1, "next").Next(L.Get(2))
	if k == glua.LNil {
		return push(L, glua.LNil)
	}
	return push(L, k, v)
}

func baseRawequal(_ *state, L *glua.LState) int {
	return push(L, glua.LBool(L.RawEqual(anyArg(L, 1, "rawequal"), anyArg(L, 2, "rawequal"))))
}

func baseRawget(_ *state, L *glua.LState) int {
	return push(L, tableArg(L, 1, "rawget").RawGet(anyArg(L, 2, "rawget")))
}

func baseRawset(s *state, L *glua.LState) int {
	t := tableArg(L, 1, "rawset")
	anyArg(L, 3, "rawset")
	s.writable(L, t)
	s.grow(L, t, L.Get(2))
	L.RawSet(t, L.Get(2), L.Get(3))
	return push(L, t)
}

func baseSelect(s *state, L *glua.LState) int {
	top := L.GetTop()
	if L.Get(1) == glua.LString("#") {
		return push(L, glua.LNumber(top-1))
	}
	n := intArg(L, 1, "select")
	if n < 0 {
		n += top
	}
	if n < 1 {
		badArg(L, 1, "select", "index out of range")
	}
	s.step(L, top/16)
	return max(top-n, 0)
}

func baseTonumber(_ *state, L *glua.LState) int {
	v := anyArg(L, 1, "tonumber")
	base := intOr(L, 2, "tonumber", 10)
	var f float64
	ok := false
	switch {
	case base != 10:
		if base < 2 || base > 36 {
			badArg(L, 2, "tonumber", "base out of range")
		}
		f, ok = parseInBase(stringArg(L, 1, "tonumber"), base)
	case v.Type() == glua.LTNumber:
		return push(L, v)
	case v.Type() == glua.LTString:
		f, ok = parseNumber(string(v.(glua.LString)))
	}
	if !ok {
		return push(L, glua.LNil)
	}
	return push(L, glua.LNumber(f))
}

// display is tostring(v). What has no text of its own shows its type alone:
// addresses would tell where the heap lies.
func (s *state) display(L *glua.LState, v glua.LValue) string {
	if fn, ok := L.GetMetaField(v, "__tostring").(*glua.LFunction); ok {
		L.Push(fn)
		L.Push(v)
		L.Call(1, 1)
		t, ok := text(L.Get(-1))
		L.Pop(1)
		if !ok {
			L.RaiseError("'tostring' must return a string")
		}
		return t
	}
	if t, ok := text(v); ok {
		return t
	}
	switch v.Type() {
	case glua.LTNil, glua.LTBool:
		return v.String()
	default:
		return v.Type().String()
	}
}

func baseTostring(s *state, L *glua.LState) int {
	t := s.display(L, anyArg(L, 1, "tostring"))
	s.alloc(L, 32)
	return push(L, glua.LString(t))
}

func baseType(_ *state, L *glua.LState) int {
	return push(L, glua.LString(anyArg(L, 1, "type").Type().String()))
}

// maxResults bounds how many values one native returns.
const maxResults = 8000

func baseUnpack(s *state, L *glua.LState) int {
	t := tableArg(L, 1, "unpack")
	from := intOr(L, 2, "unpack", 1)
	to := intOr(L, 3, "unpack", t.Len())
	n := to - from + 1
	if n <= 0 {
		return 0
	}
	if n > maxResults {
		L.RaiseError("too many results to unpack")
	}
	s.alloc(L, 16*n)
	s.step(L, n/16)
	for i := from; i <= to; i++ {
		L.Push(at(t, i))
	}
	return n
}

// basePrint writes to the log, as keystone.log does.
func basePrint(s *state, L *glua.LState) int {
	parts := make([]string, 0, 4)
	for i := 1; i <= min(L.GetTop(), 64); i++ {
		parts = append(parts, clip(s.display(L, L.Get(i))))
	}
	s.log(L, strings.Join(parts, "\t"))
	return 0
}

// maxLogged bounds the lines that one call logs; more are dropped.
const maxLogged = 100

// log writes one line of a script.
func (s *state) log(L *glua.LState, line string) {
	line = clip(line)
	s.str(L, len(line)+256)
	if s.budget.logged++; s.budget.logged > maxLogged {
		return
	}
	file, at := caller(L)
	attrs := []slog.Attr{slog.String("tenant", s.program.tenant), slog.String("script", file), slog.Int("line", at), slog.String("text", line)}
	if s.request != nil {
		attrs = append(attrs, slog.String("request_id", s.request.ID))
	}
	s.program.log.LogAttrs(s.L.Context(), slog.LevelInfo, "script log", attrs...)
}

// caller is where the script that called the running native stands.
func caller(L *glua.LState) (file string, line int) {
	dbg, ok := L.GetStack(1)
	if !ok {
		return "", 0
	}
	if _, err := L.GetInfo("Sl", dbg, glua.LNil); err != nil {
		return "", 0
	}
	return dbg.Source, dbg.CurrentLine
}
