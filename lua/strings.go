package lua

import (
	"strings"

	glua "github.com/yuin/gopher-lua"
)

func stringLibrary() []entry {
	return []entry{
		{"byte", stringByte},
		{"char", stringChar},
		{"find", stringFind},
		{"format", stringFormat},
		{"gmatch", stringGmatch},
		{"gsub", stringGsub},
		{"len", stringLen},
		{"lower", stringLower},
		{"match", stringMatch},
		{"rep", stringRep},
		{"reverse", stringReverse},
		{"sub", stringSub},
		{"upper", stringUpper},
	}
}

// span turns Lua's i and j, negative ones from the end, into s[from:to].
func span(s string, i, j int) (from, to int) {
	n := len(s)
	if i < 0 {
		i = max(n+i+1, 1)
	} else if i == 0 {
		i = 1
	}
	if j < 0 {
		j = n + j + 1
	} else if j > n {
		j = n
	}
	if i > j {
		return 0, 0
	}
	return i - 1, j
}

func stringByte(s *state, L *glua.LState) int {
	str := stringArg(L, 1, "byte")
	i := intOr(L, 2, "byte", 1)
	from, to := span(str, i, intOr(L, 3, "byte", i))
	if to-from > maxResults {
		L.RaiseError("string slice too long")
	}
	s.alloc(L, 16*(to-from))
	for _, c := range []byte(str[from:to]) {
		L.Push(glua.LNumber(c))
	}
	return to - from
}

func stringChar(s *state, L *glua.LState) int {
	top := L.GetTop()
	s.str(L, top)
	b := make([]byte, top)
	for i := range b {
		c := intArg(L, i+1, "char")
		if c < 0 || c > 255 {
			badArg(L, i+1, "char", "invalid value")
		}
		b[i] = byte(c) //nolint:gosec // 0 to 255, checked above
	}
	return push(L, glua.LString(b))
}

func stringLen(_ *state, L *glua.LState) int {
	return push(L, glua.LNumber(len(stringArg(L, 1, "len"))))
}

// mapBytes pushes a string as long as str with f of each byte.
func (s *state) mapBytes(L *glua.LState, str string, f func(i int) byte) int {
	s.str(L, len(str))
	b := make([]byte, len(str))
	for i := range b {
		b[i] = f(i)
	}
	s.step(L, len(b)/64)
	return push(L, glua.LString(b))
}

func stringLower(s *state, L *glua.LState) int {
	str := stringArg(L, 1, "lower")
	return s.mapBytes(L, str, func(i int) byte {
		if c := str[i]; 'A' <= c && c <= 'Z' {
			return c | 0x20
		}
		return str[i]
	})
}

func stringUpper(s *state, L *glua.LState) int {
	str := stringArg(L, 1, "upper")
	return s.mapBytes(L, str, func(i int) byte {
		if c := str[i]; 'a' <= c && c <= 'z' {
			return c &^ 0x20
		}
		return str[i]
	})
}

func stringReverse(s *state, L *glua.LState) int {
	str := stringArg(L, 1, "reverse")
	return s.mapBytes(L, str, func(i int) byte { return str[len(str)-1-i] })
}

func stringRep(s *state, L *glua.LState) int {
	str := stringArg(L, 1, "rep")
	n := max(intArg(L, 2, "rep"), 0)
	if len(str) == 0 {
		n = 0
	} else if n > maxString/len(str) {
		n = maxString/len(str) + 1 // over the limit, and no overflow
	}
	s.str(L, n*len(str))
	return push(L, glua.LString(strings.Repeat(str, n)))
}

func stringSub(s *state, L *glua.LState) int {
	str := stringArg(L, 1, "sub")
	from, to := span(str, intArg(L, 2, "sub"), intOr(L, 3, "sub", -1))
	s.alloc(L, 32)
	return push(L, glua.LString(str[from:to]))
}

// begin starts matching and settle ends it: the steps taken are paid for, and
// what made the matcher give up is raised.
func begin(src, pat string) *matcher { return &matcher{src: src, pat: pat} }

func (s *state) settle(L *glua.LState, m *matcher) {
	s.step(L, m.steps/4)
	if m.failed != "" {
		L.RaiseError("%s", m.failed)
	}
}

// capture is the value of capture i; without captures, 0 is the whole match.
func (s *state) capture(L *glua.LState, m *matcher, i, start, end int) glua.LValue {
	if i >= m.level {
		if i != 0 {
			L.RaiseError("invalid capture index")
		}
		s.alloc(L, 32)
		return glua.LString(m.src[start:end])
	}
	switch c := m.captures[i]; c.len {
	case captureOpen:
		L.RaiseError("unfinished capture")
		return glua.LNil
	case capturePosition:
		return glua.LNumber(c.start + 1)
	default:
		s.alloc(L, 32)
		return glua.LString(m.src[c.start : c.start+c.len])
	}
}

// pushCaptures pushes all captures, or the whole match when there is none and
// whole says so.
func (s *state) pushCaptures(L *glua.LState, m *matcher, start, end int, whole bool) int {
	n := m.level
	if n == 0 && whole {
		n = 1
	}
	for i := range n {
		L.Push(s.capture(L, m, i, start, end))
	}
	return n
}

// from is the position, counted from zero, at which find and match begin.
func from(L *glua.LState, n int, fn, str string) int {
	init := intOr(L, n, fn, 1)
	if init < 0 {
		init += len(str) + 1
	}
	return min(max(init-1, 0), len(str))
}

func stringFind(s *state, L *glua.LState) int {
	str, pat := stringArg(L, 1, "find"), stringArg(L, 2, "find")
	init := from(L, 3, "find", str)
	if glua.LVAsBool(L.Get(4)) || !strings.ContainsAny(pat, "^$*+?.([%-") {
		s.step(L, (len(str)-init)/64)
		i := strings.Index(str[init:], pat)
		if i < 0 {
			return push(L, glua.LNil)
		}
		return push(L, glua.LNumber(init+i+1), glua.LNumber(init+i+len(pat)))
	}
	m := begin(str, pat)
	start, end, ok := m.find(init)
	s.settle(L, m)
	if !ok {
		return push(L, glua.LNil)
	}
	return push(L, glua.LNumber(start+1), glua.LNumber(end)) + s.pushCaptures(L, m, start, end, false)
}

func stringMatch(s *state, L *glua.LState) int {
	str, pat := stringArg(L, 1, "match"), stringArg(L, 2, "match")
	m := begin(str, pat)
	start, end, ok := m.find(from(L, 3, "match", str))
	s.settle(L, m)
	if !ok {
		return push(L, glua.LNil)
	}
	return s.pushCaptures(L, m, start, end, true)
}

// stringGmatch returns an iterator. Its position is its own, and an anchor has
// no meaning in it.
func stringGmatch(s *state, L *glua.LState) int {
	str, pat := stringArg(L, 1, "gmatch"), stringArg(L, 2, "gmatch")
	s.alloc(L, fieldCost)
	at := 0
	return push(L, s.function(func(s *state, L *glua.LState) int {
		m := begin(str, pat)
		for ; at <= len(str); at++ {
			m.level = 0
			end := m.match(at, 0)
			if m.failed != "" {
				break
			}
			if end < 0 {
				continue
			}
			start := at
			if at = end; end == start {
				at++
			}
			s.settle(L, m)
			return s.pushCaptures(L, m, start, end, true)
		}
		s.settle(L, m)
		return push(L, glua.LNil)
	}))
}

func stringGsub(s *state, L *glua.LState) int {
	str, pat := stringArg(L, 1, "gsub"), stringArg(L, 2, "gsub")
	repl := L.Get(3)
	switch repl.Type() {
	case glua.LTString, glua.LTNumber, glua.LTTable, glua.LTFunction:
	default:
		badType(L, 3, "gsub", "string/function/table")
	}
	most := intOr(L, 4, "gsub", len(str)+1)
	body, anchored := strings.CutPrefix(pat, "^")
	m := begin(str, body)
	var b strings.Builder
	at, copied, count := 0, 0, 0
	for count < most {
		m.level = 0
		end := m.match(at, 0)
		if m.failed != "" {
			break
		}
		if end >= 0 {
			count++
			s.extend(L, &b, str[copied:at])
			s.substitute(L, &b, m, repl, at, end)
			copied = end
		}
		switch {
		case end > at:
			at = end
		case at < len(str):
			at++
		default:
			anchored = true // past the end
		}
		if anchored {
			break
		}
	}
	s.settle(L, m)
	s.extend(L, &b, str[copied:])
	return push(L, glua.LString(b.String()), glua.LNumber(count))
}

// substitute appends what replaces one match.
func (s *state) substitute(L *glua.LState, b *strings.Builder, m *matcher, repl glua.LValue, start, end int) {
	var v glua.LValue
	switch r := repl.(type) {
	case *glua.LTable:
		v = L.GetTable(r, s.capture(L, m, 0, start, end))
	case *glua.LFunction:
		s.step(L, 4)
		L.Push(r)
		n := s.pushCaptures(L, m, start, end, true)
		L.Call(n, 1)
		v = L.Get(-1)
		L.Pop(1)
	default:
		t, _ := text(repl)
		s.template(L, b, m, t, start, end)
		return
	}
	if glua.LVIsFalse(v) {
		s.extend(L, b, m.src[start:end])
		return
	}
	t, ok := text(v)
	if !ok {
		L.RaiseError("invalid replacement value (a %s)", v.Type().String())
	}
	s.extend(L, b, t)
}

// template appends a replacement with its %0 to %9 filled in.
func (s *state) template(L *glua.LState, b *strings.Builder, m *matcher, t string, start, end int) {
	for {
		i := strings.IndexByte(t, '%')
		if i < 0 || i+1 == len(t) {
			s.extend(L, b, t)
			return
		}
		s.step(L, 1)
		s.extend(L, b, t[:i])
		switch c := t[i+1]; {
		case c == '0':
			s.extend(L, b, m.src[start:end])
		case '1' <= c && c <= '9':
			part, _ := text(s.capture(L, m, int(c-'1'), start, end))
			s.extend(L, b, part)
		default:
			s.extend(L, b, t[i+1:i+2])
		}
		t = t[i+2:]
	}
}
