package spec

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxPattern bounds the length of a pattern; request lines are no longer.
const maxPattern = 8192

// CheckPattern says why p is not a route pattern. chi panics over some of what
// is refused here; the rest it would accept and never match as meant. It is
// for patterns in YAML and for those that scripts register.
func CheckPattern(p string) error {
	_, err := parsePattern(p)
	return err
}

// pattern is a route pattern taken apart.
type pattern struct {
	params []string // names in order; "*" for a final wildcard
	// shape is the pattern without the names: two patterns with the same shape
	// match the same paths.
	shape string
}

// parsePattern takes a pattern apart the way chi does.
func parsePattern(p string) (pattern, error) {
	var out pattern
	if len(p) > maxPattern {
		return out, flawf("shorten it", "a pattern of %d characters is too long", len(p))
	}
	var shape, plain strings.Builder // plain has a letter for each parameter
	for rest := p; rest != ""; {
		i := strings.IndexAny(rest, "{}*")
		if i < 0 {
			i = len(rest)
		}
		shape.WriteString(rest[:i])
		plain.WriteString(rest[:i])
		if rest = rest[i:]; rest == "" {
			break
		}
		switch rest[0] {
		case '}':
			return out, flawf("remove it, or open it with {", "%q has a } without a {", p)
		case '*':
			if rest != "*" {
				return out, flawf("use a {name} for one segment", "%q has a * that is not at its end", p)
			}
			out.params = append(out.params, "*")
			shape.WriteString("*")
			rest = ""
		case '{':
			end := closing(rest)
			if end < 0 {
				return out, flawf("close it with }", "%q has a { without a }", p)
			}
			param, err := parseParam(p, rest[1:end])
			if err != nil {
				return out, err
			}
			if slices.Contains(out.params, param.name) {
				return out, flawf("rename one of them", "%q has two parameters %q", p, param.name)
			}
			if rest = rest[end+1:]; rest != "" && (rest[0] == '{' || rest[0] == '*') {
				return out, flawf("put something between them, such as a slash", "%q has nothing between {%s} and what follows", p, param.name)
			}
			out.params = append(out.params, param.name)
			shape.WriteString(param.shape())
			plain.WriteByte('x')
		}
	}
	if p == "" {
		return out, flawf(`write "/" for the root`, "the pattern is empty")
	}
	if err := inPattern(p, plain.String(), checkPath(plain.String())); err != nil {
		return out, err
	}
	out.shape = shape.String()
	return out, nil
}

// inPattern words a flaw of the plain form of p as one of p itself.
func inPattern(p, plain string, err error) error {
	f, ok := errors.AsType[*flaw](err)
	if !ok {
		return err
	}
	return &flaw{
		what: strings.Replace(f.what, strconv.Quote(plain), strconv.Quote(p), 1),
		hint: strings.Replace(f.hint, plain, p, 1),
	}
}

// closing is the index of the } that closes the { at the start of s, or -1.
// Braces are counted without regard to the expression, as chi does.
func closing(s string) int {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// param is what stands between braces.
type param struct {
	name string
	expr string // as chi anchors it; "" for any segment
}

// shape of the parameter without its name. No expression has a brace alone.
func (p param) shape() string {
	if p.expr == "" {
		return "{}"
	}
	return "{:" + p.expr + "}"
}

// parseParam checks what stands between the braces of a pattern.
func parseParam(pattern, s string) (param, error) {
	name, expr, restricted := strings.Cut(s, ":")
	if err := checkParamName(pattern, name); err != nil {
		return param{}, err
	}
	if !restricted {
		return param{name: name}, nil
	}
	if expr == "" {
		return param{}, flawf("remove the colon, or write an expression after it", "%q has a parameter with an empty expression", pattern)
	}
	if i := strings.IndexFunc(expr, func(r rune) bool { return r <= ' ' || r > '~' }); i >= 0 {
		// chi takes what is before a space for a method.
		return param{}, flawf("paths are plain ASCII, with %20 for a space", "%q has an expression with a character that no path has", pattern)
	}
	if alternates(expr) {
		return param{}, flawf("write {"+name+":("+expr+")}", "%q has an expression whose alternatives are not grouped, so that only the first is held to the beginning", pattern)
	}
	if !strings.HasPrefix(expr, "^") {
		expr = "^" + expr
	}
	if !strings.HasSuffix(expr, "$") {
		expr += "$"
	}
	if _, err := regexp.Compile(expr); err != nil {
		return param{}, flawf("the syntax is RE2's", "%q has a broken expression: %s", pattern, strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return param{name: name, expr: expr}, nil
}

// checkParamName holds names to what scripts and rewrites can refer to.
func checkParamName(pattern, name string) error {
	if name == "" {
		return flawf("write {name}", "%q has a parameter without a name", pattern)
	}
	for i := range len(name) {
		c := name[i]
		if !isAlphanumeric(c) && c != '_' && (c != '-' || i == 0) || i == 0 && isDigit(c) {
			return flawf("letters, digits, _ and -, a letter first", "%q has a parameter named %q", pattern, name)
		}
	}
	return nil
}

// alternates tells whether expr has a | outside of groups and classes.
func alternates(expr string) bool {
	depth, class := 0, false
	for i := 0; i < len(expr); i++ {
		switch c := expr[i]; {
		case c == '\\':
			i++
		case class:
			class = c != ']'
		case c == '[':
			class = true
			if strings.HasPrefix(expr[i+1:], "^") {
				i++
			}
			if strings.HasPrefix(expr[i+1:], "]") { // a ] that comes first is a member
				i++
			}
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == '|' && depth == 0:
			return true
		}
	}
	return false
}
