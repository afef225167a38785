package proxy

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keystone-gateway/spec"
)

func TestARequestBecomesAResponse(t *testing.T) {
	t.Parallel()
	up := newEcho(t, "a")
	w := newWorld(t, nil, tenantOf("shop", up.URL+"/base", "shop.example"))
	resp := w.do(http.MethodPost, "http://Shop.Example.:8080/%61/./b//c?x=1", strings.NewReader("hello"), "X-Mine", "1", "User-Agent", "")
	got := parseEcho(t, readAll(t, resp))
	id := resp.Header.Get("X-Request-Id")
	if len(id) != 32 {
		t.Errorf("request id %q", id)
	}
	want := echoed{
		Server: "a", Method: "POST", Host: "shop.example:8080", URI: "/base/a/b/c?x=1", Body: "hello", Length: 5,
		Header: http.Header{
			"Content-Length": {"5"}, "X-Mine": {"1"}, "X-Request-Id": {id},
			"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Host": {"shop.example:8080"},
			"X-Forwarded-Port": {"8080"}, "X-Forwarded-Proto": {"http"},
		},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("forwarded (-got +want):\n%s", diff)
	}

	line := w.logs.wait(t, "request", nil)
	for key, want := range map[string]any{
		"request_id": id, "tenant": "shop", "route": "/*", "method": "POST", "host": "shop.example", "path": "/a/b/c",
		"status": 200.0, "upstream": "default", "server": "s0", "attempts": 1.0, "revision": "rev1",
	} {
		if line[key] != want {
			t.Errorf("access record: %s is %v, want %v", key, line[key], want)
		}
	}
	for _, key := range []string{"bytes", "took_ms"} {
		if n, ok := line[key].(float64); !ok || n <= 0 {
			t.Errorf("access record: %s is %v", key, line[key])
		}
	}
}

func TestWhatATrustedProxySaysIsBelieved(t *testing.T) {
	t.Parallel()
	up := newEcho(t, "a")
	w := newWorld(t, func(o *Options) { o.TrustedProxies = loopback() }, tenantOf("shop", up.URL, "shop.example"))
	resp := w.do(http.MethodGet, "http://shop.example/", nil,
		"X-Forwarded-For", "6.6.6.6, 9.9.9.9", "X-Forwarded-For", "127.0.0.7", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "www.example",
		"X-Forwarded-Port", "444", "X-Request-Id", "abc-1", "Forwarded", "for=9.9.9.9")
	got := parseEcho(t, readAll(t, resp)).Header
	for name, want := range map[string]string{
		"X-Forwarded-For": "6.6.6.6, 9.9.9.9, 127.0.0.7, 127.0.0.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "www.example",
		"X-Forwarded-Port": "444", "X-Request-Id": "abc-1", "Forwarded": "for=9.9.9.9",
	} {
		if got.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
	if id := resp.Header.Get("X-Request-Id"); id != "abc-1" {
		t.Errorf("request id of the response: %q", id)
	}
}

func TestTheClientIsWhomTrustedProxiesName(t *testing.T) {
	t.Parallel()
	trusted := trust(loopback())
	tests := []struct {
		name, peer string
		header     []string
		want       string
	}{
		{"a stranger's word counts nothing", "8.8.8.8:1", []string{"1.1.1.1"}, "8.8.8.8"},
		{"a trusted peer names the client", "127.0.0.1:1", []string{"1.1.1.1"}, "1.1.1.1"},
		{"the walk stops at the first stranger", "127.0.0.1:1", []string{"6.6.6.6, 1.1.1.1, 127.0.0.2"}, "1.1.1.1"},
		{"over several lines", "127.0.0.1:1", []string{"6.6.6.6", "1.1.1.1", "127.0.0.2"}, "1.1.1.1"},
		{"all trusted: the leftmost", "127.0.0.1:1", []string{"127.0.0.3, 127.0.0.2"}, "127.0.0.3"},
		{"what is no address ends the walk", "127.0.0.1:1", []string{"1.1.1.1, unknown, 127.0.0.2"}, "127.0.0.2"},
		{"an address with a port", "127.0.0.1:1", []string{"1.1.1.1:99"}, "1.1.1.1"},
		{"IPv6, in brackets, with a port", "127.0.0.1:1", []string{"[2001:db8::1]:99"}, "2001:db8::1"},
		{"IPv4 in IPv6", "[::ffff:127.0.0.1]:1", []string{"::ffff:1.1.1.1"}, "1.1.1.1"},
		{"no header", "127.0.0.1:1", nil, "127.0.0.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := trusted.client(peerAddr(tt.peer), tt.header).String(); got != tt.want {
				t.Errorf("client %s, want %s", got, tt.want)
			}
		})
	}
}

func TestRoutesInTheirOrder(t *testing.T) {
	t.Parallel()
	def, search := newEcho(t, "default"), newEcho(t, "search")
	routed := tenantOf("routed", def.URL, "routed.example")
	routed.Upstreams["search"] = upstreamOf("search", search.URL)
	routed.Routes = []spec.Route{
		{Path: "/users/{id}", Methods: []string{"GET", "PUT"}, Upstream: "search", Rewrite: "/u/{id}"},
		{Path: "/users/{name}", Methods: []string{"DELETE"}, Respond: &spec.Respond{Status: 204}},
		{Path: "/old/*", Redirect: &spec.Redirect{To: "https://new.example/", Status: 308}},
		{Path: "/ping", Respond: &spec.Respond{Status: 200, Body: "pong"}},
		{Path: "/files/*", Upstream: "default", Rewrite: "/static/{*}"},
	}
	bare := tenantOf("bare", "", "bare.example")
	w := newWorld(t, nil, routed, bare, tenantOf("default-only", def.URL, "default.example"))

	tests := []struct {
		name, method, target string
		status               int
		uri, header, value   string
	}{
		{name: "a route with a rewrite", method: "GET", target: "http://routed.example/users/a%20b?q=1", status: 200, uri: "search /u/a%20b?q=1"},
		{name: "HEAD by a GET route", method: "HEAD", target: "http://routed.example/users/7", status: 200},
		{name: "the same shape under another method", method: "DELETE", target: "http://routed.example/users/7", status: 204},
		{name: "a method nobody has", method: "POST", target: "http://routed.example/users/7", status: 405, header: "Allow", value: "GET, HEAD, PUT, DELETE"},
		{name: "an unknown method", method: "FOOBAR", target: "http://routed.example/users/7", status: 405, header: "Allow", value: "GET, HEAD, PUT, DELETE"},
		{name: "a redirect", method: "GET", target: "http://routed.example/old/x", status: 308, header: "Location", value: "https://new.example/"},
		{name: "a fixed answer", method: "GET", target: "http://routed.example/ping", status: 200, header: "Content-Length", value: "4"},
		{name: "a fixed answer to any method", method: "FOOBAR", target: "http://routed.example/ping", status: 200},
		{name: "the rest of a path in a rewrite", method: "GET", target: "http://routed.example/files/a/b.txt", status: 200, uri: "default /static/a/b.txt"},
		{name: "no route, although default has servers", method: "GET", target: "http://routed.example/nothing", status: 404},
		{name: "no route and no default", method: "GET", target: "http://bare.example/", status: 404},
		{name: "no routes: all goes to default", method: "POST", target: "http://default.example/any/thing", status: 200, uri: "default /any/thing"},
		{name: "no tenant", method: "GET", target: "http://nobody.example/", status: 404},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp := w.do(tt.method, tt.target, nil)
			body := readAll(t, resp)
			if resp.StatusCode != tt.status {
				t.Fatalf("status %d, want %d: %s", resp.StatusCode, tt.status, body)
			}
			if tt.header != "" && resp.Header.Get(tt.header) != tt.value {
				t.Errorf("%s: %q, want %q", tt.header, resp.Header.Get(tt.header), tt.value)
			}
			if tt.uri != "" {
				if got := parseEcho(t, body); got.Server+" "+got.URI != tt.uri {
					t.Errorf("forwarded %s %s, want %s", got.Server, got.URI, tt.uri)
				}
			}
			if tt.status >= 400 {
				var problem struct {
					Status    int    `json:"status"`
					Title     string `json:"title"`
					RequestID string `json:"request_id"`
				}
				if err := json.Unmarshal([]byte(body), &problem); err != nil || problem.Status != tt.status || problem.Title == "" ||
					problem.RequestID != resp.Header.Get("X-Request-Id") || resp.Header.Get("Content-Type") != "application/problem+json" {
					t.Errorf("problem %q of type %q: %v", body, resp.Header.Get("Content-Type"), err)
				}
			}
		})
	}
}

func TestRoutesThatCannotBeAreDiagnostics(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	bad := tenantOf("bad", "http://127.0.0.1:1", "bad.example")
	bad.File = "configs/tenants/bad.yaml"
	bad.Routes = []spec.Route{
		{Path: "/a/{id}", Methods: []string{"GET"}, Upstream: "default", Place: spec.Place{Line: 3}},
		{Path: "/a/{name}", Methods: []string{"POST", "GET"}, Upstream: "default", Place: spec.Place{Line: 4}},
		{Path: "/b/{", Upstream: "default", Place: spec.Place{Line: 5}},
		{Path: "/c", Upstream: "none", Place: spec.Place{Line: 6}},
	}
	tenant, err := w.builder.Build(t.Context(), bad, emptyTree())
	if tenant != nil || err == nil {
		t.Fatal("built")
	}
	var found []int
	for _, d := range err.Diagnostics {
		if d.File != bad.File || d.Tenant != "bad" || d.Severity != spec.Error {
			t.Errorf("diagnostic %+v", d)
		}
		found = append(found, d.Line)
	}
	if want := []int{4, 5, 6}; !slices.Equal(found, want) {
		t.Errorf("diagnostics at lines %v, want %v: %v", found, want, err)
	}
}

func TestTenantRoutesAreListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	listed := tenantOf("listed", "http://127.0.0.1:1", "a.example")
	listed.File = "t.yaml"
	listed.Routes = []spec.Route{
		{Path: "/b", Methods: []string{"POST", "GET"}, Upstream: "default", Place: spec.Place{Line: 3}},
		{Path: "/a", Respond: &spec.Respond{Status: 200}, Place: spec.Place{Line: 4}},
	}
	tenant := w.build(listed)
	defer tenant.Discard()
	want := []RouteInfo{
		{Method: "*", Pattern: "/a", Layer: "yaml", Target: "respond 200", File: "t.yaml", Line: 4},
		{Method: "GET", Pattern: "/b", Layer: "yaml", Target: "upstream default", File: "t.yaml", Line: 3},
		{Method: "POST", Pattern: "/b", Layer: "yaml", Target: "upstream default", File: "t.yaml", Line: 3},
	}
	if diff := cmp.Diff(tenant.Routes(), want); diff != "" {
		t.Errorf("routes (-got +want):\n%s", diff)
	}
}

func TestWhatUpstreamsGetWrong(t *testing.T) {
	t.Parallel()
	nobody := "http://" + closedAddr(t)
	tests := []struct {
		name, url string
		status    int
	}{
		{"refused", nobody, 502},
		{"closed without an answer", "http://" + listenRaw(t, func(c net.Conn) { _, _ = readHead(bufio.NewReader(c)) }), 502},
		{"no HTTP", answering(t, "hello\r\n\r\n"), 502},
		{"status 099", answering(t, "HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n"), 502},
		{"two lengths", answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), 502},
		{"an upgrade nobody asked for", answering(t, "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), 502},
		{"a length and chunks", answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"), 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil, tenantOf("shop", tt.url, "shop.example"))
			if status, body := w.get("http://shop.example/"); status != tt.status {
				t.Errorf("status %d, want %d: %s", status, tt.status, body)
			}
			line := w.logs.wait(t, "request", nil)
			if (line["err"] != nil) != (tt.status != 200) {
				t.Errorf("access record: err is %v", line["err"])
			}
		})
	}
}

func closedAddr(tb testing.TB) string {
	tb.Helper()
	l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func TestABodyCutShortIsNotAWholeOne(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"by its length": "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort",
		"by its chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\nzz\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := "http://" + listenRaw(t, func(c net.Conn) {
				if _, err := readHead(bufio.NewReader(c)); err == nil {
					_, _ = c.Write([]byte(answer))
				}
			})
			w := newWorld(t, nil, tenantOf("shop", url, "shop.example"))
			answer := w.raw(lines("GET / HTTP/1.1", "Host: shop.example"))
			resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(answer)), nil)
			if err != nil {
				return // not even a head: nothing to take for an answer
			}
			defer func() { _ = resp.Body.Close() }()
			if b, err := io.ReadAll(resp.Body); err == nil {
				t.Errorf("read %q without an error", b)
			}
		})
	}
}

func TestFailoverWhenNobodyListens(t *testing.T) {
	t.Parallel()
	up := newEcho(t, "alive")
	shop := tenantOf("shop", "", "shop.example")
	shop.Upstreams["default"] = upstreamOf("default", "http://"+closedAddr(t), up.URL)
	w := newWorld(t, nil, shop)
	for range 4 {
		resp := w.do(http.MethodPost, "http://shop.example/", strings.NewReader("body"))
		if got := readAll(t, resp); resp.StatusCode != 200 || parseEcho(t, got).Body != "body" {
			t.Fatalf("status %d: %s", resp.StatusCode, got)
		}
	}
}

func TestStreaming(t *testing.T) {
	t.Parallel()
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Echoes each piece of the request as it comes.
		rc := http.NewResponseController(w)
		if err := rc.EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		w.Header().Set("Trailer", "X-Sum")
		w.WriteHeader(200)
		_ = rc.Flush()
		buf := make([]byte, 100)
		for {
			n, err := r.Body.Read(buf)
			if _, err := w.Write(buf[:n]); err != nil {
				return
			}
			_ = rc.Flush()
			if err != nil {
				break
			}
		}
		w.Header().Set("X-Sum", "7")
		w.Header().Set(http.TrailerPrefix+"X-Late", "8")
	}))
	t.Cleanup(up.Close)
	w := newWorld(t, nil, tenantOf("shop", up.URL, "shop.example"))

	pr, pw := io.Pipe()
	resp := w.do(http.MethodPost, "http://shop.example/", pr)
	defer func() { _ = resp.Body.Close() }()
	buf := make([]byte, 100)
	for _, piece := range []string{"one", "two", "three"} {
		if _, err := io.WriteString(pw, piece); err != nil {
			t.Fatal(err)
		}
		n, err := resp.Body.Read(buf)
		if err != nil || string(buf[:n]) != piece {
			t.Fatalf("read %q, %v; want %q while the request goes on", buf[:n], err, piece)
		}
	}
	if err := pw.Close(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) != 0 {
		t.Errorf("rest %q, %v", rest, err)
	}
	if got := resp.Trailer; got.Get("X-Sum") != "7" || got.Get("X-Late") != "8" {
		t.Errorf("trailers %v", got)
	}
}

func TestInterimResponsesPass(t *testing.T) {
	t.Parallel()
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		w.WriteHeader(200)
	}))
	t.Cleanup(up.Close)
	w := newWorld(t, nil, tenantOf("shop", up.URL, "shop.example"))
	var hints []string
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		if code == http.StatusEarlyHints {
			hints = append(hints, h.Get("Link"))
		}
		return nil
	}})
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.addr+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "shop.example"
	resp, err := w.client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = readAll(t, resp)
	if !slices.Equal(hints, []string{"</a.css>; rel=preload"}) || resp.Header.Get("Link") != "" || resp.Header.Get("X-Request-Id") == "" {
		t.Errorf("hints %q, then %v", hints, resp.Header)
	}
}

func TestLargeBodiesArriveWhole(t *testing.T) {
	t.Parallel()
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(body)
	}))
	t.Cleanup(up.Close)
	w := newWorld(t, nil, tenantOf("shop", up.URL, "shop.example"))
	body := bytes.Repeat([]byte("0123456789abcdef"), 3<<16)
	for _, r := range []io.Reader{bytes.NewReader(body), io.MultiReader(bytes.NewReader(body))} {
		if got := readAll(t, w.do(http.MethodPost, "http://shop.example/", r)); got != string(body) {
			t.Errorf("%d bytes came back, want %d", len(got), len(body))
		}
	}
}

func TestAnEarlyAnswerLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	// The upstream answers without reading the body that is still coming.
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(up.Close)
	w := newWorld(t, nil, tenantOf("shop", up.URL, "shop.example"))
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write([]byte("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 1000000\r\n\r\nsome")); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(c)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _ = readAll(t, resp); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d", resp.StatusCode)
	}
	// The rest of the body must not be read as a request.
	if _, err := c.Write([]byte("GET /smuggled HTTP/1.1\r\nHost: shop.example\r\n\r\n")); err != nil {
		t.Logf("write: %v", err)
	}
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(in); len(rest) > 0 {
		t.Errorf("then %q, %v", rest, err)
	}
}

func TestASlowBodyIsGivenUp(t *testing.T) {
	t.Parallel()
	up := newEcho(t, "a")
	w := newWorld(t, func(o *Options) { o.Timeouts.BodyIdle = 50 * time.Millisecond }, tenantOf("shop", up.URL, "shop.example"))
	if status := statusOf(w.raw("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 10\r\n\r\nslow")); status != http.StatusRequestTimeout {
		t.Errorf("status %d, want 408", status)
	}
}

func TestASlowReaderIsGivenUp(t *testing.T) {
	t.Parallel()
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		piece := make([]byte, 1<<16)
		for {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	}))
	t.Cleanup(up.Close)
	w := newWorld(t, func(o *Options) { o.Timeouts.WriteIdle = 50 * time.Millisecond }, tenantOf("shop", up.URL, "shop.example"))
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write([]byte(lines("GET / HTTP/1.1", "Host: shop.example"))); err != nil {
		t.Fatal(err)
	}
	w.logs.wait(t, "request", func(line map[string]any) bool { return line["err"] != nil })
}

func TestAClientThatGoesAwayEndsTheTrip(t *testing.T) {
	t.Parallel()
	arrived, left := make(chan struct{}), make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(left)
	}))
	t.Cleanup(up.Close)
	w := newWorld(t, nil, tenantOf("shop", up.URL, "shop.example"))
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte(lines("GET / HTTP/1.1", "Host: shop.example"))); err != nil {
		t.Fatal(err)
	}
	<-arrived
	_ = c.Close()
	<-left
	if line := w.logs.wait(t, "request", nil); line["status"] != 499.0 {
		t.Errorf("logged %v", line)
	}
}

func TestAPanicIsAnAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	tenant := w.build(tenantOf("shop", "", "shop.example"))
	tenant.entry = around([]func(http.Handler) http.Handler{func(http.Handler) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("broken") })
	}})
	w.swap(tenant)
	if status, _ := w.get("http://shop.example/"); status != http.StatusInternalServerError {
		t.Errorf("status %d, want 500", status)
	}
	w.logs.wait(t, "panic", nil)
}

func TestMiddlewareStandsAroundRoutesAndHooksHeads(t *testing.T) {
	t.Parallel()
	up := newEcho(t, "a")
	w := newWorld(t, nil)
	tenant := w.build(tenantOf("shop", up.URL, "shop.example"))
	tag := func(name string) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				own, ok := rw.(*ResponseWriter)
				if !ok {
					t.Errorf("writer is a %T", rw)
					return
				}
				own.OnHead(func(_ *int, h http.Header) { h.Add("X-Order", name) })
				r.Header.Add("X-Order", name)
				next.ServeHTTP(rw, r)
			})
		}
	}
	tenant.entry = around([]func(http.Handler) http.Handler{tag("outer"), tag("inner")})
	w.swap(tenant)
	resp := w.do(http.MethodGet, "http://shop.example/", nil)
	got := parseEcho(t, readAll(t, resp))
	if diff := cmp.Diff(got.Header["X-Order"], []string{"outer", "inner"}); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(resp.Header["X-Order"], []string{"inner", "outer"}); diff != "" {
		t.Error(diff)
	}
}

func TestBeforeTheFirstGeneration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if status, _ := w.get("http://shop.example/"); status != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", status)
	}
	if g, revision := w.server.Applied(); g != nil || revision != "" {
		t.Errorf("applied %v %q", g, revision)
	}
}

func TestASlotWithoutATenantAnswers503(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.server.Swap(NewGeneration(1, []*Slot{{Name: "out", State: Invalid, Claims: []spec.Claim{{Host: "out.example"}}}}), "rev1")
	if status, _ := w.get("http://out.example/"); status != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", status)
	}
	if line := w.logs.wait(t, "request", nil); line["tenant"] != "out" {
		t.Errorf("logged %v", line)
	}
}

func TestAStaleTenantIsLoggedWithTheRevisionItIsOf(t *testing.T) {
	t.Parallel()
	up := newEcho(t, "a")
	w := newWorld(t, nil)
	tenant := w.build(tenantOf("shop", up.URL, "shop.example"))
	w.server.Swap(NewGeneration(2, []*Slot{{Name: "shop", Tenant: tenant, State: Stale, Kept: "old", Claims: tenant.Spec().Claims()}}), "new")
	w.get("http://shop.example/")
	if line := w.logs.wait(t, "request", nil); line["revision"] != "old" {
		t.Errorf("logged %v", line)
	}
}
