package proxy_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing/fstest"

	"keystone-gateway/proxy"
	"keystone-gateway/proxy/upstream"
	"keystone-gateway/spec"
)

func Example() {
	builder := proxy.NewBuilder(proxy.BuilderOptions{Registry: upstream.NewRegistry(upstream.Options{})})
	shop := &spec.Tenant{
		Name:    "shop",
		Domains: []string{"shop.example.com"},
		Routes:  []spec.Route{{Path: "/ping", Respond: &spec.Respond{Status: 200, Body: "pong"}}},
	}
	tenant, wrong := builder.Build(context.Background(), shop, &spec.Input{FS: fstest.MapFS{}})
	if wrong != nil {
		fmt.Println(wrong)
		return
	}

	server := proxy.New(proxy.Options{})
	slot := &proxy.Slot{Name: "shop", Tenant: tenant, State: proxy.Current, Claims: shop.Claims()}
	server.Swap(proxy.NewGeneration(1, []*proxy.Slot{slot}), "4f2a9c1")

	answer := httptest.NewRecorder()
	server.ServeHTTP(answer, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "http://shop.example.com/ping", nil))
	fmt.Println(answer.Code, answer.Body)
	// Output: 200 pong
}
