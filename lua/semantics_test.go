package lua

import "testing"

// TestSemantics holds the libraries to Lua 5.1 where the interpreter's own
// differ, or where ours could.
func TestSemantics(t *testing.T) {
	tests := []struct{ name, body, want string }{
		{"infinity has C's name", "return tostring(1/0), tostring(-1/0)", "inf,-inf"},
		{"numbers print 14 digits", "return 0.1 + 0.2, 1e15, 2^53, 1e100, -0.5, 100000000000000", "0.3,1e+15,9.007199254741e+15,1e+100,-0.5,1e+14"},
		{"leading zeros are decimal", "return 010, 007.5, 0x10, 0010", "10,7.5,16,10"},
		{"tonumber reads Lua's numbers alone", "return tonumber(' 0x1F '), tonumber('1e2'), tonumber('0b1'), tonumber('1_000'), tonumber('inf'), tonumber(''), tonumber('-7')", "31,100,nil,nil,nil,nil,-7"},
		{"tonumber with a base", "return tonumber('ff', 16), tonumber('zz', 36), tonumber('8', 8), tonumber('-101', 2)", "255,1295,nil,-5"},
		{"find is clamped", "return ('abc'):find('b', -10), ('abc'):find('', 10)", "2,4,3"},
		{"find plain", "return ('a.b'):find('.', 1, true)", "2,2"},
		{"captures", "return ('key = value'):match('^(%w+)%s*=%s*(%w+)$')", "key,value"},
		{"position captures", "return ('hello'):find('()ll()')", "3,4,3,5"},
		{"balanced and frontier", "return ('f(a(b)c)d'):match('%b()'), ('THE (quick) fox'):find('%f[%a]%a+%f[%A]')", "(a(b)c),1,3"},
		{"back references", `return ([["it's" x]]):match([[(["'])(.-)%1]])`, `",it's`},
		{"sets", "return ('x-y]z'):gsub('[]-]', '_'), ('a^b'):gsub('[%^]', '')", "x_y_z,ab,1"},
		{"lazy", "return ('<a><b>'):match('<(.-)>')", "a"},
		{"gsub with all kinds", "return (('abc'):gsub('%w', '%0%0')), (('hello world'):gsub('o', {o = '0'})), (('abc'):gsub('', '-')), ('abc'):gsub('b', function() return false end)", "aabbcc,hell0 w0rld,-a-b-c-,abc,1"},
		{"gsub counts", "return ('aaa'):gsub('a', 'b', 2)", "bba,2"},
		{"gsub anchored", "return ('aaa'):gsub('^a', 'b')", "baa,1"},
		{"gmatch with captures", "local t = {} for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do t[#t+1] = k .. v end return table.concat(t, ';')", "a1;b2"},
		{"format", "return string.format('%5d|%-5s|%05.1f|%x|%q|%%|%c|%g|%i', 42, 'ab', 3.14159, 255, 'a\"b', 65, 0.1, 7)", `   42|ab   |003.1|ff|"a\"b"|%|A|0.1|7`},
		{"format uses __tostring", "return string.format('%s', setmetatable({}, {__tostring = function() return 'T' end}))", "T"},
		{"format of infinity", "return string.format('%5.1f|%d', 1/0, 3.9)", "  inf|3"},
		{"sub and byte", "return ('hello'):sub(2, -2), ('hello'):sub(-3), ('hello'):sub(4, 2), ('abc'):byte(-1)", "ell,llo,,99"},
		{"byte of several", "return ('abc'):byte(1, -1)", "97,98,99"},
		{"rep, reverse, case", "return ('ab'):rep(3), ('abc'):reverse(), ('aBc'):upper(), ('aBc'):lower(), ('x'):rep(-1)", "ababab,cba,ABC,abc,"},
		{"concatenation", "return 1 .. 2, 'a' .. 1.5 .. 'b', (function() return 'x', 'y' end)() .. 'z'", "12,a1.5b,xz"},
		{"__concat", "local t = setmetatable({}, {__concat = function(a, b) return type(a) .. type(b) end}) return t .. 'x', 'a' .. 'b' .. t", "tablestring,astringtable"},
		{"concatenating nil", "return pcall(function() return 'a' .. nil end)", "false,shop/main.lua:8: attempt to concatenate a nil value"},
		{"table constructors", "local k = 'z' local t = {1, 2, x = 3, [k] = 4, [10] = 5, [1e6] = 6, (function() return 7, 8 end)()} return #t >= 4, t[1], t[4], t.x, t.z, t[10], t[1e6]", "true,1,8,3,4,5,6"},
		{"a call before a computed key gives one value", "local function f() return 1, 2 end local t = {f(), [5 + 95] = 9} return t[1], t[2], t[100]", "1,nil,9"},
		{"swapping elements", "local t, i, j = {1, 2}, 1, 2 t[i], t[j] = t[j], t[i] return t[1], t[2]", "2,1"},
		{"mixed assignment", "local t, x = {} x, t[1], t.y = 1, 2 return x, t[1], t.y", "1,2,nil"},
		{"assignment evaluates first", "local i, t = 1, {} i, t[i] = i + 1, 20 return i, t[1], t[2]", "2,20,nil"},
		{"varargs", "local function f(...) return select('#', ...), ... end return f(nil, nil)", "2,nil,nil"},
		{"unpack", "return unpack({1, 2, 3}, 2)", "2,3"},
		{"insert and remove", "local t = {1, 3} table.insert(t, 2, 2) table.insert(t, 4) return table.remove(t), table.remove(t, 1), table.concat(t, ';')", "4,1,2;3"},
		{"sort", "local t = {3, 1, 2} table.sort(t, function(a, b) return a > b end) return table.concat(t, ';')", "3;2;1"},
		{"pairs skips removed keys", "local t = {a = 1, b = 2} for k in pairs(t) do t[k] = nil end return next(t)", "nil"},
		{"rawset and rawget", "local t = setmetatable({}, {__newindex = function() end}) t.x = 1 rawset(t, 'y', 2) return t.x, rawget(t, 'y')", "nil,2"},
		{"__newindex with computed keys", "local log = {} local t = setmetatable({}, {__newindex = function(_, k, v) rawset(log, k, v) end}) local k = 'a' t[k] = 1 return t.a, log.a", "nil,1"},
		{"pcall gives the error", "return pcall(error, {code = 1})", "false,table"},
		{"error levels", "local function f() error('x', 2) end return pcall(function() f() end)", "false,shop/main.lua:8: x"},
		{"xpcall's handler sees the error", "return xpcall(function() error('x', 0) end, function(e) return 'got ' .. e end)", "false,got x"},
		{"an error in the handler", "return xpcall(function() error('x') end, function() error('y') end)", "false,error in error handling"},
		{"assert keeps objects", "local e = {} local ok, got = pcall(assert, false, e) return ok, got == e", "false,true"},
		{"closures live on after pcall", "local n = 0 local function inc() n = n + 1 end pcall(function() inc() error('x') end) inc() return n", "2"},
		{"coroutines", "local co = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b * 2 end) return co(1), co(10)", "2,20"},
		{"a failed coroutine is dead", "local co = coroutine.create(function() error('x', 0) end) local ok, e = coroutine.resume(co) return ok, e, coroutine.status(co), coroutine.resume(co)", "false,x,dead,false,cannot resume dead coroutine"},
		{"yield across pcall", "local co = coroutine.create(function() return pcall(coroutine.yield, 1) end) return coroutine.resume(co)", "true,false, attempt to yield from outside a coroutine"},
		{"a coroutine cannot resume itself", "local co co = coroutine.create(function() return coroutine.resume(co) end) return coroutine.resume(co)", "true,false,cannot resume running coroutine"},
		{"no address in an error", "return pcall(function() local x return x[{}] end)", "false,shop/main.lua:8: attempt to index a non-table object(nil) with key 'table'"},
		{"no metatable of strings", "return getmetatable(''), getmetatable(string), getmetatable(setmetatable({}, {__metatable = 1}))", "nil,false,1"},
		{"math", "return math.max(1, 3, 2), math.floor(-1.5), math.huge, math.fmod(7, 3), math.pi > 3, math.modf(3.5)", "3,-2,inf,1,true,3,0.5"},
		{"random is in its range", "for i = 1, 100 do local r = math.random(3) assert(r >= 1 and r <= 3) end return math.random(5, 5)", "5"},
		{"goto and repeat", "local i = 0 ::top:: i = i + 1 if i < 3 then goto top end repeat i = i + 1 until i > 5 return i", "6"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := eval(t, test.body); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}
