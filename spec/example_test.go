package spec_test

import (
	"fmt"
	"testing/fstest"

	"keystone-gateway/spec"
)

func ExampleLoad() {
	files := fstest.MapFS{"configs/tenants/shop.yaml": {Data: []byte(`tenants:
  - name: shop
    domains: [Shop.Example.com]
    services:
      - {url: "http://10.0.0.1:8080"}
  - name: blog
    domains: [blog.example.com]
    upstreams:
      pages: {servers: [{url: "http://10.0.0.2:8080"}]}
    routes:
      - {match: {path: "/*"}, upstream: page}
`)}}
	gateway, diagnostics := spec.Load(&spec.Input{
		FS:      files,
		Hashes:  map[string]string{"configs/tenants/shop.yaml": "6b23c0"}, // whatever tells one content from another
		Tenants: "configs/tenants",
		Scripts: "scripts",
	}, nil)

	fmt.Println(gateway.Tenants["shop"].Claims())
	fmt.Println(gateway.Failed["blog"].Claims)
	for _, d := range diagnostics {
		fmt.Println(d)
	}
	// Output:
	// [{shop.example.com }]
	// [{blog.example.com }]
	// configs/tenants/shop.yaml:11:41: error: route "/*": upstream "page" is not defined (did you mean "pages"?)
}
