package lua

import "testing"

func BenchmarkCall(b *testing.B) {
	for _, bench := range []struct{ name, body string }{
		{"answering with a status", "return 204"},
		{"reading a header and setting one", "if req.headers['X-Key'] == 'a' then req.headers['X-User'] = 'ann' end return keystone.proxy('search')"},
		{"answering with JSON", "return 200, {id = req.id, ok = true}"},
		{"a thousand steps", "local n = 0 for i = 1, 1000 do n = n + i end return 200, n"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			pool, chain := handling(b, bench.body)
			req := asking("/")
			req.HTTP.Header.Set("X-Key", "a")
			b.ReportAllocs()
			for b.Loop() {
				if _, err := pool.Call(b.Context(), chain, req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkNewState(b *testing.B) {
	p := compiled(b, options("keystone.get('/', function() return 200 end)"))
	b.ReportAllocs()
	for b.Loop() {
		s, err := p.newAlike(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		s.close()
	}
}
