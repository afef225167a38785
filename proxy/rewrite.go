package proxy

import "strings"

// rewrite is a path template: literal text and the parameters between it.
type rewrite []rewritePart

type rewritePart struct{ literal, param string }

// compileRewrite reads "/u/{id}"; nil for "".
func compileRewrite(template string) rewrite {
	var parts rewrite
	for template != "" {
		literal, rest, found := strings.Cut(template, "{")
		if literal != "" {
			parts = append(parts, rewritePart{literal: literal})
		}
		if !found {
			break
		}
		var name string
		name, template, _ = strings.Cut(rest, "}")
		parts = append(parts, rewritePart{param: name})
	}
	return parts
}

// path fills the template with the parameters as they stand in the path.
func (w rewrite) path(x *Exchange) (string, error) {
	var b strings.Builder
	for _, part := range w {
		b.WriteString(part.literal)
		if part.param != "" {
			b.WriteString(x.routing.URLParam(part.param))
		}
	}
	return CanonicalPath(b.String())
}
