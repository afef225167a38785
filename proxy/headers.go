package proxy

import (
	"net/http"
	"strconv"
	"strings"

	"keystone-gateway/spec"
)

// size is how large a request's head is.
type size struct {
	url     int
	headers int
	bytes   int // of the headers
}

func measure(r *http.Request) size {
	m := size{url: len(r.RequestURI)}
	for name, values := range r.Header {
		m.headers += len(values)
		for _, value := range values {
			m.bytes += len(name) + len(value) + len(": \r\n")
		}
	}
	return m
}

// over returns the status that a head of this size is refused with, 0 for
// none. A limit of zero is no limit.
func (m size) over(limits *spec.RequestLimits) int {
	switch {
	case limits.MaxURLSize > 0 && m.url > limits.MaxURLSize:
		return http.StatusRequestURITooLong
	case limits.MaxHeaders > 0 && m.headers > limits.MaxHeaders,
		limits.MaxHeaderSize > 0 && int64(m.bytes) > limits.MaxHeaderSize:
		return http.StatusRequestHeaderFieldsTooLarge
	}
	return 0
}

// isHopByHop names the headers that end at each hop (RFC 9110, section 7.6.1),
// those that frame a message, and the proxy's own dialogue with its peers.
func isHopByHop(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// isForwarding names what a client would have to be trusted to say: where a
// request came from and what it asked for before other proxies changed it.
func isForwarding(name string) bool {
	switch name {
	case "Forwarded", "X-Real-Ip", "X-Original-Url", "X-Rewrite-Url", "X-Request-Id":
		return true
	}
	return strings.HasPrefix(name, "X-Forwarded-")
}

// sanitize takes off a request's headers all that must not reach a script or
// an upstream, before anything of ours is added: headers of this hop, those
// that Connection lists, names with underscores (CGI and WSGI read them as
// hyphens), Proxy (CVE-2016-5385), Expect (answered here), and from untrusted
// peers whatever they say about where the request came from. "Te: trailers"
// stays. It reports whether the client asks for a WebSocket; no other upgrade
// is passed on.
func sanitize(h http.Header, trusted bool) (websocket bool) {
	listed := h["Connection"]
	websocket = hasToken(listed, "upgrade") && len(h["Upgrade"]) == 1 && strings.EqualFold(h["Upgrade"][0], "websocket")
	trailers := hasToken(h["Te"], "trailers")
	removeListed(h, listed)
	for name := range h {
		switch {
		case isHopByHop(name), !trusted && isForwarding(name), strings.IndexByte(name, '_') >= 0, name == "Proxy", name == "Expect":
			delete(h, name)
		}
	}
	if trailers {
		h["Te"] = []string{"trailers"}
	}
	return websocket
}

// removeHopByHop takes off a response what ends here.
func removeHopByHop(h http.Header) {
	removeListed(h, h["Connection"])
	for name := range h {
		if isHopByHop(name) {
			delete(h, name)
		}
	}
}

func removeListed(h http.Header, connection []string) {
	for _, value := range connection {
		for name := range strings.SplitSeq(value, ",") {
			if name = strings.TrimSpace(name); name != "" {
				h.Del(name)
			}
		}
	}
}

// hasToken looks for a token in comma-separated lists, in any case.
func hasToken(lists []string, token string) bool {
	for _, list := range lists {
		for item := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(strings.TrimSpace(item), token) {
				return true
			}
		}
	}
	return false
}

// badHeader says why a header that a script sets is refused.
type badHeader string

func (e badHeader) Error() string { return "header " + string(e) }

// checkHeader refuses what would change how a message is framed or where it
// goes, and bytes that would end a line early.
func checkHeader(name string, values []string) error {
	switch canonical := http.CanonicalHeaderKey(name); {
	case name == "" || !isToken(name):
		return badHeader("name " + strconv.Quote(name) + " is not valid")
	case isHopByHop(canonical), canonical == "Content-Length", canonical == "Host", canonical == "Expect":
		return badHeader(name + " belongs to the connection and cannot be set")
	}
	for _, value := range values {
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return badHeader(name + " holds a control character")
		}
	}
	return nil
}

// isToken is RFC 9110's token, without the underscore that we drop.
func isToken(s string) bool {
	for i := range len(s) {
		b := s[i]
		if b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || strings.IndexByte("!#$%&'*+-.^`|~_", b) >= 0 {
			continue
		}
		return false
	}
	return true
}
