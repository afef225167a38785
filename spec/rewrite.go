package spec

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// rewrite reads the path that is forwarded instead, made of what match took.
func (d *decoder) rewrite(n *yaml.Node, match pattern) (path string) {
	defer d.within("rewrite")()
	present, ok := d.mapping(n, []field{{"path", func(n *yaml.Node) {
		s, ok := d.str(n)
		if ok && d.check(n, checkRewrite(s, match)) {
			path = s
		}
	}}})
	if ok && present["path"] == nil {
		d.failf(n, `add path: "/..."`, "it has no path")
	}
	return path
}

// checkRewrite says why s is not a path with {param} of match in it.
func checkRewrite(s string, match pattern) error {
	var plain strings.Builder
	for rest := s; ; {
		before, after, found := strings.Cut(rest, "{")
		if strings.Contains(before, "}") {
			return flawf("remove it, or open it with {", "%q has a } without a {", s)
		}
		plain.WriteString(before)
		if !found {
			break
		}
		name, after, closed := strings.Cut(after, "}")
		if !closed {
			return flawf("close it with }", "%q has a { without a }", s)
		}
		if match.shape != "" && !slices.Contains(match.params, name) {
			hint := didYouMean(name, slices.Values(match.params))
			if hint == "" {
				hint = "the pattern of the route defines parameters"
			}
			return flawf(hint, "%q names a parameter %q that the route does not have", s, name)
		}
		plain.WriteByte('x')
		rest = after
	}
	return inPattern(s, plain.String(), checkPath(plain.String()))
}
