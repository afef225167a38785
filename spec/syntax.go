package spec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// SyntaxError is why bytes are not YAML.
type SyntaxError struct {
	Place Place // the line is right, the column is where its text begins
	What  string
	Hint  string
}

// Error names the line.
func (e *SyntaxError) Error() string {
	s := "line " + strconv.Itoa(e.Place.Line) + ": " + e.What
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// documents parses every document of data into its root node. A document with
// nothing in it but comments, such as after a final ---, is left out. The
// error is a *SyntaxError.
func documents(data []byte) ([]*yaml.Node, error) {
	if err := checkText(data); err != nil {
		return nil, err
	}
	roots, err := parse(bytes.NewReader(data))
	if err != nil {
		return nil, locate(data, err)
	}
	return roots, nil
}

// checkText says where data is not text in UTF-8. The parser would, too, but
// not where.
func checkText(data []byte) error {
	fail := func(at int, what, hint string) error {
		begin := bytes.LastIndexByte(data[:at], '\n') + 1
		return &SyntaxError{
			Place: Place{Line: bytes.Count(data[:at], []byte{'\n'}) + 1, Column: utf8.RuneCount(data[begin:at]) + 1},
			What:  what,
			Hint:  hint,
		}
	}
	if bytes.HasPrefix(data, []byte{0xFE, 0xFF}) || bytes.HasPrefix(data, []byte{0xFF, 0xFE}) {
		return fail(0, "the file is UTF-16", "save it as UTF-8")
	}
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			return fail(i, "a byte that is not UTF-8", "save the file as UTF-8")
		case r == '\r' && !bytes.HasPrefix(data[i+n:], []byte{'\n'}), r == 0x85, r == 0x2028, r == 0x2029:
			// YAML 1.1 ends lines with them, too; editors and we count others.
			return fail(i, fmt.Sprintf("line break %U", r), "end lines with LF or CRLF")
		case unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r':
			return fail(i, fmt.Sprintf("control character %U", r), "remove it")
		}
		i += n
	}
	return nil
}

// parse reads all documents of r.
func parse(r io.Reader) (roots []*yaml.Node, err error) {
	// The parser reports through panics of its own, and turns only those it
	// knows into errors. What a stranger committed must not end the process.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("not readable as YAML: %v", p)
		}
	}()
	decoder := yaml.NewDecoder(r)
	for {
		var doc yaml.Node
		switch err := decoder.Decode(&doc); {
		case errors.Is(err, io.EOF):
			return roots, nil
		case err != nil:
			return nil, err
		}
		if root := doc.Content[0]; root.Tag != "!!null" || root.Value != "" {
			roots = append(roots, root)
		}
	}
}

// locate makes a SyntaxError of what parse said about data.
func locate(data []byte, err error) *SyntaxError {
	what, line := strings.TrimPrefix(err.Error(), "yaml: "), 0
	if rest, ok := strings.CutPrefix(what, "line "); ok {
		if number, message, ok := strings.Cut(rest, ": "); ok {
			if n, err := strconv.Atoi(number); err == nil && n > 0 {
				line, what = n, message
			}
		}
	}
	// Some errors come without a line, and the parser's own with the line
	// before the one where the construct around the mistake begins.
	if line == 0 || strings.HasPrefix(what, "did not find expected") {
		line = surprise(data, line+1)
	}
	text := lineAt(data, line)
	return &SyntaxError{
		Place: Place{Line: line, Column: len(text) - len(bytes.TrimLeft(text, " \t")) + 1},
		What:  what,
		Hint:  syntaxHint(what, text),
	}
}

// surprise is the line at which parsing stops: how far the parser came shows
// when it is fed byte by byte. At the end of data something was never closed,
// and where that begins is the better answer: begin.
func surprise(data []byte, begin int) int {
	const ahead = 4 // bytes that the scanner looks ahead
	r := &counter{data: data}
	if _, err := parse(r); err == nil || r.read >= len(data) {
		last := bytes.Count(bytes.TrimSpace(data), []byte{'\n'}) + 1
		return min(begin, last)
	}
	return bytes.Count(data[:max(0, r.read-ahead)], []byte{'\n'}) + 1
}

// counter reads data byte by byte and counts.
type counter struct {
	data []byte
	read int
}

// Read gives one byte.
func (r *counter) Read(p []byte) (int, error) {
	if r.read >= len(r.data) {
		return 0, io.EOF
	}
	p[0] = r.data[r.read]
	r.read++
	return 1, nil
}

// syntaxHint translates the parser's terms for the likeliest mistakes.
func syntaxHint(what string, line []byte) string {
	indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]
	switch {
	case bytes.ContainsRune(indent, '\t'), strings.Contains(what, "tab character"):
		return "indent with spaces, not tabs"
	case strings.Contains(what, "cannot start any token"):
		return "quote a value that begins with @, ` or %"
	case strings.Contains(what, "mapping values are not allowed"):
		return "look for a wrong indent, or quote the value"
	case strings.Contains(what, "did not find expected key"), strings.Contains(what, "did not find expected '-'"):
		return "look at the indent of this line"
	case strings.Contains(what, "did not find expected ','"):
		return "something is not closed, or a value needs quotes"
	case strings.Contains(what, "could not find expected ':'"):
		return "a key needs a colon and a space"
	case strings.Contains(what, "unknown anchor"):
		return "an anchor is defined before it is used, in the same document"
	}
	return "look at this line and the one before"
}

// lineAt returns line n (from one) of data, empty where there is none.
func lineAt(data []byte, n int) []byte {
	for ; n > 1; n-- {
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			return nil
		}
		data = data[i+1:]
	}
	line, _, _ := bytes.Cut(data, []byte{'\n'})
	return line
}
