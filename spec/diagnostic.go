package spec

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Severity of a Diagnostic.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // what it is about does not load
	Warning Severity = "warning" // it loads, and is likely not what was meant
	Note    Severity = "note"
)

// Diagnostic is one thing wrong with a tree, for the tenant that wrote it.
type Diagnostic struct {
	File     string   `json:"file"`
	Line     int      `json:"line,omitempty"`
	Column   int      `json:"column,omitempty"`
	Severity Severity `json:"severity"`
	Tenant   string   `json:"tenant,omitempty"`
	Message  string   `json:"message"`
	Hint     string   `json:"hint,omitempty"`
}

// String is the one line that people and editors read:
//
//	configs/tenants/shop.yaml:14:11: error: route "/cart": upstream "carts" is not defined (did you mean "cart"?)
func (d Diagnostic) String() string {
	var b strings.Builder
	b.WriteString(d.File)
	if d.Line > 0 {
		b.WriteString(":" + strconv.Itoa(d.Line))
		if d.Column > 0 {
			b.WriteString(":" + strconv.Itoa(d.Column))
		}
	}
	b.WriteString(": " + string(d.Severity) + ": " + d.Message)
	if d.Hint != "" {
		b.WriteString(" (" + d.Hint + ")")
	}
	return b.String()
}

// Sort orders ds by file and place, as every list of them is shown.
func Sort(ds []Diagnostic) {
	slices.SortFunc(ds, func(a, b Diagnostic) int {
		return cmp.Or(
			cmp.Compare(a.File, b.File),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Message, b.Message),
			cmp.Compare(a.Tenant, b.Tenant),
		)
	})
}

// Errors counts those of ds that keep something from loading.
func Errors(ds []Diagnostic) int {
	n := 0
	for _, d := range ds {
		if d.Severity == Error {
			n++
		}
	}
	return n
}
