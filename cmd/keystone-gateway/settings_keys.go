package main

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"keystone-gateway/internal/daemon"
	"keystone-gateway/spec"
)

// leaf is one key of the settings that holds a value, and where it goes.
type leaf struct {
	key   string // "server.timeouts.idle"
	field reflect.Value
}

// keyTable is what may stand in a settings file, and in the environment.
type keyTable struct {
	leaves    []leaf
	sections  map[string]bool   // keys that hold keys
	older     map[string]bool   // accepted, read by decodeOlder
	later     map[string]bool   // of the published format, not supported in this version
	variables map[string]string // environment variable to key
}

// newKeyTable derives the keys from the tags of s, whose fields its leaves set.
func newKeyTable(s *daemon.Settings) keyTable {
	t := keyTable{
		sections:  map[string]bool{"lua_routing": true},
		older:     make(map[string]bool),
		later:     make(map[string]bool),
		variables: make(map[string]string),
	}
	t.add("", reflect.ValueOf(s).Elem())
	for _, leaf := range t.leaves {
		t.variables["KEYSTONE_"+strings.ToUpper(strings.ReplaceAll(leaf.key, ".", "_"))] = leaf.key
	}
	for _, key := range []string{
		"server.port", "admin_base_path",
		"lua_routing.enabled", "lua_routing.scripts_dir", "lua_routing.global_scripts",
	} {
		t.older[key] = true
	}
	for _, key := range []string{
		"server.tls", "server.proxy_protocol", "server.h2c", "server.expose_revision",
		"server.max_connections", "server.max_connections_per_address",
		"source.git.ref", "source.git.auth", "source.git.verify", "source.git.webhook", "source.git.report",
		"reload.run_tests", "reload.probation",
		"secrets", "lua.env", "kv", "rate_limits", "redis", "metrics", "tracing", "compression", "tls",
	} {
		t.later[key] = true
	}
	return t
}

// add walks a section of the settings.
func (t *keyTable) add(prefix string, section reflect.Value) {
	for i := range section.NumField() {
		tag := section.Type().Field(i).Tag.Get("mapstructure")
		if tag == "-" {
			continue
		}
		key, field := prefix+tag, section.Field(i)
		if field.Kind() == reflect.Struct {
			t.sections[key] = true
			t.add(key+".", field)
			continue
		}
		t.leaves = append(t.leaves, leaf{key: key, field: field})
	}
}

// has says whether key holds a value that this version reads.
func (t *keyTable) has(key string) bool {
	return t.older[key] || slices.ContainsFunc(t.leaves, func(l leaf) bool { return l.key == key })
}

// suggest is the known key of the same section that is closest to key, as a
// hint; "" when none is close.
func (t *keyTable) suggest(key string) string {
	section, name := splitKey(key)
	var siblings []string
	note := func(known string) {
		if s, n := splitKey(known); s == section {
			siblings = append(siblings, n)
		}
	}
	for _, l := range t.leaves {
		note(l.key)
	}
	for known := range t.sections {
		note(known)
	}
	if section == "" {
		siblings = append(siblings, "tenants")
	}
	return didYouMean(name, siblings)
}

// splitKey parts "server.timeouts.idle" into "server.timeouts" and "idle".
func splitKey(key string) (section, name string) {
	if i := strings.LastIndexByte(key, '.'); i >= 0 {
		return key[:i], key[i+1:]
	}
	return "", key
}

// checkKeys reports every key of the file that this version does not read, and
// every section that holds something else than keys. What stands below such a
// key is not judged.
func (l *settingsLoader) checkKeys() {
	keys := maps.Clone(l.places)
	l.addDecoded(keys, "", l.viper.AllSettings())
	judged := map[string]bool{"tenants": true}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if section, _ := splitKey(key); judged[key] || judged[section] || judged[base(key)] {
			judged[key] = true // something that is not read key by key, or below it
			continue
		}
		judged[key] = !l.isSection(key)
		switch {
		case !judged[key], l.known.has(key):
		case l.known.later[key]:
			l.report(key, "", "%q is not supported in this version", key)
		case l.known.sections[key]:
			l.report(key, "", "%s: expected keys below it, got %s", key, describe(l.viper.Get(viperKey(key))))
		default:
			l.report(key, l.known.suggest(key), "unknown key %q", key)
		}
	}
}

// isSection says whether the file has keys below key, or nothing, as it should.
func (l *settingsLoader) isSection(key string) bool {
	if !l.known.sections[key] {
		return false
	}
	raw := l.viper.Get(viperKey(key))
	_, isMap := raw.(map[string]any)
	return raw == nil || isMap
}

// addDecoded adds the keys that only decoding shows, which are those that an
// alias stands for, and reports those that would pass for another: the one key
// "server.listen" is not the key listen below server.
func (l *settingsLoader) addDecoded(keys map[string]spec.Place, prefix string, section map[string]any) {
	for name, value := range section {
		key := prefix + name
		if strings.ContainsAny(name, ".[") {
			l.report(key, "write one key below the other", "unknown key %q", name)
			continue
		}
		keys[key] = l.places[key]
		if below, ok := value.(map[string]any); ok {
			l.addDecoded(keys, key+".", below)
		}
	}
}

// base is the key that holds a list which key is in, "" for none:
// "tenants" of "tenants[0].name".
func base(key string) string {
	before, _, found := strings.Cut(key, "[")
	if !found {
		return ""
	}
	return before
}

// didYouMean is a hint that names the word closest to a mistyped one, "" when
// none is close.
func didYouMean(typed string, words []string) string {
	best, least := "", len(typed)/3+1
	for _, word := range slices.Sorted(slices.Values(words)) {
		if d := distance(typed, word); d <= least && (best == "" || d < least) {
			best, least = word, d
		}
	}
	if best == "" {
		return ""
	}
	return "did you mean " + strconv.Quote(best) + "?"
}

// distance counts the letters to insert, drop or replace between a and b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
