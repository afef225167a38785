package lua

import (
	"math"
	"strconv"
	"strings"

	glua "github.com/yuin/gopher-lua"
)

// number writes f as Lua 5.1 does: %.14g.
func number(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case math.IsNaN(f):
		return "nan"
	case f == math.Trunc(f) && math.Abs(f) < 1e14 && (f != 0 || !math.Signbit(f)):
		return strconv.FormatInt(int64(f), 10)
	}
	return strconv.FormatFloat(f, 'g', 14, 64)
}

// text is the string of a string or number, which Lua converts unasked.
func text(v glua.LValue) (string, bool) {
	switch v := v.(type) {
	case glua.LString:
		return string(v), true
	case glua.LNumber:
		return number(float64(v)), true
	}
	return "", false
}

// parseNumber reads a number as the Lua lexer does: decimal, with fraction and
// exponent, or 0x; white space around it.
func parseNumber(s string) (float64, bool) {
	const longest = 512 // no number needs more, and parsing is not charged
	if len(s) > longest {
		return 0, false
	}
	s = strings.Trim(s, " \t\n\v\f\r")
	digits, negative := strings.CutPrefix(s, "-")
	if !negative {
		digits = strings.TrimPrefix(digits, "+")
	}
	f, ok := parseDigits(digits)
	if negative {
		f = -f
	}
	return f, ok
}

func parseDigits(s string) (float64, bool) {
	if len(s) > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') {
		n, err := strconv.ParseUint(s[2:], 16, 64)
		return float64(n), err == nil
	}
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9', c == '.', c == 'e', c == 'E':
		case (c == '-' || c == '+') && i > 0 && (s[i-1] == 'e' || s[i-1] == 'E'):
		default:
			return 0, false // and so no "inf", "nan", "1_000", "0b1"
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(f, 0) { // out of range is infinity, as in C
		return 0, false
	}
	return f, true
}

// parseInBase is tonumber(s, base).
func parseInBase(s string, base int) (float64, bool) {
	if len(s) > 512 {
		return 0, false
	}
	s = strings.Trim(s, " \t\n\v\f\r")
	digits, negative := strings.CutPrefix(s, "-")
	if base == 16 && len(digits) > 2 && digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X') {
		digits = digits[2:]
	}
	n, err := strconv.ParseUint(digits, base, 64)
	if err != nil {
		return 0, false
	}
	if negative {
		return -float64(n), true
	}
	return float64(n), true
}
