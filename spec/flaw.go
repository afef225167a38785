package spec

import "fmt"

// flaw is what is wrong with one value, and what to do about it. Checks return
// it; the decoder adds the place.
type flaw struct {
	what string
	hint string
}

// Error is the flaw for those who have no place for a hint.
func (f *flaw) Error() string {
	if f.hint == "" {
		return f.what
	}
	return f.what + " (" + f.hint + ")"
}

// flawf makes a flaw; hint may be empty.
func flawf(hint, format string, args ...any) error {
	return &flaw{what: fmt.Sprintf(format, args...), hint: hint}
}
