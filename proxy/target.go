package proxy

import (
	"net/netip"
	"strings"
)

const (
	errBadTarget badTarget = "request target is neither a path nor an http URL"
	errBadQuery  badTarget = "query holds a control character, a fragment or a byte above 0x7f"
	errBadHost   badTarget = "host is missing or not one host"
)

// target is a request target taken apart.
type target struct {
	authority string // "" in origin form
	path      string // as it came
	query     string // without the question mark
}

// splitTarget reads a request target in origin or absolute form (RFC 9112,
// section 3.2). The asterisk and authority forms are errors.
func splitTarget(uri string) (target, error) {
	t := target{path: uri}
	if !strings.HasPrefix(uri, "/") {
		scheme, rest, ok := strings.Cut(uri, "://")
		if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
			return target{}, errBadTarget
		}
		end := strings.IndexAny(rest, "/?")
		if end < 0 {
			end = len(rest)
		}
		t.authority, t.path = rest[:end], rest[end:]
		if t.authority == "" {
			return target{}, errBadTarget
		}
	}
	t.path, t.query, _ = strings.Cut(t.path, "?")
	if t.path == "" {
		t.path = "/"
	}
	if strings.IndexByte(t.path, '#') >= 0 {
		return target{}, errBadTarget
	}
	return t, nil
}

// canonicalQuery refuses a query that is no query and drops the pairs that
// net/url cannot read ("b=2;c=3", "%zz=4"): a script and an upstream could
// take them for different parameters, and what a script did not see must not
// be forwarded. Other pairs keep their bytes and their order.
func canonicalQuery(raw string) (query string, dropped bool, err error) {
	suspect := false
	for i := range len(raw) {
		switch b := raw[i]; {
		case b <= 0x20, b >= 0x7f, b == '#':
			return "", false, errBadQuery
		case b == ';', b == '%':
			suspect = true
		}
	}
	if !suspect {
		return raw, false, nil
	}
	kept := make([]string, 0, 8)
	for pair := range strings.SplitSeq(raw, "&") {
		if strings.IndexByte(pair, ';') < 0 && validEscapes(pair) {
			kept = append(kept, pair)
		} else {
			dropped = true
		}
	}
	if !dropped {
		return raw, false, nil
	}
	return strings.Join(kept, "&"), true, nil
}

func validEscapes(s string) bool {
	for i := range len(s) {
		if s[i] == '%' && (i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2])) {
			return false
		}
	}
	return true
}

// canonicalHost splits the value of a Host header, or a target's authority,
// into the name that tenants are matched by (lower case, no trailing dot; an
// IPv6 literal stays in brackets, in its shortest form) and its port.
func canonicalHost(value string) (host, port string, err error) {
	if strings.HasPrefix(value, "[") {
		literal, rest, ok := strings.Cut(value[1:], "]")
		addr, bad := netip.ParseAddr(literal)
		if !ok || bad != nil || !addr.Is6() || addr.Zone() != "" || rest != "" && rest[0] != ':' {
			return "", "", errBadHost
		}
		host, port = "["+addr.String()+"]", strings.TrimPrefix(rest, ":")
	} else {
		host, port, _ = strings.Cut(value, ":")
		host = strings.ToLower(strings.TrimSuffix(host, "."))
		if !validHostname(host) {
			return "", "", errBadHost
		}
	}
	if len(port) > 5 {
		return "", "", errBadHost
	}
	for i := range len(port) {
		if port[i] < '0' || port[i] > '9' {
			return "", "", errBadHost
		}
	}
	return host, port, nil
}

// validHostname takes what DNS and its users call names: labels of letters,
// digits, hyphens and underscores, none of them empty.
func validHostname(host string) bool {
	if host == "" || len(host) > 253 {
		return false
	}
	label := 0
	for i := range len(host) {
		switch b := host[i]; {
		case b == '.':
			if label == 0 {
				return false
			}
			label = 0
		case b >= 'a' && b <= 'z', b >= '0' && b <= '9', b == '-', b == '_':
			label++
		default:
			return false
		}
	}
	return label > 0
}
