package upstream

import (
	"net/url"
	"strings"
)

// target is a request's path as the caller wrote it, kept so that each try can
// put another server's base before it.
type target struct{ path, rawPath string }

func targetOf(u *url.URL) target { return target{u.Path, u.RawPath} }

// wire returns the bytes of the path that go on the wire. A RawPath is taken as
// it is: it is the caller's canonical form, and url.URL would replace one that
// it does not find proper, such as /a|b%2F.
func (t target) wire() string {
	if t.rawPath != "" {
		return t.rawPath
	}
	u := url.URL{Path: t.path}
	return u.EscapedPath()
}

// aim points u at server m, so that exactly m's base and the bytes of t are
// sent. Opaque is used only where Path and RawPath cannot say it; net/http
// sends it untouched, unless it starts with two slashes, which it would read as
// an authority.
func (t target) aim(u *url.URL, m *member) {
	u.Scheme, u.Host = m.endpoint.address.scheme, m.endpoint.address.host
	u.Path, u.RawPath, u.Opaque = t.path, t.rawPath, ""
	if m.base == "" && t.rawPath == "" {
		return
	}
	wire := m.base + t.wire()
	if path, err := url.PathUnescape(wire); err == nil {
		u.Path, u.RawPath = path, wire
	}
	if u.EscapedPath() != wire && !strings.HasPrefix(wire, "//") {
		u.Opaque = wire
	}
}
