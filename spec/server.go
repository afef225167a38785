package spec

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxWeight keeps the sum of weights far from overflow.
const maxWeight = 65535

// servers reads a list of servers and returns its length, or -1. Names are
// unique in it: metrics and health tell servers apart by them.
func (d *decoder) servers(n *yaml.Node, into *[]Server) int {
	return d.list(n, func(i int, n *yaml.Node) {
		s, ok := d.server(i, n)
		if !ok {
			return
		}
		if slices.ContainsFunc(*into, func(o Server) bool { return o.Name == s.Name }) {
			d.failf(n, "give each its own name; for a larger share use weight", "two servers are named %q", s.Name)
			return
		}
		*into = append(*into, s)
	})
}

// server reads the one at index i.
func (d *decoder) server(i int, n *yaml.Node) (Server, bool) {
	label := strconv.Itoa(i + 1)
	if name := child(n, "name"); name != nil && name.Kind == yaml.ScalarNode {
		label = strconv.Quote(name.Value)
	}
	defer d.within("server %s", label)()

	s, before := Server{Weight: 1}, Errors(d.found)
	present, ok := d.mapping(n, []field{
		{"name", func(n *yaml.Node) {
			if v, ok := d.str(n); ok && d.check(n, checkLabel("a server", v)) {
				s.Name = v
			}
		}},
		{"url", func(n *yaml.Node) {
			if v, ok := d.str(n); ok {
				d.check(n, s.parseURL(v))
			}
		}},
		{"weight", func(n *yaml.Node) {
			if v, ok := d.integer(n, 1, maxWeight); ok {
				s.Weight = int(v)
			}
		}},
		{"health", func(n *yaml.Node) { s.Health = d.probePath(n) }},
	})
	if ok && present["url"] == nil {
		d.failf(n, `add url: "http://HOST:PORT"`, "it has no url")
	}
	if s.Name == "" {
		s.Name = s.Host
	}
	return s, Errors(d.found) == before
}

// parseURL takes a server's URL apart. Whatever is in it that would not be
// used is refused: credentials, a query, a fragment.
func (s *Server) parseURL(raw string) error {
	if strings.Contains(raw, "@") {
		// Not shown: what is before it may be a password.
		return flawf("remove what is before the @; a tree holds no credentials", "the URL has a user")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return flawf("write http://HOST:PORT", "%q is not a URL", raw)
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return flawf("write http://HOST:PORT", "%q does not begin with http:// or https://", raw)
	}
	switch {
	case u.Opaque != "" || u.Hostname() == "":
		return flawf("write http://HOST:PORT", "%q has no host", raw)
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(raw, "#"):
		return flawf("remove the query and the fragment", "%q is more than scheme, host, port and path", raw)
	}
	name, port, hasPort := splitPort(u.Host)
	host, err := parseHost(name)
	if err != nil {
		return err
	}
	switch {
	case hasPort:
		if err := checkPort(port); err != nil {
			return err
		}
	case u.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	path := ""
	_, rest, _ := strings.Cut(raw, "://")
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		path = rest[i:] // as written, where u.Path is decoded
		if err := checkPath(path); err != nil {
			return err
		}
	}
	s.URL, s.Scheme = raw, u.Scheme
	s.Host = host + ":" + port
	s.Path = strings.TrimSuffix(path, "/")
	return nil
}

// splitPort cuts host:port, of which the host may be an address in brackets.
func splitPort(s string) (host, port string, found bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.IndexByte(s[i:], ']') >= 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// checkPort holds a port to its range and to its canonical form.
func checkPort(s string) error {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != s {
		return flawf("1 to 65535", "%q is not a port", s)
	}
	return nil
}
