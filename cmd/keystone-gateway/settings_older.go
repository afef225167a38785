package main

import "strconv"

// decodeOlder takes the flat keys of older settings files over, where the
// newer key of the same meaning is not given as well.
func (l *settingsLoader) decodeOlder() {
	if port, ok := l.olderString("server.port", "server.listen"); ok {
		l.settings.Server.Listen = ":" + port
	}
	if base, ok := l.olderString("admin_base_path", "admin.base_path"); ok {
		l.settings.Admin.BasePath = base
	}
	if dir, ok := l.olderString("lua_routing.scripts_dir", "source.scripts"); ok {
		l.settings.Source.Scripts = dir
	}
	if raw := l.viper.Get(viperKey("lua_routing.global_scripts")); raw != nil {
		scripts, err := asStrings(raw)
		if err != nil {
			l.report("lua_routing.global_scripts", "", "lua_routing.global_scripts: %v", err)
		}
		l.settings.GlobalScripts = scripts
	}
	if raw := l.viper.Get(viperKey("lua_routing.enabled")); raw != nil {
		switch enabled, err := asBool(raw); {
		case err != nil:
			l.report("lua_routing.enabled", "", "lua_routing.enabled: %v", err)
		case !enabled:
			l.report("lua_routing.enabled", "a script runs only for a tenant that names it in lua_routes",
				"lua_routing.enabled: false is not supported in this version")
		}
	}
}

// olderString reads an older key; ok only when it is the one to take.
func (l *settingsLoader) olderString(older, newer string) (value string, ok bool) {
	raw := l.viper.Get(viperKey(older))
	if raw == nil {
		return "", false
	}
	value, err := asString(raw)
	if n, isInt := raw.(int); isInt && older == "server.port" {
		value, err = strconv.Itoa(n), nil
	}
	if err != nil {
		l.report(older, "", "%s: %v", older, err)
		return "", false
	}
	if l.given(newer) {
		if l.has(newer) { // else the environment or a flag overrides the file
			l.report(older, "", "%s says the same as %s: keep one", older, newer)
		}
		return "", false
	}
	l.places[newer] = l.placeOf(older) // where to point when the value is wrong
	return value, true
}
