package lua

import (
	"math"
	"sort"
	"strings"

	glua "github.com/yuin/gopher-lua"
)

// What tables cost, in bytes, roughly: one with a few string keys is a struct,
// two maps and their order.
const (
	tableCost = 512
	slotCost  = 16  // in the array part
	fieldCost = 128 // in the maps, with the key in their order
)

// newTable stands in for a constructor: the table just made, how many of its
// fields had constant keys, then keys and values to set. Without arguments it
// makes an empty one.
func newTable(s *state, L *glua.LState) int {
	if L.GetTop() == 0 {
		s.alloc(L, tableCost)
		return push(L, L.CreateTable(0, 1))
	}
	t := L.Get(1).(*glua.LTable)
	named := int(L.Get(2).(glua.LNumber))
	pairs := L.GetTop() - 2
	if pairs == 0 || named > 0 {
		s.alloc(L, tableCost+slotCost*t.Len()+fieldCost*named)
	}
	for i := 3; i+1 <= L.GetTop(); i += 2 {
		key, value := L.Get(i), L.Get(i+1)
		s.grow(L, t, key)
		L.RawSet(t, key, value)
	}
	return push(L, t)
}

// setIndex stands in for t[k] = v.
func setIndex(s *state, L *glua.LState) int {
	object, key, value := L.Get(1), L.Get(2), L.Get(3)
	if t, ok := object.(*glua.LTable); ok {
		s.grow(L, t, key)
	}
	L.SetTable(object, key, value)
	return 0
}

// grow charges what setting key makes t allocate: an index past the end of the
// array part fills all slots up to it.
func (s *state) grow(L *glua.LState, t *glua.LTable, key glua.LValue) {
	if n, ok := key.(glua.LNumber); ok {
		if i := float64(n); i == math.Trunc(i) && i >= 1 && i < maxArray {
			if slots := int(i) - t.MaxN(); slots > 0 {
				s.alloc(L, slotCost*slots+8)
				s.step(L, slots/64)
			}
			return
		}
	}
	if t.RawGet(key) == glua.LNil {
		s.alloc(L, fieldCost)
	}
}

// concat stands in for a .. b .. c.
func concat(s *state, L *glua.LState) int {
	top := L.GetTop()
	size := 0
	var few [8]string
	parts := few[:0]
	for i := 1; i <= top; i++ {
		t, ok := text(L.Get(i))
		if !ok {
			return concatObjects(s, L)
		}
		size += len(t)
		parts = append(parts, t)
	}
	s.str(L, size)
	return push(L, glua.LString(strings.Join(parts, "")))
}

// concatObjects is concat where an operand is neither string nor number: right
// to left, asking for __concat.
func concatObjects(s *state, L *glua.LState) int {
	right := L.Get(-1)
	for i := L.GetTop() - 1; i >= 1; i-- {
		left := L.Get(i)
		a, ok1 := text(left)
		b, ok2 := text(right)
		if ok1 && ok2 {
			s.str(L, len(a)+len(b))
			right = glua.LString(a + b)
			continue
		}
		op := L.GetMetaField(left, "__concat")
		if op == glua.LNil {
			op = L.GetMetaField(right, "__concat")
		}
		if op == glua.LNil {
			bad := left
			if ok1 {
				bad = right
			}
			L.RaiseError("attempt to concatenate a %s value", bad.Type().String())
		}
		right = call1(L, op, left, right)
	}
	return push(L, right)
}

// at is t[i] without metamethods.
func at(t *glua.LTable, i int) glua.LValue {
	if i < maxArray {
		return t.RawGetInt(i) // nil below one
	}
	return t.RawGet(glua.LNumber(i))
}

// call1 calls fn and returns its first result.
func call1(L *glua.LState, fn glua.LValue, args ...glua.LValue) glua.LValue {
	L.Push(fn)
	push(L, args...)
	L.Call(len(args), 1)
	result := L.Get(-1)
	L.Pop(1)
	return result
}

func tableLibrary() []entry {
	return []entry{
		{"concat", tableConcat},
		{"getn", tableGetn},
		{"insert", tableInsert},
		{"maxn", tableMaxn},
		{"remove", tableRemove},
		{"sort", tableSort},
	}
}

func tableConcat(s *state, L *glua.LState) int {
	t := tableArg(L, 1, "concat")
	sep := stringOr(L, 2, "concat", "")
	from := intOr(L, 3, "concat", 1)
	to := intOr(L, 4, "concat", t.Len())
	var b strings.Builder
	for i := from; i <= to; i++ {
		v := at(t, i)
		part, ok := text(v)
		if !ok {
			L.RaiseError("invalid value (%s) at index %d in table for 'concat'", v.Type().String(), i)
		}
		s.step(L, 1)
		s.extend(L, &b, part)
		if i < to {
			s.extend(L, &b, sep)
		}
	}
	return push(L, glua.LString(b.String()))
}

// extend appends to a string in the making, charging as it grows.
func (s *state) extend(L *glua.LState, b *strings.Builder, part string) {
	if b.Len()+len(part) > maxString {
		s.str(L, maxString+1)
	}
	s.alloc(L, len(part))
	b.WriteString(part)
}

func tableGetn(_ *state, L *glua.LState) int {
	return push(L, glua.LNumber(tableArg(L, 1, "getn").Len()))
}

func tableMaxn(s *state, L *glua.LState) int {
	most := glua.LNumber(0)
	n := 0
	tableArg(L, 1, "maxn").ForEach(func(k, _ glua.LValue) {
		n++
		if f, ok := k.(glua.LNumber); ok {
			most = max(most, f)
		}
	})
	s.step(L, n/4)
	return push(L, most)
}

func tableInsert(s *state, L *glua.LState) int {
	t := tableArg(L, 1, "insert")
	s.writable(L, t)
	n := t.Len()
	if n+1 >= maxArray {
		L.RaiseError("table too long for 'insert'")
	}
	switch L.GetTop() {
	case 2:
		s.alloc(L, slotCost)
		t.RawSetInt(n+1, L.Get(2))
	case 3:
		pos := intArg(L, 2, "insert")
		if pos < 1 || pos > n+1 {
			badArg(L, 2, "insert", "position out of bounds")
		}
		s.alloc(L, slotCost)
		s.step(L, (n-pos)/64)
		t.Insert(pos, L.Get(3))
	default:
		L.RaiseError("wrong number of arguments to 'insert'")
	}
	return 0
}

func tableRemove(s *state, L *glua.LState) int {
	t := tableArg(L, 1, "remove")
	s.writable(L, t)
	n := t.Len()
	pos := intOr(L, 2, "remove", n)
	if n == 0 || pos < 1 || pos > n {
		return 0
	}
	s.step(L, (n-pos)/64)
	return push(L, t.Remove(pos))
}

// tableSort sorts a copy, so that a comparison that changes the table, fails or
// contradicts itself leaves the table as it was or sorted somehow.
func tableSort(s *state, L *glua.LState) int {
	t := tableArg(L, 1, "sort")
	s.writable(L, t)
	less := func(a, b glua.LValue) bool { return L.LessThan(a, b) }
	if L.Get(2) != glua.LNil {
		fn := functionArg(L, 2, "sort")
		less = func(a, b glua.LValue) bool { return glua.LVAsBool(call1(L, fn, a, b)) }
	}
	n := t.Len()
	s.alloc(L, slotCost*n)
	list := make([]glua.LValue, n)
	for i := range list {
		list[i] = t.RawGetInt(i + 1)
	}
	sort.Slice(list, func(i, j int) bool {
		s.step(L, 2)
		return less(list[i], list[j])
	})
	for i, v := range list {
		t.RawSetInt(i+1, v)
	}
	return 0
}
