package lua

import (
	"bytes"
	"errors"
	"fmt"

	glua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"
)

const (
	maxFile    = 256 << 10 // bytes of one source file
	maxSources = 2 << 20   // bytes of all files of one tenant
	maxDepth   = 150       // nesting of anything in anything
)

// compile turns one source file into a prototype whose allocations all go
// through the budget.
func compile(path string, data []byte) (*glua.FunctionProto, *Error) {
	if len(data) > maxFile {
		return nil, &Error{File: path, Msg: fmt.Sprintf("%d bytes is over the limit of 256 KiB for a source file", len(data))}
	}
	if len(data) > 0 && data[0] == '\x1b' {
		return nil, &Error{File: path, Line: 1, Msg: "precompiled scripts are not accepted"}
	}
	if err := scan(path, data); err != nil {
		return nil, err
	}
	chunk, err := parse.Parse(bytes.NewReader(data), path)
	if err != nil {
		return nil, syntaxError(path, data, err)
	}
	rw := rewriter{path: path}
	if err := rw.chunk(chunk); err != nil {
		return nil, err
	}
	return generate(path, func() (*glua.FunctionProto, error) { return glua.Compile(chunk, path) })
}

// generate runs the code generator, which panics on what it did not foresee.
func generate(path string, f func() (*glua.FunctionProto, error)) (proto *glua.FunctionProto, failed *Error) {
	defer func() {
		if r := recover(); r != nil {
			proto, failed = nil, &Error{File: path, Msg: "cannot be compiled", Err: fmt.Errorf("code generator: %v", r)}
		}
	}()
	proto, err := f()
	if e, ok := errors.AsType[*glua.CompileError](err); ok {
		return nil, &Error{File: path, Line: e.Line, Msg: e.Message}
	}
	if err != nil {
		return nil, &Error{File: path, Msg: "cannot be compiled", Err: err}
	}
	return proto, nil
}

// syntaxError gives an error of the parser its place.
func syntaxError(path string, data []byte, err error) *Error {
	e, ok := errors.AsType[*parse.Error](err)
	switch {
	case !ok:
		return &Error{File: path, Msg: "cannot be parsed", Err: err}
	case e.Pos.Line == parse.EOF:
		return &Error{File: path, Line: lastLine(data), Msg: e.Message + " at the end of the file"}
	default:
		return &Error{File: path, Line: e.Pos.Line, Msg: fmt.Sprintf("%s near %q", e.Message, clip(e.Token))}
	}
}

// lastLine counts the line that the last byte is on.
func lastLine(data []byte) int {
	return 1 + bytes.Count(bytes.TrimRight(data, "\r\n"), []byte{'\n'})
}

// scan refuses what nests too deeply before the parser sees it: the parser
// keeps everything that is open, and 200,000 brackets cost it 150 MB. It reads
// the parser's own tokens, so the two cannot disagree about where a string
// ends.
func scan(path string, data []byte) *Error {
	scanner := parse.NewScanner(bytes.NewReader(data), path)
	var lexer parse.Lexer
	var n nesting
	for {
		tok, err := scanner.Scan(&lexer)
		if err != nil {
			return syntaxError(path, data, err)
		}
		if tok.Type == parse.EOF {
			return nil
		}
		if n.add(tok.Type) > maxDepth {
			return &Error{File: path, Line: tok.Pos.Line, Msg: tooDeep}
		}
		lexer.PrevTokenType = tok.Type
	}
}

const tooDeep = "nested more than 150 levels deep"

// nesting counts what is open: brackets and blocks, and, inside each, operators
// that the parser keeps until their right side ends.
type nesting struct {
	open   int
	unary  int               // unary operators in a row
	rights [maxDepth + 2]int // right-associative operators of the expression, by level
}

// add takes a token and returns how deep it stands.
func (n *nesting) add(token int) int {
	unary := n.unary
	n.unary = 0
	switch token {
	case '(', '{', '[', parse.TFunction, parse.TDo, parse.TIf, parse.TRepeat:
		if n.open++; n.open <= maxDepth {
			n.rights[n.open] = 0
		}
	case ')', '}', ']', parse.TEnd, parse.TUntil:
		n.open = max(n.open-1, 0)
	case '-', '#', parse.TNot:
		n.unary = unary + 1
	case parse.T2Comma, '^':
		n.rights[min(n.open, maxDepth)]++
	case ',', ';', '=', parse.TReturn, parse.TLocal, parse.TThen, parse.TElse, parse.TElseIf, parse.TWhile, parse.TFor, parse.TIn, parse.TAnd, parse.TOr:
		n.rights[min(n.open, maxDepth)] = 0
	}
	return max(n.open, n.unary, n.rights[min(n.open, maxDepth)])
}
