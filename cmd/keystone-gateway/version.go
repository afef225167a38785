package main

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
)

// The linker sets these: -ldflags "-X main.buildVersion=… -X main.buildCommit=…".
//
//nolint:gochecknoglobals // -X reaches package variables and nothing else
var (
	buildVersion = "dev"
	buildCommit  = "unknown"
)

// buildInfo says which program this is.
type buildInfo struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
}

// version reads what the build left in the binary.
func version() buildInfo {
	v := buildInfo{Version: buildVersion, Commit: buildCommit, Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && v.Commit == "unknown" {
			v.Commit = s.Value
		}
	}
	return v
}

func versionCommand(_ context.Context, e *env, args []string) int {
	f := newFlags(e, "version", "version [-format text|json]", "Prints version, commit and Go version.")
	format := f.format("text", "json")
	if _, code, ok := f.parse(args, 0); !ok {
		return code
	}
	v := version()
	if *format == "json" {
		return e.printJSON(v)
	}
	_, _ = fmt.Fprintf(e.stdout, "keystone-gateway %s (commit %s, %s)\n", v.Version, v.Commit, v.Go)
	return exitFine
}

func (e *env) printJSON(v any) int {
	encoder := json.NewEncoder(e.stdout)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		e.say("%v", err)
		return exitTrouble
	}
	return exitFine
}
