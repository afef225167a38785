// Command keystone-gateway is a reverse proxy whose tenants are what a git
// repository says. Each subcommand is a file of this package.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Exit codes of every subcommand.
const (
	exitFine     = 0
	exitFindings = 1
	exitUsage    = 2 // wrong usage or settings
	exitTrouble  = 3 // could not read, reach or bind
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// env is what a subcommand sees of the world.
type env struct {
	environ        []string
	stdout, stderr io.Writer
}

// say writes one line of talk; results go to stdout instead.
func (e *env) say(format string, args ...any) {
	_, _ = fmt.Fprintf(e.stderr, "keystone-gateway: "+format+"\n", args...)
}

// command is one subcommand. run returns an exit code.
type command struct {
	name, usage, short string
	run                func(ctx context.Context, e *env, args []string) int
}

func commands() []command {
	return []command{
		{"run", "run -config FILE [-addr HOST:PORT]", "serve until SIGTERM or SIGINT", runCommand},
		{"validate", "validate [-config FILE] [-format text|json|github] [-rev REV] [TREE]", "check a tree as run would load it, and serve nothing", validateCommand},
		{"demo", "demo [-dir DIR]", "the main job with nothing to set up", demoCommand},
		{"version", "version [-format text|json]", "print version, commit and Go version", versionCommand},
	}
}

// run picks the subcommand; a first argument that is a flag means run.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	e := &env{environ: environ, stdout: stdout, stderr: stderr}
	if len(args) == 0 {
		usage(stderr)
		return exitUsage
	}
	name, rest := args[0], args[1:]
	switch {
	case isHelp(name):
		usage(stdout)
		return exitFine
	case name == "-version" || name == "--version":
		name = "version"
	case strings.HasPrefix(name, "-"):
		name, rest = "run", args
	}
	var names []string
	for _, c := range commands() {
		if c.name == name {
			return c.run(ctx, e, rest)
		}
		names = append(names, c.name)
	}
	if slices.Contains([]string{"plan", "test", "explain", "init", "types", "status", "history", "reload", "pin", "unpin"}, name) {
		e.say("%s is not supported in this version", name)
		return exitUsage
	}
	e.say("there is no command %q; the commands are %s", name, strings.Join(names, ", "))
	return exitUsage
}

func isHelp(arg string) bool {
	switch arg {
	case "help", "-h", "-help", "--help":
		return true
	}
	return false
}

func usage(w io.Writer) {
	_, _ = fmt.Fprint(w, "keystone-gateway serves what a git commit says: tenants in YAML, routes in Lua, no restart.\n\nCommands:\n")
	for _, c := range commands() {
		_, _ = fmt.Fprintf(w, "  %-9s %s\n", c.name, c.short)
		_, _ = fmt.Fprintf(w, "            keystone-gateway %s\n", c.usage)
	}
	_, _ = fmt.Fprint(w, `
Try:
  keystone-gateway demo                                  see it work
  keystone-gateway validate                              check the tree in this directory
  keystone-gateway run -config configs/production.yaml   serve

Exit codes: 0 fine, 1 findings, 2 wrong usage or settings, 3 could not read, reach or bind.
`)
}
