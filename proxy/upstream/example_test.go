package upstream_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"keystone-gateway/proxy/upstream"
	"keystone-gateway/spec"
)

func Example() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintln(w, "hello from", r.URL.Path)
	}))
	defer server.Close()

	registry := upstream.NewRegistry(upstream.Options{})
	defer func() { _ = registry.Close() }() // it never fails

	pool := registry.NewPool("shop", &spec.Upstream{
		Name: "default",
		Servers: []spec.Server{
			{Name: "a", Scheme: "http", Host: server.Listener.Addr().String(), Path: "/v1", Weight: 1},
		},
	})
	pool.Start()
	defer pool.Close()

	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://shop.example.com/cart", http.NoBody)
	if err != nil {
		fmt.Println(err)
		return
	}
	trip := upstream.Trip{Retries: -1}
	resp, err := pool.RoundTrip(req, &trip)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = resp.Body.Close() }() // read to its end below
	body, err := io.ReadAll(resp.Body)
	fmt.Printf("%s%s in %d try, %v\n", body, trip.Server, trip.Attempts, err)
	// Output:
	// hello from /v1/cart
	// a in 1 try, <nil>
}
