package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keystone-gateway/spec"
)

// recorder is an upstream that keeps every byte it is sent, and says what is
// wrong with a message that is not one clean request.
type recorder struct {
	url      string
	mu       sync.Mutex
	requests []string // heads
	dirty    []string
}

func newRecorder(tb testing.TB) *recorder {
	tb.Helper()
	r := &recorder{}
	r.url = "http://" + listenRaw(tb, r.serve)
	return r
}

func (r *recorder) serve(c net.Conn) {
	in := bufio.NewReader(c)
	for {
		head, err := readHead(in)
		if err != nil {
			return
		}
		problem := r.check(head, in)
		r.mu.Lock()
		r.requests = append(r.requests, head)
		if problem != "" {
			r.dirty = append(r.dirty, fmt.Sprintf("%s in %q", problem, head))
		}
		r.mu.Unlock()
		answer := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
		if strings.HasPrefix(head, "HEAD ") {
			answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
		}
		if _, err := c.Write([]byte(answer)); err != nil || problem != "" {
			return
		}
	}
}

func readHead(in *bufio.Reader) (string, error) {
	var head strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return "", err
		}
		head.WriteString(line)
		if line == "\r\n" || line == "\n" {
			return head.String(), nil
		}
	}
}

// take returns what came since the last call.
func (r *recorder) take() (requests, dirty []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	requests, dirty = r.requests, r.dirty
	r.requests, r.dirty = nil, nil
	return requests, dirty
}

// check reads the body that head announces and holds both to RFC 9112.
func (r *recorder) check(head string, in *bufio.Reader) string {
	requestLine := regexp.MustCompile(`^[!#$%&'*+.^_` + "`" + `|~0-9A-Za-z-]+ /[!-"$-~]* HTTP/1\.1$`)
	field := regexp.MustCompile(`^([!#$%&'*+.^` + "`" + `|~0-9A-Za-z-]+): ?([^\x00-\x08\x0a-\x1f\x7f]*)$`)
	chunk := regexp.MustCompile(`^[0-9a-f]+\r\n$`)

	head, ok := strings.CutSuffix(head, "\r\n\r\n")
	if !ok {
		return "head without its end"
	}
	ls := strings.Split(head, "\r\n")
	if !requestLine.MatchString(ls[0]) {
		return "bad request line"
	}
	path, _, _ := strings.Cut(strings.Fields(ls[0])[1], "?")
	if again, err := CanonicalPath(path); err != nil || again != path {
		return "path is not canonical"
	}
	seen := make(map[string][]string)
	for _, l := range ls[1:] {
		m := field.FindStringSubmatch(l)
		if m == nil {
			return fmt.Sprintf("bad header line %q", l)
		}
		seen[strings.ToLower(m[1])] = append(seen[strings.ToLower(m[1])], m[2])
	}
	for name, values := range seen {
		switch name {
		case "connection", "upgrade":
			if values[0] != "Upgrade" && values[0] != "websocket" {
				return name + " was passed on"
			}
		case "keep-alive", "proxy-connection", "proxy-authorization", "trailer", "proxy", "expect":
			return name + " was passed on"
		}
	}
	if len(seen["host"]) != 1 || seen["host"][0] == "" {
		return "not one host"
	}
	length, encoding := seen["content-length"], seen["transfer-encoding"]
	switch {
	case len(length)+len(encoding) > 1:
		return "more than one length"
	case len(length) == 1:
		var n int64
		if !regexp.MustCompile(`^[0-9]+$`).MatchString(length[0]) {
			return "bad length"
		}
		if _, err := fmt.Sscan(length[0], &n); err != nil {
			return "bad length"
		}
		if _, err := io.CopyN(io.Discard, in, n); err != nil {
			return "" // cut short together with its connection: nothing follows
		}
	case len(encoding) == 1:
		if encoding[0] != "chunked" {
			return "encoding " + encoding[0]
		}
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return ""
			}
			if !chunk.MatchString(line) {
				return fmt.Sprintf("chunk size %q", line)
			}
			var n int64
			if _, err := fmt.Sscanf(line, "%x", &n); err != nil {
				return "chunk size"
			}
			if _, err := io.CopyN(io.Discard, in, n); err != nil {
				return ""
			}
			if end, err := in.ReadString('\n'); err != nil {
				return ""
			} else if end != "\r\n" {
				return "chunk end or trailer"
			}
			if n == 0 {
				break
			}
		}
	}
	if in.Buffered() > 0 {
		rest, _ := in.Peek(in.Buffered())
		return fmt.Sprintf("%q after the request", rest)
	}
	return ""
}

func TestHostileRequests(t *testing.T) {
	t.Parallel()
	up := newRecorder(t)
	shop := tenantOf("shop", up.url, "shop.example", "[::1]", "xn--bcher-kva.example")
	shop.RequestLimits = spec.RequestLimits{MaxBodySize: 100, MaxHeaders: 50, MaxURLSize: 1000}
	strip := tenantOf("strip", up.url, "strip.example")
	strip.PathPrefix, strip.StripPrefix = "/strip", true
	admin := tenantOf("admin", up.url, "admin.example")
	admin.Routes = []spec.Route{
		{Path: "/admin/*", Respond: &spec.Respond{Status: 403, Body: "no"}},
		{Path: "/*", Upstream: "default"},
		{Path: "/only", Methods: []string{"GET", "POST"}, Upstream: "default"},
	}
	w := newWorld(t, func(o *Options) { o.AccessLog = false }, shop, strip, admin)

	const host = "Host: shop.example"
	get := func(target string) string { return lines("GET "+target+" HTTP/1.1", host, "Connection: close") }
	at := func(h, target string) string {
		return lines("GET "+target+" HTTP/1.1", "Host: "+h, "Connection: close")
	}
	post := func(headers ...string) string {
		return lines(append([]string{"POST / HTTP/1.1", host, "Connection: close"}, headers...)...)
	}
	tests := []struct {
		name    string
		request string
		status  []int  // 0: closed without an answer
		head    string // what the forwarded head must match; "": nothing may be forwarded
	}{
		// The request line.
		{"no version", lines("GET / ", host), []int{400}, ""},
		{"HTTP/0.9", "GET /\r\n\r\n", []int{400, 0}, ""},
		{"a version that is none", lines("GET / HTTP/9.9", host), []int{505}, ""},
		{"HTTP/2 as text", lines("GET / HTTP/2.0", host), []int{505}, ""},
		{"CONNECT", lines("CONNECT shop.example:443 HTTP/1.1", "Host: shop.example:443"), []int{501}, ""},
		{"CONNECT to a path", lines("CONNECT / HTTP/1.1", host), []int{501}, ""},
		{"TRACE", lines("TRACE / HTTP/1.1", host, "Connection: close"), []int{405}, ""},
		{"an unknown method where any is taken", lines("FOOBAR / HTTP/1.1", host, "Connection: close"), []int{200}, `^FOOBAR / `},
		{"an unknown method where it is not", lines("FOOBAR /admin/x HTTP/1.1", "Host: admin.example", "Connection: close"), []int{403}, ""},
		{"an asterisk", lines("GET * HTTP/1.1", host, "Connection: close"), []int{400}, ""},
		{"OPTIONS of the server", lines("OPTIONS * HTTP/1.1", host, "Connection: close"), []int{400}, ""},
		{"a method with NUL", lines("GE\x00T / HTTP/1.1", host), []int{400}, ""},
		{"a URL over the server's limit", get("/" + strings.Repeat("a", 9000)), []int{414}, ""},
		{"a URL over the tenant's limit", get("/" + strings.Repeat("a", 1100)), []int{414}, ""},
		{"an absolute target chooses the host", lines("GET http://shop.example/x HTTP/1.1", "Host: evil.example", "Connection: close"), []int{200}, `(?s)^GET /x HTTP.*Host: shop\.example\r`},
		{"an absolute target with userinfo", lines("GET http://u:p@shop.example/x HTTP/1.1", host, "Connection: close"), []int{400}, ""},
		{"another scheme", lines("GET gopher://shop.example/x HTTP/1.1", host, "Connection: close"), []int{400}, ""},
		{"TLS on the plain port", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", []int{400, 0}, ""},
		{"a method override is not believed", lines("POST /only HTTP/1.1", "Host: admin.example", "X-Http-Method-Override: DELETE", "Content-Length: 0", "Connection: close"), []int{200}, `^POST /only`},

		// Headers.
		{"no Host", lines("GET / HTTP/1.1", "Connection: close"), []int{400}, ""},
		{"two Hosts", lines("GET / HTTP/1.1", host, "Host: b.example"), []int{400}, ""},
		{"an empty Host", lines("GET / HTTP/1.1", "Host:", "Connection: close"), []int{400}, ""},
		{"HTTP/1.0 without Host", lines("GET / HTTP/1.0"), []int{400}, ""},
		{"HTTP/1.0", lines("GET / HTTP/1.0", host), []int{200}, `^GET / HTTP/1\.1`},
		{"Host with a user", at("user@shop.example", "/"), []int{400}, ""},
		{"Host with a path", at("shop.example/path", "/"), []int{400}, ""},
		{"a list of Hosts", at("shop.example, b.example", "/"), []int{400}, ""},
		{"Host in capitals, with dot and port", at("SHOP.Example.:8080", "/"), []int{200}, `Host: shop\.example:8080\r`},
		{"an IPv6 Host", at("[::1]:80", "/"), []int{200}, `Host: \[::1\]:80`},
		{"a punycode Host", at("XN--Bcher-kva.example", "/"), []int{200}, `Host: xn--bcher-kva\.example`},
		{"a Host nobody has", at("nobody.example", "/"), []int{404}, ""},
		{"space before the colon", lines("GET / HTTP/1.1", host, "X-A : b"), []int{400}, ""},
		{"NUL in a value", lines("GET / HTTP/1.1", host, "X-A: b\x00c"), []int{400}, ""},
		{"a folded header", lines("GET / HTTP/1.1", host, "X-A: b\r\n c", "Connection: close"), []int{200, 400}, `X-A: b c\r`},
		{"an underscore in a name", lines("GET / HTTP/1.1", host, "X_Auth_User: root", "Content_Length: 5", "Connection: close"), []int{200}, `^[^_]*$`},
		{"too many headers for the tenant", lines(append([]string{"GET / HTTP/1.1", host, "Connection: close"}, slices.Repeat([]string{"X-A: b"}, 60)...)...), []int{431}, ""},
		{"too many headers for the server", lines(append([]string{"GET / HTTP/1.1", host, "Connection: close"}, slices.Repeat([]string{"X-A: b"}, 120)...)...), []int{431}, ""},
		{"headers too large", lines("GET / HTTP/1.1", host, "X-A: "+strings.Repeat("b", 80<<10)), []int{431}, ""},
		{"Connection lists ours", lines("GET / HTTP/1.1", host, "Connection: close, X-Forwarded-For, X-Request-Id, X-Mine", "X-Mine: 1"), []int{200}, `(?s)^GET.*X-Forwarded-For: 127\.0\.0\.1\r`},
		{"forwarding headers of a stranger", lines("GET / HTTP/1.1", host, "X-Forwarded-For: 9.9.9.9", "Forwarded: for=9.9.9.9", "X-Real-Ip: 9.9.9.9", "X-Original-Url: /9.9.9.9", "X-Rewrite-Url: /9.9.9.9", "X-Forwarded-Whatever: 9.9.9.9", "X-Request-Id: 9.9.9.9", "Connection: close"), []int{200}, `^(?:[^9]|9[^.])*$`},
		{"Proxy", lines("GET / HTTP/1.1", host, "Proxy: evil:80", "Connection: close"), []int{200}, `^GET`},
		{"an expectation nobody knows", lines("GET / HTTP/1.1", host, "Expect: 200-ok", "Connection: close"), []int{417}, ""},
		{"a refused expectation is not continued", lines("POST / HTTP/1.1", host, "Expect: 100-continue", "Content-Length: 101"), []int{413}, ""},
		{"Te", lines("GET / HTTP/1.1", host, "Te: gzip, trailers", "Connection: close, te"), []int{200}, `Te: trailers\r`},
		{"a query that hides a pair", get("/?a=1&b=2;c=3&%zz=4"), []int{200}, `^GET /\?a=1 HTTP`},

		// Framing.
		{"two lengths", post("Content-Length: 5", "Content-Length: 6") + "hello", []int{400}, ""},
		{"a signed length", post("Content-Length: +5") + "hello", []int{400}, ""},
		{"a list of lengths", post("Content-Length: 5,5") + "hello", []int{400}, ""},
		{"a hexadecimal length", post("Content-Length: 0x5") + "hello", []int{400}, ""},
		{"a negative length", post("Content-Length: -1"), []int{400}, ""},
		{"length and chunked", post("Content-Length: 5", "Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n", []int{200, 400}, `^(?:[^C]|C[^o]|Co[^n]|Con[^t])*Transfer-Encoding: chunked`},
		{"gzip and chunked", post("Transfer-Encoding: gzip, chunked") + "0\r\n\r\n", []int{400, 501}, ""},
		{"identity", post("Transfer-Encoding: identity") + "0\r\n\r\n", []int{400, 501}, ""},
		{"two encodings", post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + "0\r\n\r\n", []int{400, 501}, ""},
		{"an encoding behind a vertical tab", post("Transfer-Encoding: \x0bchunked") + "0\r\n\r\n", []int{400, 501}, ""},
		{"a hexadecimal chunk", post("Transfer-Encoding: chunked") + "0x5\r\nhello\r\n0\r\n\r\n", []int{400}, `^POST`},
		{"a chunk size with an underscore", post("Transfer-Encoding: chunked") + "1_0\r\nhello\r\n0\r\n\r\n", []int{400}, `^POST`},
		{"a negative chunk", post("Transfer-Encoding: chunked") + "-1\r\nhello\r\n0\r\n\r\n", []int{400}, `^POST`},
		{"a chunk size that overflows", post("Transfer-Encoding: chunked") + "fffffffffffffffff\r\nhello\r\n0\r\n\r\n", []int{400}, `^POST`},
		{"a chunk without its end", post("Transfer-Encoding: chunked") + "5\r\nhelloX\r\n0\r\n\r\n", []int{400}, `^POST`},
		{"trailers do not pass", post("Transfer-Encoding: chunked", "Trailer: X-T") + "5\r\nhello\r\n0\r\nX-T: 1\r\nAuthorization: x\r\nHost: evil\r\n\r\n", []int{200}, `^POST`},
		{"a body on GET", lines("GET / HTTP/1.1", host, "Content-Length: 5", "Connection: close") + "hello", []int{200}, `Content-Length: 5\r`},
		{"a body too large by its length", post("Content-Length: 101") + strings.Repeat("x", 101), []int{413}, ""},
		{"a body too large by its chunks", post("Transfer-Encoding: chunked") + "65\r\n" + strings.Repeat("x", 101) + "\r\n0\r\n\r\n", []int{413}, `^POST`},

		// Paths: what a rule protects cannot be reached by another spelling.
		{"the protected path", at("admin.example", "/admin/x"), []int{403}, ""},
		{"%61", at("admin.example", "/%61dmin/x"), []int{403}, ""},
		{"two slashes", at("admin.example", "//admin/x"), []int{403}, ""},
		{"a dot", at("admin.example", "/./admin/x"), []int{403}, ""},
		{"two dots", at("admin.example", "/public/../admin/x"), []int{403}, ""},
		{"encoded dots", at("admin.example", "/public/%2e%2e/admin/x"), []int{400}, ""},
		{"dots and an encoded slash", at("admin.example", "/public/..%2fadmin/x"), []int{400}, ""},
		{"an encoded slash", at("admin.example", "/admin%2fx"), []int{400}, ""},
		{"NUL", at("admin.example", "/admin%00/x"), []int{400}, ""},
		{"a backslash", at("admin.example", `/admin\x`), []int{400}, ""},
		{"an encoded backslash", at("admin.example", "/admin%5cx"), []int{400}, ""},
		{"double encoding stays double", at("admin.example", "/%2561dmin/x"), []int{200}, `^GET /%2561dmin/x `},
		{"encoded hash and question mark stay", at("admin.example", "/a%23b%3fc"), []int{200}, `^GET /a%23b%3Fc `},
		{"a raw hash", at("admin.example", "/a#b"), []int{400}, ""},
		{"a broken escape", at("admin.example", "/%zz"), []int{400}, ""},
		{"raw bytes above 0x7f", at("admin.example", "/caf\xc3\xa9"), []int{400}, ""},
		{"above the root", at("admin.example", "/../admin/x"), []int{400}, ""},
		{"a stripped prefix", at("strip.example", "/strip/x"), []int{200}, `(?s)^GET /x .*X-Forwarded-Prefix: /strip\r`},
		{"nothing but the stripped prefix", at("strip.example", "/strip"), []int{200}, `^GET / `},
		{"a stripped prefix and dots", at("strip.example", "/strip/../admin/x"), []int{404}, ""},
		{"a prefix is whole segments", at("strip.example", "/strip../x"), []int{404}, ""},
		{"a target that looks like a host", at("shop.example", "//evil.example/x"), []int{200}, `^GET /evil\.example/x `},
		{"the reserved path", at("shop.example", "/.keystone/x"), []int{404}, ""},
		{"the reserved path by another spelling", at("shop.example", "/x/../%2ekeystone"), []int{404}, ""},

		// Upgrades.
		{"an upgrade to h2c", lines("GET / HTTP/1.1", host, "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__", "Connection: close, Upgrade, HTTP2-Settings"), []int{200}, `^(?:[^U]|U[^p])*$`},
		{"an upgrade without Connection", lines("GET / HTTP/1.1", host, "Upgrade: websocket", "Connection: close"), []int{200}, `^(?:[^U]|U[^p])*$`},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// What an earlier case still has on its way must not be taken for this one's.
			tag := fmt.Sprintf("X-Case: %d\r\n", i)
			request := strings.Replace(tt.request, "\r\nHost", "\r\n"+tag+"Host", 1)
			answer := string(exchangeRaw(t, w.addr, []byte(request), 10*time.Second))
			if got := statusOf(answer); !slices.Contains(tt.status, got) {
				t.Errorf("status %d, want %v\n%s", got, tt.status, answer)
			}
			forwarded, dirty := up.take()
			if len(dirty) > 0 {
				t.Errorf("dirty: %s", dirty)
			}
			forwarded = slices.DeleteFunc(forwarded, func(head string) bool { return !strings.Contains(head, tag) })
			switch {
			case tt.head == "" && len(forwarded) > 0:
				t.Errorf("forwarded %q", forwarded)
			case tt.head != "" && statusOf(answer) == 200 && len(forwarded) != 1:
				t.Errorf("forwarded %q, want one request", forwarded)
			}
			for _, head := range forwarded {
				if !regexp.MustCompile(tt.head).MatchString(head) {
					t.Errorf("forwarded %q, want a match of %s", head, tt.head)
				}
			}
		})
	}
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	t.Parallel()
	up := newEcho(t, "a")
	w := newWorld(t, nil, tenantOf("shop", up.URL))
	var request bytes.Buffer
	for i := range 5 {
		fmt.Fprintf(&request, "POST /%d HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1\r\n\r\n%d", i, i)
	}
	request.WriteString(lines("GET /last HTTP/1.1", "Host: a.example", "Connection: close"))
	answers := bufio.NewReader(bytes.NewReader(exchangeRaw(t, w.addr, request.Bytes(), 10*time.Second)))
	for _, want := range []string{"/0", "/1", "/2", "/3", "/4", "/last"} {
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := parseEcho(t, readAll(t, resp)).URI; got != want {
			t.Errorf("answer to %s, want %s", got, want)
		}
	}
}
