package lua

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// FuzzCompile: whatever the source, it compiles and runs within a small budget
// or fails, and the state afterwards computes right or is thrown away.
func FuzzCompile(f *testing.F) {
	for _, dir := range []string{"testdata/corpus", "../../shared/lua-corpus"} {
		paths, err := filepath.Glob(dir + "/*.lua")
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(data))
		}
	}
	f.Add("keystone.group('/a', function(g) g.use(function() end) g.get('/{b}', function(req) return 200, {req.path} end) end)")
	f.Add("local t = {1, [{}] = 2, ['x'] = ...} t[#t + 1], t.y = -t.x .. 'a' .. #t, not t return t")
	f.Fuzz(func(t *testing.T, source string) {
		o := options("")
		o.Scripts = []string{"shop/main.lua", "probe.lua"}
		o.Source = files{
			"shop/main.lua": source,
			"probe.lua":     "keystone.use(function() local t = {} t[1] = 'a' .. 'b' return 200, t[1] .. #t end)",
		}
		o.Limits = Limits{Instructions: 20_000, LoadInstructions: 20_000, Alloc: 1 << 20}
		start := time.Now()
		p, err := Compile(t.Context(), o)
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("compiling and loading took %v", took)
		}
		if err != nil {
			return
		}
		s := p.first
		if s.budget.used > 20_000 {
			t.Errorf("it used %d instructions", s.budget.used)
		}
		for i, f := range s.registration.functions {
			d, err := s.call(t.Context(), Chain{int32(i)}, asking("/"))
			if err != nil {
				return // it is thrown away
			}
			if i == len(s.registration.functions)-1 && f.fn.Proto.SourceName == "probe.lua" && string(d.Body) != "ab1" {
				t.Errorf("the state computed %q, want ab1", d.Body)
			}
		}
	})
}

// FuzzPattern: matching ends, and stays within its subject.
func FuzzPattern(f *testing.F) {
	for _, seed := range [][2]string{
		{"hello world", "(%w+) (%w+)"},
		{"f(a(b)c)", "%b()"},
		{"THE (quick) fox", "%f[%a]%a+%f[%A]"},
		{"x]y", "[]]"},
		{"abab", "(ab)%1"},
		{"", "()"},
		{"aaa", "a-$"},
		{"x", "[%"},
		{"a", "%"},
		{"a", "[a-"},
		{"z", "[^%s-%d]*"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, subject, pattern string) {
		m := begin(subject, pattern)
		start, end, ok := m.find(0)
		if ok && (start < 0 || end < start || end > len(subject)) {
			t.Errorf("matched %d to %d of %d bytes", start, end, len(subject))
		}
		if most := maxPatternSteps + 2*(len(subject)+1)*(len(pattern)+1); m.steps > most {
			t.Errorf("took %d steps, want at most %d", m.steps, most)
		}
		for i := range m.level {
			if c := m.captures[i]; ok && c.len >= 0 && c.start+c.len > len(subject) {
				t.Errorf("capture %d is out of bounds", i)
			}
		}
	})
}
