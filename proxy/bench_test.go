//go:build unix

package proxy

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkForward measures what a proxied request costs in processor time,
// client and upstream included, and prints the ratio to httputil.ReverseProxy
// behind the same kind of server in the same run.
func BenchmarkForward(b *testing.B) {
	body := strings.Repeat("x", 1024)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
	b.Cleanup(up.Close)
	w := newWorld(b, func(o *Options) { o.AccessLog = false }, tenantOf("shop", up.URL, "shop.example"))

	target, err := url.Parse(up.URL)
	if err != nil {
		b.Fatal(err)
	}
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100}
	b.Cleanup(transport.CloseIdleConnections)
	peer := httptest.NewServer(&httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.SetXForwarded()
		},
	})
	b.Cleanup(peer.Close)

	client := w.client()
	run := func(ctx context.Context, base string, n int) time.Duration {
		began := processorTime(b)
		for range n {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/a/b", nil)
			if err != nil {
				b.Fatal(err)
			}
			r.Host = "shop.example"
			resp, err := client.Do(r)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				b.Fatal(err)
			}
			_ = resp.Body.Close()
		}
		return processorTime(b) - began
	}
	const turn = 200
	var ours, theirs, direct time.Duration
	turns := 0
	for b.Loop() {
		ours += run(b.Context(), "http://"+w.addr, turn)
		theirs += run(b.Context(), peer.URL, turn)
		direct += run(b.Context(), up.URL, turn)
		turns++
	}
	// The client's and the upstream's own cost is in all three.
	b.ReportMetric(float64((ours-direct).Nanoseconds())/float64(turns*turn), "ns/forward")
	b.ReportMetric(float64(ours-direct)/float64(theirs-direct), "of-ReverseProxy")
}

func processorTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
