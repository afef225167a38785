package lua

import (
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	glua "github.com/yuin/gopher-lua"
)

// maxJSONDepth bounds tables in tables; a table that holds itself ends there.
const maxJSONDepth = 64

// encoder writes JSON under a budget.
type encoder struct {
	budget  *budget
	out     []byte
	charged int
	problem string
}

// encodeJSON writes a value. A table with an element 1 and nothing but
// elements is an array; every other table is an object, its names sorted.
func encodeJSON(b *budget, v glua.LValue) (data []byte, problem string) {
	e := encoder{budget: b}
	e.value(v, 0)
	if e.problem != "" {
		return nil, e.problem
	}
	return e.out, ""
}

// fail keeps the first problem.
func (e *encoder) fail(problem string) {
	if e.problem == "" {
		e.problem = problem
	}
}

// charge pays for what was written since it was last called.
func (e *encoder) charge(more int) bool {
	n := len(e.out) - e.charged + more
	e.charged += n
	e.budget.left -= int64(n / 64)
	if !e.budget.take(2*n) || e.charged > maxString {
		e.fail("over the limit of memory")
	}
	return e.problem == ""
}

func (e *encoder) value(v glua.LValue, depth int) {
	if !e.charge(8) {
		return
	}
	switch v := v.(type) {
	case *glua.LNilType:
		e.out = append(e.out, "null"...)
	case glua.LBool:
		e.out = strconv.AppendBool(e.out, bool(v))
	case glua.LNumber:
		e.number(float64(v))
	case glua.LString:
		e.string(string(v))
	case *glua.LTable:
		e.table(v, depth+1)
	default:
		e.fail("a " + v.Type().String() + " has no JSON")
	}
}

func (e *encoder) number(f float64) {
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		e.fail("the number " + number(f) + " has no JSON")
	case f == math.Trunc(f) && math.Abs(f) < 1<<53:
		e.out = strconv.AppendInt(e.out, int64(f), 10)
	default:
		e.out = strconv.AppendFloat(e.out, f, 'g', -1, 64)
	}
}

func (e *encoder) table(t *glua.LTable, depth int) {
	if depth > maxJSONDepth {
		e.fail("nested more than 64 levels deep, or holding itself")
		return
	}
	fields := map[string]glua.LValue{}
	elements := 0
	t.ForEach(func(k, v glua.LValue) {
		if _, ok := k.(glua.LNumber); ok {
			elements++
		}
		name, ok := text(k)
		if !ok {
			e.fail("a " + k.Type().String() + " cannot name a field")
		}
		if e.charge(32 + len(name)) {
			fields[name] = v
		}
	})
	if e.problem != "" {
		return
	}
	if n := t.Len(); n > 0 && elements == n && len(fields) == n {
		e.array(t, n, depth)
		return
	}
	if len(fields) == 0 {
		e.out = append(e.out, "{}"...)
		return
	}
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		e.out = append(e.out, "{,"[min(i, 1)])
		e.string(name)
		e.out = append(e.out, ':')
		e.value(fields[name], depth)
	}
	e.out = append(e.out, '}')
}

func (e *encoder) array(t *glua.LTable, n, depth int) {
	for i := range n {
		e.out = append(e.out, "[,"[min(i, 1)])
		e.value(t.RawGetInt(i+1), depth)
	}
	e.out = append(e.out, ']')
}

// string quotes s; bytes that are no UTF-8 become U+FFFD.
func (e *encoder) string(s string) {
	if !e.charge(len(s)) {
		return
	}
	const hex = "0123456789abcdef"
	e.out = append(e.out, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			e.out = append(e.out, '\\', byte(r))
		case r == '\n':
			e.out = append(e.out, `\n`...)
		case r < 0x20 || r == 0x7f:
			e.out = append(e.out, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			e.out = utf8.AppendRune(e.out, r)
		}
	}
	e.out = append(e.out, '"')
}
