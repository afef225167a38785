package lua

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	glua "github.com/yuin/gopher-lua"
)

// verb is one conversion of string.format, as C has them.
type verb struct {
	flags     string
	width     int
	precision int // -1 when not given
	letter    byte
}

func stringFormat(s *state, L *glua.LState) int {
	format := stringArg(L, 1, "format")
	var b strings.Builder
	arg := 1
	for {
		i := strings.IndexByte(format, '%')
		if i < 0 {
			s.extend(L, &b, format)
			break
		}
		s.extend(L, &b, format[:i])
		format = format[i+1:]
		if strings.HasPrefix(format, "%") {
			s.extend(L, &b, "%")
			format = format[1:]
			continue
		}
		v, rest, problem := parseVerb(format)
		if problem != "" {
			L.RaiseError("%s", problem)
		}
		format = rest
		arg++
		s.step(L, 8)
		s.extend(L, &b, s.formatArg(L, v, arg))
	}
	s.alloc(L, 32)
	return push(L, glua.LString(b.String()))
}

// parseVerb reads what follows a '%'. Widths and precisions have at most two
// digits, as in the reference implementation.
func parseVerb(f string) (v verb, rest, problem string) {
	n := len(f) - len(strings.TrimLeft(f, "-+ #0"))
	if n > 5 {
		return v, "", "invalid format (repeated flags)"
	}
	v.flags, f = f[:n], f[n:]
	v.width, f = twoDigits(f)
	v.precision = -1
	if strings.HasPrefix(f, ".") {
		v.precision, f = twoDigits(f[1:])
	}
	if f == "" {
		return v, "", "invalid option '%' to 'format'"
	}
	if isDigit(f[0]) {
		return v, "", "invalid format (width or precision too long)"
	}
	v.letter = f[0]
	return v, f[1:], ""
}

func twoDigits(s string) (n int, rest string) {
	for i := 0; i < 2 && s != "" && isDigit(s[0]); i++ {
		n = n*10 + int(s[0]-'0')
		s = s[1:]
	}
	return n, s
}

// formatArg formats argument n.
func (s *state) formatArg(L *glua.LState, v verb, n int) string {
	switch v.letter {
	case 'c':
		return v.pad(string([]byte{byte(intArg(L, n, "format"))})) //nolint:gosec // %c takes the low byte, as in C
	case 'd', 'i':
		return v.sprintf('d', toInt64(numberArg(L, n, "format")))
	case 'u':
		return v.sprintf('d', uint64(toInt64(numberArg(L, n, "format")))) //nolint:gosec // %u of a negative number wraps, as in C
	case 'o', 'x', 'X':
		return v.sprintf(v.letter, uint64(toInt64(numberArg(L, n, "format")))) //nolint:gosec // as %u
	case 'e', 'E', 'f', 'g', 'G':
		return v.float(numberArg(L, n, "format"))
	case 'q':
		str := stringArg(L, n, "format")
		s.str(L, 2*len(str))
		return quote(str)
	case 's':
		str := s.display(L, anyArg(L, n, "format"))
		if v.precision >= 0 && v.precision < len(str) {
			str = str[:v.precision]
		}
		return v.pad(str)
	}
	L.RaiseError("invalid option '%%%s' to 'format'", string(rune(v.letter)))
	return ""
}

// toInt64 is a C cast where that is defined, and the nearest value elsewhere.
func toInt64(f float64) int64 {
	switch {
	case math.IsNaN(f) || f <= math.MinInt64:
		return math.MinInt64
	case f >= math.MaxInt64:
		return math.MaxInt64
	}
	return int64(f)
}

func (v verb) sprintf(letter byte, value any) string {
	var f strings.Builder
	f.WriteByte('%')
	f.WriteString(v.flags)
	if v.width > 0 {
		f.WriteString(strconv.Itoa(v.width))
	}
	if v.precision >= 0 {
		f.WriteByte('.')
		f.WriteString(strconv.Itoa(v.precision))
	}
	f.WriteByte(letter)
	return fmt.Sprintf(f.String(), value)
}

func (v verb) float(f float64) string {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		t := number(f)
		if v.letter < 'a' {
			t = strings.ToUpper(t)
		}
		if strings.Contains(v.flags, "+") && f > 0 {
			t = "+" + t
		}
		return v.pad(t)
	}
	if v.precision < 0 {
		v.precision = 6
	}
	return v.sprintf(v.letter, f)
}

// pad fills up to the width, counting bytes.
func (v verb) pad(s string) string {
	fill := v.width - len(s)
	switch {
	case fill <= 0:
		return s
	case strings.Contains(v.flags, "-"):
		return s + strings.Repeat(" ", fill)
	default:
		return strings.Repeat(" ", fill) + s
	}
}

// quote writes s so that the Lua lexer reads it back.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\', '\n':
			b.WriteByte('\\')
			b.WriteByte(c)
		case '\r':
			b.WriteString(`\r`)
		case 0:
			b.WriteString(`\000`)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
