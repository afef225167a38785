package upstream

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestThePathGoesOnTheWireAsItIs(t *testing.T) {
	lines := make(chan string, 1)
	server := raw(t, func(c net.Conn, _ int) {
		r := bufio.NewReader(c)
		for {
			line, err := head(r)
			if err != nil {
				return
			}
			lines <- line
			if _, err := io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n"); err != nil {
				return
			}
		}
	})
	paths := []string{
		"/",
		"/a/b",
		"/a%2Fb",
		"/%E4%BD%A0%3F%23",
		"/a%20b",
		"/a+b",
		"/a;b=c,d",
		"/a:b@c!$&'()*+,;=",
		"/a|b",
		`/{a}^"<>` + "`",
		"/a|b%2F%C3%A9",
		"/a%3Fb%25",
		"/[a]",
		"/*",
	}
	r := newRegistry(t, Options{})
	for _, base := range []string{"", "/base", "/b%2Fc"} {
		p := startPool(t, r, upstreamOf(server+base))
		for _, path := range paths {
			for _, query := range []string{"", "?q=%zz&b=1;2|"} {
				t.Run(base+path+query, func(t *testing.T) {
					decoded, err := url.PathUnescape(path)
					if err != nil {
						t.Fatal(err)
					}
					req := request(t, http.MethodGet, "/", nil)
					req.URL.Path, req.URL.RawPath = decoded, path
					_, req.URL.RawQuery, _ = strings.Cut(query, "?")
					resp, err := p.RoundTrip(req, nil)
					if err != nil {
						t.Fatal(err)
					}
					text(t, resp)
					if got, want := <-lines, "GET "+base+path+query+" HTTP/1.1"; got != want {
						t.Errorf("got  %s\nwant %s", got, want)
					}
				})
			}
		}
	}
}

func TestWithoutRawPathThePathIsEscaped(t *testing.T) {
	m := &member{base: "/base", endpoint: &endpoint{address: address{"https", "web:443"}}}
	for path, want := range map[string]string{
		"":           "https://web:443/base",
		"/":          "https://web:443/base/",
		"/a b":       "https://web:443/base/a%20b",
		"/a|b":       "https://web:443/base/a%7Cb",
		"/caf\u00e9": "https://web:443/base/caf%C3%A9",
	} {
		u := &url.URL{Path: path, Opaque: "ignored"}
		targetOf(u).aim(u, m)
		if got := u.String(); got != want {
			t.Errorf("%q: got %s, want %s", path, got, want)
		}
	}
}

func TestAnotherServerGetsItsOwnBase(t *testing.T) {
	u := &url.URL{Path: "/a/b", RawPath: "/a%2Fb"}
	original := targetOf(u)
	for _, base := range []string{"/one", "", "/two"} {
		original.aim(u, &member{base: base, endpoint: &endpoint{address: address{"http", "web:80"}}})
		if got, want := u.RequestURI(), base+"/a%2Fb"; got != want {
			t.Errorf("base %q: got %s, want %s", base, got, want)
		}
	}
}

func TestTwoSlashesAreNeverAnAuthority(t *testing.T) {
	u := &url.URL{Path: "//evil|x/", RawPath: "//evil|x/"}
	targetOf(u).aim(u, &member{endpoint: &endpoint{address: address{"http", "web:80"}}})
	if got := u.RequestURI(); !strings.HasPrefix(got, "//evil") {
		t.Errorf("got %s, want a path", got)
	}
}
