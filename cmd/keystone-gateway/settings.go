package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/viper"

	"keystone-gateway/internal/daemon"
	"keystone-gateway/spec"
)

// settingsArgs is what the command line says about settings.
type settingsArgs struct {
	Config string // -config: the settings file; "" for none
	Addr   string // -addr: overrides server.listen; "" when not given
}

// settingsError is every problem with the settings of one start, as the lines
// to print. ExitCode is 2 for settings that are wrong and 3 for a file that
// cannot be read.
type settingsError struct {
	code  int
	cause error // why the file could not be read; nil otherwise
	found []spec.Diagnostic
}

// Error is one line a problem, sorted by place.
func (e *settingsError) Error() string {
	if e.cause != nil {
		return e.cause.Error()
	}
	lines := make([]string, len(e.found))
	for i, d := range e.found {
		lines[i] = d.String()
	}
	return strings.Join(lines, "\n")
}

// Unwrap is the cause of an unreadable file.
func (e *settingsError) Unwrap() error { return e.cause }

// ExitCode is what the process ends with.
func (e *settingsError) ExitCode() int { return e.code }

// keyDelimiter keeps viper from splitting keys at dots: what looks like one
// key in the file is one key.
const keyDelimiter = "::"

// loadSettings reads the settings once, at start: the defaults, over them the
// file, over it the environment ("KEY=value" strings, as of os.Environ), over
// that the flags. It reports all problems at once; the error is a
// *settingsError.
func loadSettings(args settingsArgs, environ []string) (daemon.Settings, error) {
	l := &settingsLoader{
		settings: daemon.Defaults(),
		viper:    viper.NewWithOptions(viper.KeyDelimiter(keyDelimiter)),
		file:     args.Config,
		origins:  make(map[string]string),
	}
	l.settings.File = args.Config
	l.known = newKeyTable(&l.settings)

	if args.Config != "" {
		if err := l.readFile(); err != nil {
			return daemon.Settings{}, err
		}
	}
	l.readEnvironment(environ)
	l.readFlags(args)
	l.decode()
	l.decodeOlder()
	l.chooseSource()
	if len(l.found) == 0 {
		l.check() // what did not decode has no value to judge
	}
	if len(l.found) > 0 {
		spec.Sort(l.found)
		return daemon.Settings{}, &settingsError{code: 2, found: l.found}
	}
	return l.settings, nil
}

// settingsLoader is one call of loadSettings.
type settingsLoader struct {
	settings daemon.Settings
	viper    *viper.Viper
	known    keyTable
	file     string
	places   map[string]spec.Place // of the keys of the file, "server.listen"
	origins  map[string]string     // of the keys not taken from the file: "-addr", "KEYSTONE_LOG_LEVEL"
	found    []spec.Diagnostic
}

// report notes a problem with key at the place its value came from.
func (l *settingsLoader) report(key, hint, format string, args ...any) {
	d := spec.Diagnostic{File: l.file, Severity: spec.Error, Message: fmt.Sprintf(format, args...), Hint: hint}
	if origin, ok := l.origins[key]; ok {
		d.File = origin
	} else {
		place := l.placeOf(key)
		d.Line, d.Column = place.Line, place.Column
	}
	if d.File == "" {
		d.File = key // a default, judged against something that was given
	}
	l.found = append(l.found, d)
}

// placeOf is where key stands in the file, or else the section it would be in.
func (l *settingsLoader) placeOf(key string) spec.Place {
	for ; key != ""; key, _ = splitKey(key) {
		if place, ok := l.places[key]; ok {
			return place
		}
	}
	return spec.Place{}
}

// has says whether the file has the key, be its value null.
func (l *settingsLoader) has(key string) bool {
	_, ok := l.places[key]
	return ok
}

// given says whether anything but the defaults sets the key.
func (l *settingsLoader) given(key string) bool { return l.viper.IsSet(viperKey(key)) }

// readFile hands the file to viper, after every key in it was found to be known.
func (l *settingsLoader) readFile() error {
	data, err := os.ReadFile(l.file)
	if err != nil {
		return &settingsError{code: 3, cause: fmt.Errorf("read settings: %w", err)}
	}
	if l.places, err = spec.Index(data); err != nil {
		return l.malformed(err)
	}
	l.viper.SetConfigType("yaml")
	if err := l.viper.ReadConfig(bytes.NewReader(withoutTenants(data, l.places))); err != nil {
		return l.malformed(err)
	}
	l.checkKeys()
	return nil
}

// malformed is a file that is not YAML, or not the YAML we take. The decoder
// behind viper tells lines in its text alone: "line 2: mapping key …".
func (l *settingsLoader) malformed(err error) error {
	if syntax, ok := errors.AsType[*spec.SyntaxError](err); ok {
		return &settingsError{code: 2, found: []spec.Diagnostic{{
			File: l.file, Line: syntax.Place.Line, Column: syntax.Place.Column,
			Severity: spec.Error, Message: syntax.What, Hint: syntax.Hint,
		}}}
	}
	var found []spec.Diagnostic
	for text := range strings.Lines(err.Error()) {
		d := spec.Diagnostic{File: l.file, Severity: spec.Error}
		if _, scanErr := fmt.Sscanf(text, " line %d:", &d.Line); scanErr == nil {
			_, d.Message, _ = strings.Cut(strings.TrimSpace(text), ": ")
			found = append(found, d)
		}
	}
	if len(found) == 0 {
		found = []spec.Diagnostic{{File: l.file, Severity: spec.Error, Message: strings.Join(strings.Fields(err.Error()), " ")}}
	}
	return &settingsError{code: 2, found: found}
}

// withoutTenants blanks the lines of the top-level key `tenants`, which are
// not settings: spec reads them from the same file, by its own rules, and a
// mistake in a tenant is no mistake in the settings. Line numbers stay. A file
// laid out so that its lines do not come apart is left as it is.
func withoutTenants(data []byte, places map[string]spec.Place) []byte {
	start, ok := places["tenants"]
	if !ok {
		return data
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	end := len(lines) + 1
	for _, place := range places {
		if place.Column == start.Column && place.Line > start.Line { // the next key beside it
			end = min(end, place.Line)
		}
	}
	for i := start.Line; i < end; i++ {
		lines[i-1] = []byte("\n")
	}
	rest := bytes.Join(lines, nil)
	left, err := spec.Index(rest)
	if err != nil {
		return data
	}
	for key := range places {
		if _, kept := left[key]; !kept && key != "tenants" && !strings.HasPrefix(key, "tenants[") && !strings.HasPrefix(key, "tenants.") {
			return data
		}
	}
	return rest
}

// readEnvironment lays the variables over the file. Only the names of known
// keys are looked at: others that begin alike are not ours (Kubernetes sets
// KEYSTONE_PORT for a service named keystone, which is also why server.port
// has no variable). An empty value counts as unset.
func (l *settingsLoader) readEnvironment(environ []string) {
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if key, ok := l.known.variables[name]; ok && value != "" {
			l.viper.Set(viperKey(key), value)
			l.origins[key] = name
		}
	}
}

// readFlags lays the flags over all else.
func (l *settingsLoader) readFlags(args settingsArgs) {
	if args.Addr != "" {
		l.viper.Set(viperKey("server.listen"), args.Addr)
		l.origins["server.listen"] = "-addr"
	}
}

// decode moves what was given into the settings. A null value, and a null
// section, leave the default.
func (l *settingsLoader) decode() {
	for _, leaf := range l.known.leaves {
		raw := l.viper.Get(viperKey(leaf.key))
		if raw == nil {
			continue
		}
		if _, fromOutside := l.origins[leaf.key]; fromOutside {
			raw = text(raw.(string))
		}
		if err := decodeValue(raw, leaf.field); err != nil {
			l.report(leaf.key, "", "%s: %v", leaf.key, err)
		}
	}
}

// viperKey is a key as viper is asked for it.
func viperKey(key string) string { return strings.ReplaceAll(key, ".", keyDelimiter) }
