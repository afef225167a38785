package main

import (
	"errors"
	"flag"
	"io"
	"slices"
	"strings"
)

// flags wraps a FlagSet so that flags may stand before or after operands, with
// one dash or two.
type flags struct {
	*flag.FlagSet
	e     *env
	usage string
	help  string
}

func newFlags(e *env, name, usage, help string) *flags {
	f := &flags{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError), e: e, usage: usage, help: help}
	f.SetOutput(io.Discard)
	return f
}

// parse returns the operands. ok is false when the command is to end with code.
func (f *flags) parse(args []string, most int) (operands []string, code int, ok bool) {
	for {
		err := f.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			f.print(f.e.stdout)
			return nil, exitFine, false
		}
		if err != nil {
			f.e.say("%s: %v", f.Name(), err)
			f.e.say("usage: keystone-gateway %s", f.usage)
			return nil, exitUsage, false
		}
		rest := f.Args()
		if len(rest) == 0 {
			break
		}
		// Parse stops at an operand, and after "--" all that follows are operands.
		if stopped := len(args) - len(rest); stopped > 0 && args[stopped-1] == "--" {
			operands = append(operands, rest...)
			break
		}
		operands = append(operands, rest[0])
		args = rest[1:]
	}
	if len(operands) > most {
		f.e.say("%s: unexpected %q", f.Name(), operands[most])
		f.e.say("usage: keystone-gateway %s", f.usage)
		return nil, exitUsage, false
	}
	return operands, exitFine, true
}

func (f *flags) print(w io.Writer) {
	var b strings.Builder
	b.WriteString("usage: keystone-gateway " + f.usage + "\n\n" + strings.TrimSpace(f.help) + "\n")
	if f.hasFlags() {
		b.WriteString("\nFlags:\n")
		f.SetOutput(&b)
		f.PrintDefaults()
	}
	_, _ = io.WriteString(w, b.String())
}

func (f *flags) hasFlags() bool {
	found := false
	f.VisitAll(func(*flag.Flag) { found = true })
	return found
}

// format declares -format with the formats a command has; the first is the default.
func (f *flags) format(formats ...string) *string {
	value := formats[0]
	f.Func("format", "one of "+strings.Join(formats, ", ")+" (default "+formats[0]+")", func(s string) error {
		if !slices.Contains(formats, s) {
			return errors.New("it is one of " + strings.Join(formats, ", "))
		}
		value = s
		return nil
	})
	return &value
}
