package lua

import (
	"math"

	glua "github.com/yuin/gopher-lua"
)

// mathLibrary is Lua's without randomseed: each state seeds its own generator.
func mathLibrary() []entry {
	one := func(name string, f func(float64) float64) entry {
		return entry{name, func(_ *state, L *glua.LState) int {
			return push(L, glua.LNumber(f(numberArg(L, 1, name))))
		}}
	}
	two := func(name string, f func(a, b float64) float64) entry {
		return entry{name, func(_ *state, L *glua.LState) int {
			return push(L, glua.LNumber(f(numberArg(L, 1, name), numberArg(L, 2, name))))
		}}
	}
	return []entry{
		one("abs", math.Abs), one("acos", math.Acos), one("asin", math.Asin), one("atan", math.Atan),
		one("ceil", math.Ceil), one("cos", math.Cos), one("cosh", math.Cosh), one("exp", math.Exp),
		one("floor", math.Floor), one("log", math.Log), one("log10", math.Log10), one("sin", math.Sin),
		one("sinh", math.Sinh), one("sqrt", math.Sqrt), one("tan", math.Tan), one("tanh", math.Tanh),
		one("deg", func(f float64) float64 { return f * 180 / math.Pi }),
		one("rad", func(f float64) float64 { return f * math.Pi / 180 }),
		two("atan2", math.Atan2), two("fmod", math.Mod), two("pow", math.Pow),
		two("ldexp", func(a, b float64) float64 { return math.Ldexp(a, toInt(b)) }),
		{"frexp", mathFrexp},
		{"max", func(s *state, L *glua.LState) int {
			return mathBest(s, L, "max", func(a, b float64) bool { return a > b })
		}},
		{"min", func(s *state, L *glua.LState) int {
			return mathBest(s, L, "min", func(a, b float64) bool { return a < b })
		}},
		{"modf", mathModf},
		{"random", mathRandom},
	}
}

func mathConstants() map[string]glua.LNumber {
	return map[string]glua.LNumber{"pi": math.Pi, "huge": glua.LNumber(math.Inf(1))}
}

func mathFrexp(_ *state, L *glua.LState) int {
	fraction, exponent := math.Frexp(numberArg(L, 1, "frexp"))
	return push(L, glua.LNumber(fraction), glua.LNumber(exponent))
}

func mathModf(_ *state, L *glua.LState) int {
	f := numberArg(L, 1, "modf")
	if math.IsInf(f, 0) {
		return push(L, glua.LNumber(f), glua.LNumber(0))
	}
	whole, fraction := math.Modf(f)
	return push(L, glua.LNumber(whole), glua.LNumber(fraction))
}

func mathBest(_ *state, L *glua.LState, name string, better func(a, b float64) bool) int {
	best := numberArg(L, 1, name)
	for i := 2; i <= L.GetTop(); i++ {
		if f := numberArg(L, i, name); better(f, best) {
			best = f
		}
	}
	return push(L, glua.LNumber(best))
}

func mathRandom(s *state, L *glua.LState) int {
	if L.GetTop() == 0 {
		return push(L, glua.LNumber(s.random.Float64()))
	}
	low, high := 1, intArg(L, 1, "random")
	if L.GetTop() > 1 {
		low, high = high, intArg(L, 2, "random")
	}
	if low > high {
		badArg(L, L.GetTop(), "random", "interval is empty")
	}
	return push(L, glua.LNumber(low+s.random.IntN(high-low+1)))
}
