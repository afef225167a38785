package proxy

import (
	"bytes"
	"net/url"
	"strings"
)

// badTarget says why a request target, a Host or a path is refused. To the
// client all of them are 400; the text is for the log.
type badTarget string

func (e badTarget) Error() string { return string(e) }

const (
	errNotAbsolute  badTarget = "path does not begin with a slash"
	errBadEscape    badTarget = "path holds a broken escape"
	errBadByte      badTarget = "path holds a control character, a backslash or a byte above 0x7f"
	errEncodedSlash badTarget = "path holds an encoded slash"
	errEncodedDots  badTarget = "path holds an encoded dot segment"
	errAboveRoot    badTarget = "path climbs above the root"
)

const (
	upperHex         = "0123456789ABCDEF"
	unreservedMarks  = "-._~"
	otherPathAllowed = "!$&'()*+,;=:@"
)

// CanonicalPath returns the one form of a path in which it is matched, shown to
// scripts, logged and forwarded. Escapes of unreserved characters are decoded
// once; dot segments are resolved and runs of slashes merged; every other
// escape stays, its digits in upper case; characters that RFC 3986 does not
// allow in a path are escaped. What two servers could read differently is an
// error: encoded slashes, backslashes and dot segments, dot segments with
// parameters ("..;a"), control characters, bytes above 0x7f, and a climb above
// the root. It is idempotent.
func CanonicalPath(raw string) (string, error) {
	if raw == "" || raw[0] != '/' {
		return "", errNotAbsolute
	}
	if isCanonical(raw) {
		return raw, nil
	}
	c := canonicaliser{out: make([]byte, 0, len(raw)+8)}
	for i := 0; i < len(raw); i++ {
		b, escaped := raw[i], false
		if b == '%' {
			if i+2 >= len(raw) || !isHex(raw[i+1]) || !isHex(raw[i+2]) {
				return "", errBadEscape
			}
			b, escaped = unhex(raw[i+1])<<4|unhex(raw[i+2]), true
			i += 2
		}
		if err := c.add(b, escaped); err != nil {
			return "", err
		}
	}
	if err := c.endSegment(); err != nil {
		return "", err
	}
	return string(c.out), nil
}

// isCanonical spares the common path a copy. It may say no to a canonical one.
func isCanonical(p string) bool {
	for i := range len(p) {
		switch b := p[i]; {
		case b == '/':
			if i+1 < len(p) && (p[i+1] == '/' || p[i+1] == '.') {
				return false
			}
		case !allowedInPath(b):
			return false
		}
	}
	return true
}

// canonicaliser builds a canonical path a byte at a time. out always begins
// with a slash once something was added.
type canonicaliser struct {
	out     []byte
	segment int  // where the segment being written begins in out
	dots    bool // a dot of it came escaped
}

func (c *canonicaliser) add(b byte, escaped bool) error {
	switch {
	case b < 0x20, b == 0x7f, b == '\\', b >= 0x80 && !escaped:
		return errBadByte
	case b == '/' && escaped:
		return errEncodedSlash
	case b == '/':
		if err := c.endSegment(); err != nil {
			return err
		}
		if n := len(c.out); n == 0 || c.out[n-1] != '/' {
			c.out = append(c.out, '/')
		}
		c.segment, c.dots = len(c.out), false
	case isUnreserved(b):
		c.dots = c.dots || escaped && b == '.'
		c.out = append(c.out, b)
	case !escaped && allowedInPath(b):
		c.out = append(c.out, b)
	default:
		c.out = append(c.out, '%', upperHex[b>>4], upperHex[b&15])
	}
	return nil
}

// endSegment resolves the segment just written if it is a dot segment.
func (c *canonicaliser) endSegment() error {
	name, _, parameters := strings.Cut(string(c.out[c.segment:]), ";")
	if name != "." && name != ".." {
		return nil
	}
	if c.dots || parameters {
		return errEncodedDots
	}
	if name == ".." {
		if c.segment == 1 {
			return errAboveRoot
		}
		// Back over the slash, then over the segment before it.
		c.segment = bytes.LastIndexByte(c.out[:c.segment-1], '/') + 1
	}
	c.out = c.out[:c.segment]
	return nil
}

// pathURL makes the URL of a canonical path: RawPath is set even where it
// equals Path, because net/url would escape more than a canonical path does.
func pathURL(canonical, query string) (*url.URL, error) {
	decoded := canonical
	if strings.IndexByte(canonical, '%') >= 0 {
		var err error
		if decoded, err = url.PathUnescape(canonical); err != nil {
			return nil, err
		}
	}
	return &url.URL{Path: decoded, RawPath: canonical, RawQuery: query}, nil
}

func isUnreserved(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || strings.IndexByte(unreservedMarks, b) >= 0
}

// allowedInPath is RFC 3986's pchar, without escapes.
func allowedInPath(b byte) bool {
	return isUnreserved(b) || strings.IndexByte(otherPathAllowed, b) >= 0
}

func isHex(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F'
}

func unhex(b byte) byte {
	switch {
	case b >= 'a':
		return b - 'a' + 10
	case b >= 'A':
		return b - 'A' + 10
	default:
		return b - '0'
	}
}
