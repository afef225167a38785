package spec_test

import (
	"fmt"
	"testing"
	"time"

	"keystone-gateway/spec"
)

// BenchmarkOneOfTenThousand loads a tree of 10,000 files of which one changed,
// and prints what that costs against loading them all.
func BenchmarkOneOfTenThousand(b *testing.B) {
	files := map[string]string{}
	for i := range 10_000 {
		name := fmt.Sprintf("t%05d", i)
		files["scripts/"+name+"/main.lua"] = "return"
		files["configs/tenants/"+name+".yaml"] = fmt.Sprintf(`tenants:
  - name: %s
    domains: [%s.example.com, "*.%s.example.com"]
    lua_routes: %s/main
    services:
      - {name: a, url: "http://10.0.0.1:8080", health: /healthz}
      - {name: b, url: "http://10.0.0.2:8080", health: /healthz}
    health_interval: 10
    routes:
      - {match: {path: "/users/{id}", methods: [GET]}, upstream: default, rewrite: {path: "/u/{id}"}}
      - {match: {path: "/*"}, upstream: default}
`, name, name, name, name)
	}
	in := tree(files)
	begin := time.Now()
	g, ds := spec.Load(in, nil)
	full := time.Since(begin)
	if len(ds) > 0 || len(g.Tenants) != 10_000 {
		b.Fatal(len(g.Tenants), ds[:min(len(ds), 3)])
	}
	for i := 0; b.Loop(); i++ {
		put(in, "configs/tenants/t00000.yaml", fmt.Sprintf("# %d\n%s", i, files["configs/tenants/t00000.yaml"]))
		if g, _ = spec.Load(in, g); len(g.Tenants) != 10_000 {
			b.Fatal(len(g.Tenants))
		}
	}
	b.ReportMetric(float64(full)/(float64(b.Elapsed())/float64(b.N)), "full/one")
	b.ReportMetric(float64(full.Milliseconds()), "full-ms")
}
