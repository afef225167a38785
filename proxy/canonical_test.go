package proxy

import (
	"errors"
	"net/url"
	"strings"
	"testing"
)

func TestCanonicalPath(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in, want string
		err            error
	}{
		{name: "a plain path stays", in: "/a/b-c_d.e~f/", want: "/a/b-c_d.e~f/"},
		{name: "the root stays", in: "/", want: "/"},
		{name: "what RFC 3986 allows stays", in: "/!$&'()*+,;=:@", want: "/!$&'()*+,;=:@"},
		{name: "an unreserved escape is decoded", in: "/%61dmin/%7ex%2Dy", want: "/admin/~x-y"},
		{name: "decoding happens once", in: "/%2561dmin", want: "/%2561dmin"},
		{name: "other escapes stay in upper case", in: "/a%3bb%c3%a9%20", want: "/a%3Bb%C3%A9%20"},
		{name: "slashes are merged", in: "//admin///x//", want: "/admin/x/"},
		{name: "single dots go", in: "/./admin/./x/.", want: "/admin/x/"},
		{name: "double dots climb", in: "/public/../admin/x/..", want: "/admin/"},
		{name: "slashes are merged before dots climb", in: "/a//../b", want: "/b"},
		{name: "names that begin with dots are names", in: "/.well-known/...", want: "/.well-known/..."},
		{name: "an escaped dot in a name is a dot", in: "/%2ehidden", want: "/.hidden"},
		{name: "path parameters stay", in: "/admin;a=b/x", want: "/admin;a=b/x"},
		{name: "what is not allowed raw is escaped", in: `/a"b<c>d^e` + "`{|}", want: "/a%22b%3Cc%3Ed%5Ee%60%7B%7C%7D"},

		{name: "above the root", in: "/../x", err: errAboveRoot},
		{name: "above the root in the end", in: "/a/../..", err: errAboveRoot},
		{name: "an encoded slash", in: "/a%2Fb", err: errEncodedSlash},
		{name: "dots and an encoded slash", in: "/public/..%2fadmin", err: errEncodedSlash},
		{name: "encoded dot segments", in: "/public/%2e%2e/admin", err: errEncodedDots},
		{name: "a half encoded dot segment", in: "/public/.%2E/admin", err: errEncodedDots},
		{name: "an encoded dot segment at the end", in: "/public/%2e", err: errEncodedDots},
		{name: "a dot segment with parameters", in: "/public/..;x/admin", err: errEncodedDots},
		{name: "an encoded NUL", in: "/a%00", err: errBadByte},
		{name: "an encoded line feed", in: "/a%0ab", err: errBadByte},
		{name: "an encoded DEL", in: "/%7f", err: errBadByte},
		{name: "a raw control character", in: "/a\tb", err: errBadByte},
		{name: "a backslash", in: `/a\b`, err: errBadByte},
		{name: "an encoded backslash", in: "/a%5Cb", err: errBadByte},
		{name: "a raw byte above 0x7f", in: "/caf\xc3\xa9", err: errBadByte},
		{name: "an escape that is none", in: "/%zz", err: errBadEscape},
		{name: "an escape cut short", in: "/a%4", err: errBadEscape},
		{name: "no slash", in: "a", err: errNotAbsolute},
		{name: "nothing", in: "", err: errNotAbsolute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := CanonicalPath(tt.in)
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("CanonicalPath(%q) = %q, %v; want %q, %v", tt.in, got, err, tt.want, tt.err)
			}
		})
	}
}

func TestTheCommonPathIsNotCopied(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() {
		if _, err := CanonicalPath("/api/v1/users/12345"); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestCanonicalHost(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in, host, port string
		bad            bool
	}{
		{in: "example.com", host: "example.com"},
		{in: "Example.COM.:8080", host: "example.com", port: "8080"},
		{in: "xn--bcher-kva.example", host: "xn--bcher-kva.example"},
		{in: "a_b.example", host: "a_b.example"},
		{in: "example.com:", host: "example.com"},
		{in: "127.0.0.1:80", host: "127.0.0.1", port: "80"},
		{in: "[0:0::1]:80", host: "[::1]", port: "80"},
		{in: "[::1]", host: "[::1]"},
		{in: "", bad: true},
		{in: ":80", bad: true},
		{in: ".", bad: true},
		{in: "a..b", bad: true},
		{in: "example.com..", bad: true},
		{in: "user@example.com", bad: true},
		{in: "a, b", bad: true},
		{in: "a/b", bad: true},
		{in: "a b", bad: true},
		{in: "b\u00fccher.example", bad: true},
		{in: "example.com:80:80", bad: true},
		{in: "example.com:x", bad: true},
		{in: "example.com:123456", bad: true},
		{in: "::1", bad: true},
		{in: "[::1", bad: true},
		{in: "[::1]x", bad: true},
		{in: "[fe80::1%25eth0]", bad: true},
		{in: "[127.0.0.1]", bad: true},
		{in: strings.Repeat("a", 254), bad: true},
	}
	for _, tt := range tests {
		host, port, err := canonicalHost(tt.in)
		if (err != nil) != tt.bad {
			t.Errorf("canonicalHost(%q): error %v", tt.in, err)
		} else if !tt.bad && (host != tt.host || port != tt.port) {
			t.Errorf("canonicalHost(%q) = %q, %q; want %q, %q", tt.in, host, port, tt.host, tt.port)
		}
	}
}

func TestCanonicalQuery(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in, want string
		bad      bool
	}{
		{in: "", want: ""},
		{in: "a=1&b=%20&b&&c=[x]", want: "a=1&b=%20&b&&c=[x]"},
		{in: "a=1&b=2;c=3&%zz=4", want: "a=1"},
		{in: "%&z=1&y=%4", want: "z=1"},
		{in: "a=1#b", bad: true},
		{in: "a=1 b", bad: true},
		{in: "a=\x00", bad: true},
		{in: "a=\xc3\xa9", bad: true},
	}
	for _, tt := range tests {
		got, dropped, err := canonicalQuery(tt.in)
		if (err != nil) != tt.bad || got != tt.want || dropped != (!tt.bad && got != tt.in) {
			t.Errorf("canonicalQuery(%q) = %q, %v, %v; want %q", tt.in, got, dropped, err, tt.want)
		}
	}
}

func TestSplitTarget(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   string
		want target
		bad  bool
	}{
		{in: "/a?b?c", want: target{path: "/a", query: "b?c"}},
		{in: "//evil/a", want: target{path: "//evil/a"}},
		{in: "http://h:1/a?b", want: target{authority: "h:1", path: "/a", query: "b"}},
		{in: "HTTPS://h", want: target{authority: "h", path: "/"}},
		{in: "http://h?q", want: target{authority: "h", path: "/", query: "q"}},
		{in: "*", bad: true},
		{in: "", bad: true},
		{in: "h:80", bad: true},
		{in: "ftp://h/", bad: true},
		{in: "http:///a", bad: true},
		{in: "/a#b", bad: true},
	}
	for _, tt := range tests {
		got, err := splitTarget(tt.in)
		if (err != nil) != tt.bad || got != tt.want {
			t.Errorf("splitTarget(%q) = %+v, %v; want %+v", tt.in, got, err, tt.want)
		}
	}
}

func FuzzCanonicalPath(f *testing.F) {
	for _, seed := range []string{
		"/", "/a/b", "/%61dmin/x", "//admin/x", "/./x", "/public/../admin", "/public/%2e%2e/admin", "/..%2fx",
		"/a%2fb", "/a;b=c/..;/d", "/a%00", `/a\b`, "/%25%32%66", "/a/./b/../c//d/%7E", "/%c3%a9", "/{x}|^",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		canonical, err := CanonicalPath(raw)
		if err != nil {
			return
		}
		if again, err := CanonicalPath(canonical); err != nil || again != canonical {
			t.Fatalf("%q -> %q -> %q, %v: not idempotent", raw, canonical, again, err)
		}
		if canonical[0] != '/' || strings.Contains(canonical, "//") || len(canonical) > 3*len(raw) {
			t.Fatalf("%q -> %q", raw, canonical)
		}
		decoded, err := url.PathUnescape(canonical)
		if err != nil {
			t.Fatalf("%q -> %q: %v", raw, canonical, err)
		}
		for segment := range strings.SplitSeq(decoded, "/") {
			if name, _, _ := strings.Cut(segment, ";"); name == "." || name == ".." {
				t.Fatalf("%q -> %q has a dot segment", raw, canonical)
			}
		}
		if strings.ContainsFunc(canonical, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' || r == '#' || r == '?' }) {
			t.Fatalf("%q -> %q has a byte that no path has", raw, canonical)
		}
		if strings.Count(decoded, "/") != strings.Count(canonical, "/") || strings.ContainsAny(decoded, "\\\x00\n\r") {
			t.Fatalf("%q -> %q hides a separator", raw, canonical)
		}
		// What is matched is what is forwarded.
		u, err := pathURL(canonical, "")
		if err != nil || u.RequestURI() != canonical {
			t.Fatalf("%q is forwarded as %q, %v", canonical, u.RequestURI(), err)
		}
	})
}
