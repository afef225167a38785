package spec

import (
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// redirect reads an answer with a Location. 302 unless said: it is the one
// that browsers do not remember.
func (d *decoder) redirect(n *yaml.Node) *Redirect {
	defer d.within("redirect")()
	r := &Redirect{Status: 302}
	present, ok := d.mapping(n, []field{
		{"to", func(n *yaml.Node) {
			if s, ok := d.str(n); ok && d.check(n, checkLocation(s)) {
				r.To = s
			}
		}},
		{"status", func(n *yaml.Node) {
			v, ok := d.integer(n, 100, 599)
			if ok && !slices.Contains([]int64{301, 302, 303, 307, 308}, v) {
				d.failf(n, "301, 302, 303, 307 or 308", "%d is not the status of a redirect", v)
			}
			r.Status = int(v)
		}},
	})
	if ok && present["to"] == nil {
		d.failf(n, `add to: "https://..."`, "it has no to")
	}
	return r
}

// checkLocation says why s is not where a client can be sent: an http URL with
// a host, or a path. Two slashes, or one and a backslash, would be a host.
func checkLocation(s string) error {
	if strings.ContainsAny(s, "{}") {
		return flawf("write the place in full", "parameters in %q are not supported in this version", s)
	}
	u, err := url.Parse(s)
	if err != nil || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }) {
		return flawf("percent-encode what is not plain ASCII", "%q is not a URL", s)
	}
	switch {
	case u.Scheme == "" && u.Host == "" && strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//"):
		return nil
	case (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "":
		return nil
	}
	return flawf(`such as "https://example.com/" or "/path"`, "%q is neither an http URL nor a path", s)
}

// respond reads a fixed answer.
func (d *decoder) respond(n *yaml.Node) *Respond {
	defer d.within("respond")()
	r := &Respond{Status: 200}
	present, _ := d.mapping(n, []field{
		{"status", func(n *yaml.Node) {
			if v, ok := d.integer(n, 200, 599); ok {
				r.Status = int(v)
			}
		}},
		{"body", func(n *yaml.Node) { r.Body, _ = d.text(n, "a string", "\t\r\n") }},
	})
	if r.Body != "" && (r.Status == 204 || r.Status == 304) {
		d.failf(present["body"], "remove the body, or choose another status", "status %d has no body", r.Status)
	}
	return r
}
