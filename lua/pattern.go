package lua

import "strings"

const (
	maxCaptures     = 32
	maxPatternSteps = 500_000 // of one match, search or substitution
	maxPatternDepth = 200     // items of a pattern waiting for the rest to match
)

// A capture's length while it is not one.
const (
	captureOpen     = -1
	capturePosition = -2
)

// matcher matches Lua patterns against one subject. It counts its steps, so
// that backtracking ends; what ends it is in failed, and everything then
// fails to match.
type matcher struct {
	src, pat string
	steps    int
	depth    int
	failed   string // why matching was given up
	level    int    // captures so far
	captures [maxCaptures]struct{ start, len int }
}

// fail gives up.
func (m *matcher) fail(why string) int {
	if m.failed == "" {
		m.failed = why
	}
	return -1
}

// find looks for the pattern from init on. ok is false when there is none.
func (m *matcher) find(init int) (start, end int, ok bool) {
	pat, anchored := 0, strings.HasPrefix(m.pat, "^")
	if anchored {
		pat = 1
	}
	for at := init; at <= len(m.src); at++ {
		m.level = 0
		if end := m.match(at, pat); end >= 0 {
			return at, end, true
		}
		if anchored || m.failed != "" {
			break
		}
	}
	return 0, 0, false
}

// match matches the pattern from p at s, and returns where the match ends or a
// negative number.
func (m *matcher) match(s, p int) int {
	if m.depth == maxPatternDepth {
		return m.fail("pattern too complex")
	}
	m.depth++
	end := m.items(s, p)
	m.depth--
	return end
}

// items matches one item after the other, and recurses where it may have to
// come back.
func (m *matcher) items(s, p int) int {
	for {
		if m.steps++; m.steps > maxPatternSteps {
			return m.fail("pattern too complex")
		}
		if m.failed != "" {
			return -1
		}
		if p == len(m.pat) {
			return s
		}
		switch m.pat[p] {
		case '(':
			if p+1 < len(m.pat) && m.pat[p+1] == ')' {
				return m.open(s, p+2, capturePosition)
			}
			return m.open(s, p+1, captureOpen)
		case ')':
			return m.close(s, p+1)
		case '$':
			if p+1 == len(m.pat) {
				if s == len(m.src) {
					return s
				}
				return -1
			}
		case '%':
			if p+1 < len(m.pat) {
				switch c := m.pat[p+1]; {
				case c == 'b':
					if s = m.balance(s, p+2); s < 0 {
						return -1
					}
					p += 4
					continue
				case c == 'f':
					if p = m.frontier(s, p+2); p < 0 {
						return -1
					}
					continue
				case '0' <= c && c <= '9':
					if s = m.backreference(s, c); s < 0 {
						return -1
					}
					p += 2
					continue
				}
			}
		}
		end := m.item(p)
		if end < 0 {
			return -1
		}
		var quantifier byte
		if end < len(m.pat) {
			quantifier = m.pat[end]
		}
		switch quantifier {
		case '?':
			if m.single(s, p, end) {
				if r := m.match(s+1, end+1); r >= 0 {
					return r
				}
			}
			p = end + 1
		case '*':
			return m.longest(s, p, end, 0)
		case '+':
			return m.longest(s, p, end, 1)
		case '-':
			return m.shortest(s, p, end)
		default:
			if !m.single(s, p, end) {
				return -1
			}
			s++
			p = end
		}
	}
}

// item returns where the single-character item at p ends.
func (m *matcher) item(p int) int {
	c := m.pat[p]
	p++
	switch c {
	case '%':
		if p == len(m.pat) {
			return m.fail("malformed pattern (ends with '%')")
		}
		return p + 1
	case '[':
		if p < len(m.pat) && m.pat[p] == '^' {
			p++
		}
		for first := true; ; first = false {
			if p >= len(m.pat) {
				return m.fail("malformed pattern (missing ']')")
			}
			c := m.pat[p]
			p++
			if c == ']' && !first {
				return p
			}
			if c == '%' {
				p++
			}
		}
	}
	return p
}

// single matches one character against the item from p to end.
func (m *matcher) single(s, p, end int) bool {
	m.steps++
	if s >= len(m.src) {
		return false
	}
	c := m.src[s]
	switch m.pat[p] {
	case '.':
		return true
	case '%':
		return inClass(c, m.pat[p+1])
	case '[':
		return m.inSet(c, p, end-1)
	}
	return m.pat[p] == c
}

// inSet matches c against the set between '[' at p and ']' at end.
func (m *matcher) inSet(c byte, p, end int) bool {
	found := true
	p++
	if m.pat[p] == '^' {
		found = false
		p++
	}
	for ; p < end; p++ {
		m.steps++
		switch {
		case m.pat[p] == '%':
			p++
			if inClass(c, m.pat[p]) {
				return found
			}
		case p+2 < end && m.pat[p+1] == '-':
			if m.pat[p] <= c && c <= m.pat[p+2] {
				return found
			}
			p += 2
		case m.pat[p] == c:
			return found
		}
	}
	return !found
}

// inClass matches c against %class; the class in upper case is its complement.
func inClass(c, class byte) bool {
	var in bool
	switch class | 0x20 {
	case 'a':
		in = isAlpha(c)
	case 'c':
		in = c < 0x20 || c == 0x7f
	case 'd':
		in = isDigit(c)
	case 'l':
		in = 'a' <= c && c <= 'z'
	case 'p':
		in = c > 0x20 && c < 0x7f && !isAlpha(c) && !isDigit(c)
	case 's':
		in = c == ' ' || '\t' <= c && c <= '\r'
	case 'u':
		in = 'A' <= c && c <= 'Z'
	case 'w':
		in = isAlpha(c) || isDigit(c)
	case 'x':
		in = isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f'
	case 'z':
		in = c == 0
	default:
		return class == c
	}
	if !isAlpha(class) {
		return class == c
	}
	return in == (class&0x20 != 0)
}

func isAlpha(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func (m *matcher) longest(s, p, end, least int) int {
	n := 0
	for m.single(s+n, p, end) {
		n++
	}
	for ; n >= least; n-- {
		if r := m.match(s+n, end+1); r >= 0 || m.failed != "" {
			return r
		}
	}
	return -1
}

func (m *matcher) shortest(s, p, end int) int {
	for {
		if r := m.match(s, end+1); r >= 0 || m.failed != "" {
			return r
		}
		if !m.single(s, p, end) {
			return -1
		}
		s++
	}
}

func (m *matcher) open(s, p, kind int) int {
	if m.level == maxCaptures {
		return m.fail("too many captures")
	}
	m.captures[m.level].start, m.captures[m.level].len = s, kind
	m.level++
	r := m.match(s, p)
	if r < 0 {
		m.level--
	}
	return r
}

func (m *matcher) close(s, p int) int {
	for l := m.level - 1; l >= 0; l-- {
		if m.captures[l].len != captureOpen {
			continue
		}
		m.captures[l].len = s - m.captures[l].start
		r := m.match(s, p)
		if r < 0 {
			m.captures[l].len = captureOpen
		}
		return r
	}
	return m.fail("invalid pattern capture")
}

func (m *matcher) balance(s, p int) int {
	if p+1 >= len(m.pat) {
		return m.fail("unbalanced pattern")
	}
	if s >= len(m.src) || m.src[s] != m.pat[p] {
		return -1
	}
	begin, end := m.pat[p], m.pat[p+1]
	depth := 1
	for i := s + 1; i < len(m.src); i++ {
		m.steps++
		switch m.src[i] {
		case end:
			if depth--; depth == 0 {
				return i + 1
			}
		case begin:
			depth++
		}
	}
	return -1
}

// frontier is %f[set]: it returns where the pattern goes on.
func (m *matcher) frontier(s, p int) int {
	if p >= len(m.pat) || m.pat[p] != '[' {
		return m.fail("missing '[' after '%f' in pattern")
	}
	end := m.item(p)
	if end < 0 {
		return -1
	}
	var before, after byte
	if s > 0 {
		before = m.src[s-1]
	}
	if s < len(m.src) {
		after = m.src[s]
	}
	if m.inSet(before, p, end-1) || !m.inSet(after, p, end-1) {
		return -1
	}
	return end
}

func (m *matcher) backreference(s int, digit byte) int {
	l := int(digit) - '1'
	if l < 0 || l >= m.level || m.captures[l].len == captureOpen {
		return m.fail("invalid capture index")
	}
	if m.captures[l].len == capturePosition {
		return -1
	}
	want := m.src[m.captures[l].start:][:m.captures[l].len]
	m.steps += len(want) / 64
	if !strings.HasPrefix(m.src[s:], want) {
		return -1
	}
	return s + len(want)
}
