package upstream

import (
	"net/http"
	"strconv"
	"testing"
	"time"
)

// BenchmarkRoundTrip prints what a pool costs beside its transport alone, with
// the same server in the same run.
func BenchmarkRoundTrip(b *testing.B) {
	address := named(b, "live")
	r := newRegistry(b, Options{})
	p := startPool(b, r, upstreamOf(address))
	req := request(b, http.MethodGet, "/", nil)
	req.URL.Host = address
	transport := p.serving.Load().members[0].endpoint.transport
	trip := Trip{Retries: -1}
	exchange := func(send func() (*http.Response, error)) time.Duration {
		start := time.Now()
		resp, err := send()
		if err != nil {
			b.Fatal(err)
		}
		text(b, resp)
		return time.Since(start)
	}
	var bare, pooled time.Duration
	b.ReportAllocs()
	for b.Loop() {
		bare += exchange(func() (*http.Response, error) { return transport.RoundTrip(req) })
		pooled += exchange(func() (*http.Response, error) { return p.RoundTrip(req, &trip) })
	}
	b.ReportMetric(float64(pooled)/float64(bare), "x-transport")
}

func BenchmarkPick(b *testing.B) {
	for _, servers := range []int{1, 3, 30} {
		b.Run(strconv.Itoa(servers), func(b *testing.B) {
			balancer := weighted(make([]int, servers)...)
			for _, m := range balancer.members {
				m.weight = 1
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if balancer.pick(nil) == nil {
						b.Error("no server")
					}
				}
			})
		})
	}
}
