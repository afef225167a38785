package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"keystone-gateway/internal/daemon"
	"keystone-gateway/reloader"
	"keystone-gateway/repo"
	"keystone-gateway/spec"
)

func validateCommand(ctx context.Context, e *env, args []string) int {
	f := newFlags(e, "validate", "validate [-config FILE] [-format text|json|github] [-rev REV] [TREE]", `
Loads, compiles and registers a tree through the same code as run, as from
nothing, and serves nothing. TREE is a directory (default: the source.dir of
the settings, else ".") or a git URL. Exit 1 when anything in it is invalid.

Example:
  keystone-gateway validate -format github .`)
	config := f.String("config", "", "settings `FILE`: limits, where tenants and scripts lie")
	rev := f.String("rev", "", "branch of a git URL `REV` (default: source.git.branch)")
	format := f.format("text", "json", "github")
	for _, name := range []string{"tests", "machine", "strict"} {
		f.BoolFunc(name, "not supported in this version", func(string) error {
			return errors.New("not supported in this version")
		})
	}
	operands, code, ok := f.parse(args, 1)
	if !ok {
		return code
	}
	settings, err := loadSettings(settingsArgs{Config: *config}, e.environ)
	if err != nil {
		return e.fail(err)
	}
	if err := pointAt(&settings, operands, *rev); err != nil {
		e.say("validate: %v", err)
		return exitUsage
	}
	snapshot, candidate, err := daemon.Check(ctx, settings, slog.New(slog.DiscardHandler))
	if err != nil {
		if bad, ok := errors.AsType[*repo.TreeError](err); ok {
			e.say("%v", bad)
			return exitFindings
		}
		return e.fail(err)
	}
	defer candidate.Discard()
	return e.printFindings(*format, snapshot, candidate)
}

// pointAt makes settings name the tree to validate and nothing else.
func pointAt(s *daemon.Settings, operands []string, rev string) error {
	s.StateDir = ""
	if len(operands) == 0 {
		if rev != "" {
			return errors.New("-rev goes with a git URL")
		}
		s.Source.Git.URL = ""
		return nil
	}
	s.Inline = false
	if !isGitURL(operands[0]) {
		if rev != "" {
			return errors.New("-rev goes with a git URL; for a revision of a local repository name it as file path ending in .git")
		}
		s.Source.Dir, s.Source.Git.URL = operands[0], ""
		return nil
	}
	s.Source.Dir, s.Source.Git.URL = "", operands[0]
	if rev != "" {
		s.Source.Git.Branch = rev
	}
	return nil
}

func isGitURL(s string) bool {
	return strings.Contains(s, "://") || strings.HasPrefix(s, "git@") || strings.HasSuffix(s, ".git")
}

// findings is what validate found, for scripts to read.
type findings struct {
	Valid       bool              `json:"valid"`
	Revision    string            `json:"revision"`
	Tenants     int               `json:"tenants"`
	Routes      int               `json:"routes"`
	Diagnostics []spec.Diagnostic `json:"diagnostics"`
}

func (e *env) printFindings(format string, snapshot *repo.Snapshot, c *reloader.Candidate) int {
	found := findings{Revision: snapshot.Revision.ID, Tenants: c.Tenants(), Diagnostics: c.Diagnostics()}
	if found.Diagnostics == nil {
		found.Diagnostics = []spec.Diagnostic{}
	}
	for _, routes := range c.Routes() {
		found.Routes += len(routes)
	}
	invalid := 0
	for _, d := range found.Diagnostics {
		if d.Severity == spec.Error {
			invalid++
		}
	}
	found.Valid = invalid == 0 && c.Invalid() == 0
	code := exitFine
	if !found.Valid {
		code = exitFindings
	}
	switch format {
	case "json":
		if printed := e.printJSON(found); printed != exitFine {
			return printed
		}
		return code
	case "github":
		for _, d := range found.Diagnostics {
			printAnnotation(e.stdout, d)
		}
	default:
		for _, d := range found.Diagnostics {
			_, _ = fmt.Fprintln(e.stdout, d)
		}
	}
	if found.Valid {
		e.say("valid: %s, %s", count(found.Tenants, "tenant"), count(found.Routes, "route"))
	} else {
		e.say("invalid: %s; %s could go live", count(invalid, "error"), count(found.Tenants, "tenant"))
	}
	return code
}

// printAnnotation writes a workflow command that GitHub shows beside the line.
func printAnnotation(w io.Writer, d spec.Diagnostic) {
	level := "error"
	switch d.Severity {
	case spec.Warning:
		level = "warning"
	case spec.Note:
		level = "notice"
	case spec.Error:
	}
	properties := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	data := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	place := "file=" + properties.Replace(d.File)
	if d.Line > 0 {
		place += fmt.Sprintf(",line=%d", d.Line)
	}
	if d.Column > 0 {
		place += fmt.Sprintf(",col=%d", d.Column)
	}
	message := d.Message
	if d.Hint != "" {
		message += " (" + d.Hint + ")"
	}
	_, _ = fmt.Fprintf(w, "::%s %s::%s\n", level, place, data.Replace(message))
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
