package spec

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// maxExpanded bounds the nodes that aliases of one file may stand for, all
// together. Without it a list of lists of aliases grows exponentially.
const maxExpanded = 100_000

// decoder walks the nodes of one file once, checks them, and collects what is
// wrong with their places. Its methods that return a value and ok have
// reported when ok is false.
type decoder struct {
	file     string
	tenant   string // whose diagnostics these are, "" outside of one
	context  string // "route \"/cart\": ", put before messages
	found    []Diagnostic
	expanded int
}

// report adds a diagnostic at a node.
func (d *decoder) report(at *yaml.Node, severity Severity, hint, message string) {
	d.found = append(d.found, Diagnostic{
		File: d.file, Line: at.Line, Column: at.Column,
		Severity: severity, Tenant: d.tenant,
		Message: d.context + message, Hint: hint,
	})
}

// failf reports an error; hint may be empty.
func (d *decoder) failf(at *yaml.Node, hint, format string, args ...any) {
	d.report(at, Error, hint, fmt.Sprintf(format, args...))
}

// warnf reports what loads and is likely not meant.
func (d *decoder) warnf(at *yaml.Node, hint, format string, args ...any) {
	d.report(at, Warning, hint, fmt.Sprintf(format, args...))
}

// check reports err, what a check of a value returned, unless it is nil.
func (d *decoder) check(at *yaml.Node, err error) bool {
	if err == nil {
		return true
	}
	if f, ok := errors.AsType[*flaw](err); ok {
		d.report(at, Error, f.hint, f.what)
	} else {
		d.report(at, Error, "", err.Error())
	}
	return false
}

// within puts what is being read before the messages, until the function it
// returns is called.
func (d *decoder) within(format string, args ...any) (leave func()) {
	outer := d.context
	d.context += fmt.Sprintf(format, args...) + ": "
	return func() { d.context = outer }
}

// enter is where every value passes: it follows an alias, within bounds, and
// refuses tags, with which a value could be something else than it looks.
func (d *decoder) enter(n *yaml.Node) (*yaml.Node, bool) {
	if n.Kind == yaml.AliasNode {
		if d.expanded > maxExpanded {
			return n, false
		}
		if d.expanded += size(n.Alias); d.expanded > maxExpanded {
			d.failf(n, "write out what differs", "the aliases of this file stand for more than %d values", maxExpanded)
			return n, false
		}
		n = n.Alias
	}
	if n.Style&yaml.TaggedStyle != 0 {
		d.failf(n, "remove the tag; quote a value that is a string", "tag %q is not supported", n.Tag)
		return n, false
	}
	return n, true
}

// size counts a node and what is below it, aliases as one.
func size(n *yaml.Node) int {
	sum := 1
	for _, c := range n.Content {
		sum += size(c)
	}
	return sum
}

// field is a key that a mapping may have. Without read it is one of the
// contract whose feature is not there yet: refused, never ignored.
type field struct {
	key  string
	read func(*yaml.Node)
}

// later lists keys that are refused as not supported.
func later(keys ...string) []field {
	fields := make([]field, len(keys))
	for i, k := range keys {
		fields[i].key = k
	}
	return fields
}

// mapping reads a mapping with known keys, in the order of fields whatever the
// order of the text, and returns the value nodes that were there, those of
// keys not yet supported included. ok is false when n is no mapping at all.
func (d *decoder) mapping(n *yaml.Node, fields []field) (present map[string]*yaml.Node, ok bool) {
	present = map[string]*yaml.Node{}
	ok = d.entries(n, func(key string, k, v *yaml.Node) {
		i := slices.IndexFunc(fields, func(f field) bool { return f.key == key })
		switch {
		case i < 0:
			d.failf(k, oneOf(key, supported(fields)), "unknown key %q", key)
			return
		case fields[i].read == nil:
			d.failf(k, "remove the key", "%q is not supported in this version", key)
		}
		present[key] = v
	})
	for _, f := range fields {
		if v := present[f.key]; v != nil && f.read != nil {
			f.read(v)
		}
	}
	return present, ok
}

// supported lists the keys that can be read.
func supported(fields []field) []string {
	var keys []string
	for _, f := range fields {
		if f.read != nil {
			keys = append(keys, f.key)
		}
	}
	return keys
}

// entries calls each with the entries of a mapping whose keys are strings, a
// repeated key only once.
func (d *decoder) entries(n *yaml.Node, each func(key string, k, v *yaml.Node)) bool {
	n, ok := d.enter(n)
	if !ok {
		return false
	}
	if n.Kind != yaml.MappingNode {
		d.mistype(n, "a mapping (key: value)")
		return false
	}
	lines := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind == yaml.ScalarNode && k.Tag == "!!merge" {
			d.failf(k, "repeat the keys; an alias may stand for a whole value", "merge keys are not supported")
			continue
		}
		key, ok := d.text(k, "a key", "")
		if !ok {
			continue
		}
		if line, twice := lines[key]; twice {
			d.failf(k, "remove one of the two", "key %q is already there in line %d", key, line)
			continue
		}
		lines[key] = k.Line
		each(key, k, v)
	}
	return true
}

// list calls each with the items of a list, and returns how many there are, or
// -1 when it is none.
func (d *decoder) list(n *yaml.Node, each func(i int, n *yaml.Node)) int {
	n, ok := d.enter(n)
	if !ok {
		return -1
	}
	if n.Kind != yaml.SequenceNode {
		d.mistype(n, "a list")
		return -1
	}
	for i, c := range n.Content {
		each(i, c)
	}
	return len(n.Content)
}

// oneOrMany is list for a key that takes a single item without brackets, too.
func (d *decoder) oneOrMany(n *yaml.Node, each func(*yaml.Node)) int {
	n, ok := d.enter(n)
	if !ok {
		return -1
	}
	if n.Kind != yaml.SequenceNode {
		each(n)
		return 1
	}
	return d.list(n, func(_ int, n *yaml.Node) { each(n) })
}

// str reads a string on one line.
func (d *decoder) str(n *yaml.Node) (string, bool) { return d.text(n, "a string", "") }

// text reads a string without control characters but those allowed. want says
// what it is to hold.
func (d *decoder) text(n *yaml.Node, want, allowed string) (string, bool) {
	n, ok := d.enter(n)
	if !ok {
		return "", false
	}
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
		d.mistype(n, want)
		return "", false
	}
	for _, r := range n.Value {
		if unicode.IsControl(r) && !strings.ContainsRune(allowed, r) {
			d.failf(n, "remove it", "control character %U in a string", r)
			return "", false
		}
	}
	return n.Value, true
}

// word reads a scalar as it is written, whatever type it has by its looks: 502
// in a list of reasons, 204 in one of ranges.
func (d *decoder) word(n *yaml.Node, want string) (string, bool) {
	n, ok := d.enter(n)
	if !ok {
		return "", false
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!int" {
		return n.Value, true
	}
	return d.text(n, want, "")
}

// choice reads one of a set of words; notYet lists those that later versions know.
func (d *decoder) choice(n *yaml.Node, words []string, notYet ...string) (string, bool) {
	s, ok := d.str(n)
	switch {
	case !ok:
		return "", false
	case slices.Contains(words, s):
		return s, true
	case slices.Contains(notYet, s):
		d.failf(n, "known: "+strings.Join(words, ", "), "%q is not supported in this version", s)
	default:
		d.failf(n, oneOf(s, words), "unknown value %q", s)
	}
	return "", false
}

// boolean reads true or false, and no other word for them.
func (d *decoder) boolean(n *yaml.Node) bool {
	n, ok := d.enter(n)
	if !ok {
		return false
	}
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || (n.Value != "true" && n.Value != "false") {
		d.mistype(n, "true or false")
		return false
	}
	return n.Value == "true"
}

// integer reads a whole number in plain decimal, from low to high.
func (d *decoder) integer(n *yaml.Node, low, high int64) (int64, bool) {
	n, ok := d.enter(n)
	if !ok {
		return 0, false
	}
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" {
		d.mistype(n, "a whole number")
		return 0, false
	}
	v, err := strconv.ParseInt(n.Value, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) || err == nil && (v < low || v > high):
		hint := fmt.Sprintf("%d to %d", low, high)
		if high == math.MaxInt64 {
			hint = fmt.Sprintf("at least %d", low)
		}
		d.failf(n, hint, "%s is out of range", n.Value)
	case err != nil || strconv.FormatInt(v, 10) != n.Value: // 010 would be 8, 8_0 80
		d.failf(n, "no leading zero, sign, underscore or other base", "%s is not a plain decimal number", n.Value)
	default:
		return v, true
	}
	return 0, false
}

// duration reads "1m30s", from low to high.
func (d *decoder) duration(n *yaml.Node, low, high time.Duration) (time.Duration, bool) {
	n, ok := d.enter(n)
	if !ok {
		return 0, false
	}
	if n.Kind == yaml.ScalarNode && (n.Tag == "!!int" || n.Tag == "!!float") {
		d.failf(n, "write "+n.Value+"s for seconds", "a duration needs a unit")
		return 0, false
	}
	s, ok := d.text(n, "a duration", "")
	if !ok {
		return 0, false
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		d.failf(n, "such as 500ms, 10s or 1m30s", "%q is not a duration", s)
		return 0, false
	}
	return v, d.between(n, v, low, high)
}

// secondsOrDuration reads a whole number of seconds, or a duration.
func (d *decoder) secondsOrDuration(n *yaml.Node, low, high time.Duration) (time.Duration, bool) {
	n, ok := d.enter(n)
	if !ok {
		return 0, false
	}
	if n.Tag != "!!int" {
		return d.duration(n, low, high)
	}
	seconds, ok := d.integer(n, 0, int64(high/time.Second))
	v := time.Duration(seconds) * time.Second
	return v, ok && d.between(n, v, low, high)
}

// between holds v to its bounds.
func (d *decoder) between(n *yaml.Node, v, low, high time.Duration) bool {
	if v < low || v > high {
		hint := fmt.Sprintf("%s to %s", low, high)
		if high == math.MaxInt64 {
			hint = fmt.Sprintf("at least %s", low)
		}
		d.failf(n, hint, "%s is out of range", n.Value)
		return false
	}
	return true
}

// bytes reads a size: a number of bytes, or a string such as 16MiB.
func (d *decoder) bytes(n *yaml.Node) (int64, bool) {
	n, ok := d.enter(n)
	if !ok {
		return 0, false
	}
	if n.Tag == "!!int" {
		return d.integer(n, 0, math.MaxInt64)
	}
	s, ok := d.text(n, "a size", "")
	if !ok {
		return 0, false
	}
	v, err := ParseSize(s)
	return v, d.check(n, err)
}

// mistype says what was expected, and what is there.
func (d *decoder) mistype(n *yaml.Node, want string) {
	got, hint := describe(n), ""
	switch {
	case got == "nothing":
		hint = "give it a value or remove the key"
	case want == "a list" && n.Kind == yaml.ScalarNode:
		hint = "write [" + n.Value + "]"
	case want == "true or false":
		hint = booleanHint(n)
	case want == "a whole number" && got == "a string":
		hint = "without quotes"
	case (want == "a string" || want == "a key") && n.Kind == yaml.ScalarNode:
		hint = "quote it"
	}
	d.failf(n, hint, "expected %s, got %s", want, got)
}

// booleanHint translates the words that other YAML takes for true and false.
func booleanHint(n *yaml.Node) string {
	switch strings.ToLower(n.Value) {
	case "true", "yes", "on":
		return "write true, in lower case and without quotes"
	case "false", "no", "off":
		return "write false, in lower case and without quotes"
	}
	return ""
}

// describe names the type of a node. Of strings it does not show the value,
// which may be a secret that got into the wrong place.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.Tag {
	case "!!null":
		return "nothing"
	case "!!bool":
		return n.Value
	case "!!int", "!!float":
		return "the number " + n.Value
	case "!!timestamp":
		return "a date"
	}
	return "a string"
}

// child is the value of a key, nil where there is none. It reports nothing.
func child(n *yaml.Node, key string) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// keys yields those of a mapping, as written.
func keys(n *yaml.Node) iter.Seq[string] {
	return func(yield func(string) bool) {
		if n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i].Value) {
				return
			}
		}
	}
}

// place of a node.
func place(n *yaml.Node) Place { return Place{Line: n.Line, Column: n.Column} }
