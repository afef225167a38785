package lua

import (
	"math"

	glua "github.com/yuin/gopher-lua"
)

// The checks of a native's arguments. They raise in the words of Lua 5.1 and
// use its conversions: numbers are strings where a string is wanted, and
// numeric strings are numbers.

func badArg(L *glua.LState, n int, fn, problem string) {
	L.RaiseError("bad argument #%d to '%s' (%s)", n, fn, problem)
}

func badType(L *glua.LState, n int, fn, want string) {
	badArg(L, n, fn, want+" expected, got "+typeOf(L, n))
}

func typeOf(L *glua.LState, n int) string {
	if n > L.GetTop() {
		return "no value"
	}
	return L.Get(n).Type().String()
}

func anyArg(L *glua.LState, n int, fn string) glua.LValue {
	if n > L.GetTop() {
		badArg(L, n, fn, "value expected")
	}
	return L.Get(n)
}

func stringArg(L *glua.LState, n int, fn string) string {
	s, ok := text(L.Get(n))
	if !ok {
		badType(L, n, fn, "string")
	}
	return s
}

func stringOr(L *glua.LState, n int, fn, otherwise string) string {
	if L.Get(n) == glua.LNil {
		return otherwise
	}
	return stringArg(L, n, fn)
}

func numberArg(L *glua.LState, n int, fn string) float64 {
	switch v := L.Get(n).(type) {
	case glua.LNumber:
		return float64(v)
	case glua.LString:
		if f, ok := parseNumber(string(v)); ok {
			return f
		}
	}
	badType(L, n, fn, "number")
	return 0
}

// intArg cuts off the fraction, and what an int cannot hold becomes the
// nearest that it can.
func intArg(L *glua.LState, n int, fn string) int { return toInt(numberArg(L, n, fn)) }

func intOr(L *glua.LState, n int, fn string, otherwise int) int {
	if L.Get(n) == glua.LNil {
		return otherwise
	}
	return intArg(L, n, fn)
}

func tableArg(L *glua.LState, n int, fn string) *glua.LTable {
	t, ok := L.Get(n).(*glua.LTable)
	if !ok {
		badType(L, n, fn, "table")
	}
	return t
}

func functionArg(L *glua.LState, n int, fn string) *glua.LFunction {
	f, ok := L.Get(n).(*glua.LFunction)
	if !ok {
		badType(L, n, fn, "function")
	}
	return f
}

// toInt keeps away from the ends of an int, so that adding one to it is safe.
func toInt(f float64) int {
	const far = 1 << 52
	if math.IsNaN(f) {
		return 0
	}
	return int(max(-far, min(f, far)))
}
