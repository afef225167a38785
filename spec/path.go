package spec

import "strings"

// checkPath says why p is not in the one form that requests are matched and
// forwarded in, so that a path in the tree never silently fails to match:
// RFC 3986 characters, no dot segments, no empty segments, escapes in upper
// case and only where they are needed.
func checkPath(p string) error {
	if !strings.HasPrefix(p, "/") {
		return flawf(`write "/`+p+`"`, "%q does not begin with a slash", p)
	}
	if err := checkEscapes(p); err != nil {
		return err
	}
	segments := strings.Split(p[1:], "/")
	for i, s := range segments {
		switch {
		case s == "" && i < len(segments)-1:
			return flawf("write one slash", "%q has an empty segment; slashes in requests are merged", p)
		case s == "." || s == "..":
			return flawf("write the path it leads to", "%q has a dot segment; those in requests are resolved", p)
		}
	}
	return nil
}

// checkEscapes looks at the bytes of a path one by one.
func checkEscapes(p string) error {
	for i := 0; i < len(p); i++ {
		c := p[i]
		switch {
		case c >= 0x80:
			return flawf("percent-encode it", "%q has a character that is not ASCII", p)
		case c == '?' || c == '#':
			return flawf("leave out the query and the fragment", "%q is more than a path", p)
		case c == '%':
			if i+2 >= len(p) || !isHex(p[i+1]) || !isHex(p[i+2]) {
				return flawf("write %25 for a percent sign", "%q has a broken escape", p)
			}
			if err := checkEscape(p, p[i:i+3]); err != nil {
				return err
			}
			i += 2
		case !isPathByte(c):
			return flawf("percent-encode it", "%q has %q, which does not stand in a path", p, c)
		}
	}
	return nil
}

// checkEscape looks at one escape of p.
func checkEscape(p, escape string) error {
	if upper := strings.ToUpper(escape); upper != escape {
		return flawf("write "+upper, "%q has an escape in lower case", p)
	}
	switch c := unhex(escape[1])<<4 | unhex(escape[2]); {
	case c == '/', c == 0:
		return flawf("remove it", "%q has %s, which is refused in requests", p, escape)
	case isUnreserved(c):
		return flawf("write "+string(rune(c)), "%q has %s, which is decoded in requests", p, escape)
	}
	return nil
}

// isUnreserved: RFC 3986 section 2.3.
func isUnreserved(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte("-._~", c) >= 0
}

// isPathByte: RFC 3986 section 3.3, pchar and the slash.
func isPathByte(c byte) bool {
	return isUnreserved(c) || strings.IndexByte("!$&'()*+,;=:@/", c) >= 0
}

func isAlphanumeric(c byte) bool { return isLower(c) || isDigit(c) || 'A' <= c && c <= 'Z' }

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isHex(c byte) bool { return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' }

// unhex is the value of a hexadecimal digit in upper case.
func unhex(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return c - 'A' + 10
}

// parsePrefix checks a path_prefix and takes its trailing slash off.
func parsePrefix(p string) (string, error) {
	if err := checkPath(p); err != nil {
		return "", err
	}
	if strings.Contains(p, "*") {
		return "", flawf("a prefix covers all that is below it", "%q has a *", p)
	}
	if err := checkReserved(p); err != nil {
		return "", err
	}
	if p == "/" {
		return p, nil
	}
	return strings.TrimSuffix(p, "/"), nil
}

// checkReserved refuses what the gateway answers itself.
func checkReserved(p string) error {
	if p == "/.keystone" || strings.HasPrefix(p, "/.keystone/") {
		return flawf("choose another path", "/.keystone/ is reserved for the gateway")
	}
	return nil
}
