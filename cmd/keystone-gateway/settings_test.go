package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keystone-gateway/internal/daemon"
)

// load writes file, unless it is empty, and loads it as settings.yaml.
func load(t *testing.T, file string, args settingsArgs, environ ...string) (daemon.Settings, error) {
	t.Helper()
	if file != "" {
		t.Chdir(t.TempDir())
		args.Config = "settings.yaml"
		if err := os.WriteFile(args.Config, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return loadSettings(args, environ)
}

func TestSettingsThatAreTaken(t *testing.T) {
	tests := []struct {
		name    string
		file    string
		args    settingsArgs
		environ []string
		want    func(*daemon.Settings) // from the defaults
	}{
		{
			name: "nothing said, everything default",
			want: func(*daemon.Settings) {},
		},
		{
			name: "an empty file",
			file: "# nothing yet\n",
			want: func(*daemon.Settings) {},
		},
		{
			name: "an empty section and an empty value keep their defaults",
			file: "server:\nadmin:\n  listen:\nlog: {level: warn}\n",
			want: func(s *daemon.Settings) { s.Log.Level = "warn" },
		},
		{
			name: "an empty text is a value",
			file: "admin: {listen: \"\"}\n",
			want: func(s *daemon.Settings) { s.Admin.Listen = "" },
		},
		{
			name: "every kind of value",
			file: `
server: {listen: "127.0.0.1:0", trusted_proxies: [10.0.0.0/8, "::1"], timeouts: {idle: 1m30s}}
source: {dir: tree, limits: {files: 7, file_size: 64KiB, total_size: 65536}}
reload: {allow_empty: true, on_invalid: reject}
lua: {instructions: 5000, max_states: 2}
upstream_policy: {deny: [], allow: [169.254.1.1]}
`,
			want: func(s *daemon.Settings) {
				s.Server.Listen = "127.0.0.1:0"
				s.Server.TrustedProxies = []string{"10.0.0.0/8", "::1"}
				s.Server.Timeouts.Idle = 90 * time.Second
				s.Source.Dir = "tree"
				s.Source.Limits.Files, s.Source.Limits.FileSize, s.Source.Limits.TotalSize = 7, 64<<10, 65536
				s.Reload.AllowEmpty, s.Reload.OnInvalid = true, "reject"
				s.Lua.Instructions, s.Lua.MaxStates = 5000, 2
				s.UpstreamPolicy = daemon.UpstreamPolicy{Deny: []string{}, Allow: []string{"169.254.1.1"}}
			},
		},
		{
			name: "paths of the tree are cleaned, and the base path's last slash goes",
			file: "source: {tenants: ./tenants/, scripts: lua/../scripts}\nadmin: {base_path: /ops/}\n",
			want: func(s *daemon.Settings) {
				s.Source.Tenants, s.Source.Scripts, s.Admin.BasePath = "tenants", "scripts", "/ops"
			},
		},
		{
			name: "a repository",
			file: "source: {git: {url: https://git.example.com/a.git, path: gateway, poll_interval: 5s}}\n",
			want: func(s *daemon.Settings) {
				s.Source.Git.URL, s.Source.Git.Path, s.Source.Git.PollInterval = "https://git.example.com/a.git", "gateway", 5*time.Second
			},
		},
		{
			name:    "the environment over the file, the flag over both",
			file:    "server: {listen: \":1\"}\nlog: {level: warn, format: text}\n",
			args:    settingsArgs{Addr: ":3"},
			environ: []string{"KEYSTONE_SERVER_LISTEN=:2", "KEYSTONE_LOG_LEVEL=debug"},
			want: func(s *daemon.Settings) {
				s.Server.Listen, s.Log.Level, s.Log.Format = ":3", "debug", "text"
			},
		},
		{
			name: "every kind of value in the environment",
			environ: []string{
				"KEYSTONE_SERVER_TRUSTED_PROXIES=10.0.0.0/8, ::1", "KEYSTONE_SOURCE_GIT_MAX_SIZE=2GiB",
				"KEYSTONE_SOURCE_GIT_URL=/srv/tree.git", "KEYSTONE_RELOAD_ALLOW_EMPTY=true",
				"KEYSTONE_LUA_INSTRUCTIONS=10", "KEYSTONE_DRAIN_TIMEOUT=3s",
			},
			want: func(s *daemon.Settings) {
				s.Server.TrustedProxies = []string{"10.0.0.0/8", "::1"}
				s.Source.Git.MaxSize, s.Source.Git.URL = 2<<30, "/srv/tree.git"
				s.Reload.AllowEmpty, s.Lua.Instructions, s.DrainTimeout = true, 10, 3*time.Second
			},
		},
		{
			name: "other variables are not ours, and an empty one counts as unset",
			environ: []string{
				"KEYSTONE_PORT=tcp://10.0.0.1:80", "KEYSTONE_SERVER_PORT=80", "KEYSTONE_TOKEN_FILE=x", "KEYSTONE_LOG_LEVEL=",
			},
			want: func(*daemon.Settings) {},
		},
		{
			name: "the older port, as text and as number",
			file: "server: {port: 9000}\n",
			want: func(s *daemon.Settings) { s.Server.Listen = ":9000" },
		},
		{
			name:    "the older port under the environment",
			file:    "server: {port: '9000'}\n",
			environ: []string{"KEYSTONE_SERVER_LISTEN=:9001"},
			want:    func(s *daemon.Settings) { s.Server.Listen = ":9001" },
		},
		{
			name: "the other older keys, with the tenants in the same file",
			file: `
admin_base_path: /ops
lua_routing: {enabled: true, scripts_dir: /srv/scripts, global_scripts: [auth, log]}
tenants:
- name: shop
  services: []
server: {listen: ":1"}
`,
			want: func(s *daemon.Settings) {
				s.Inline, s.Admin.BasePath, s.Source.Scripts, s.Server.Listen = true, "/ops", "/srv/scripts", ":1"
				s.GlobalScripts = []string{"auth", "log"}
			},
		},
		{
			name: "a mistake in a tenant is no mistake in the settings",
			file: "tenants:\n  - name: a\n    name: b\n    server.listen: 1\nlog: {level: warn}\n",
			want: func(s *daemon.Settings) { s.Inline, s.Log.Level = true, "warn" },
		},
		{
			name: "an alias stands for what it names",
			file: "server: {timeouts: {read_header: &t 7s, idle: *t}}\n",
			want: func(s *daemon.Settings) {
				s.Server.Timeouts.ReadHeader, s.Server.Timeouts.Idle = 7*time.Second, 7*time.Second
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := load(t, tt.file, tt.args, tt.environ...)
			if err != nil {
				t.Fatal(err)
			}
			want := daemon.Defaults()
			if tt.file != "" {
				want.File = "settings.yaml"
			}
			tt.want(&want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSettingsThatAreRefused(t *testing.T) {
	tests := []struct {
		name    string
		file    string
		args    settingsArgs
		environ []string
		want    string // a line a problem
	}{
		{
			name: "an unknown key",
			file: "server:\n  lissten: \":1\"\n",
			want: `settings.yaml:2:3: error: unknown key "server.lissten" (did you mean "listen"?)`,
		},
		{
			name: "an unknown key in capitals",
			file: "Server: {listen: \":1\"}\n",
			want: `settings.yaml:1:1: error: unknown key "Server" (did you mean "server"?)`,
		},
		{
			name: "an unknown section, named once",
			file: "cluster:\n  nodes: [a, b]\n  size: 3\n",
			want: `settings.yaml:1:1: error: unknown key "cluster"`,
		},
		{
			name: "a key in one word, beside tenants",
			file: "tenants: []\nserver.listen: \":1\"\n",
			want: `settings.yaml:2:1: error: unknown key "server.listen" (write one key below the other)`,
		},
		{
			name: "an unknown key behind an alias",
			file: "log: &l {level: info}\nserver: *l\n",
			want: `settings.yaml:2:1: error: unknown key "server.level"`,
		},
		{
			name: "what is not there yet",
			file: "server:\n  tls: {listen: \":8443\"}\nsource: {git: {url: /a, auth: {token_file: t}}}\nkv: {memory: 1MiB}\n",
			want: `
settings.yaml:2:3: error: "server.tls" is not supported in this version
settings.yaml:3:25: error: "source.git.auth" is not supported in this version
settings.yaml:4:1: error: "kv" is not supported in this version`,
		},
		{
			name: "a key given twice",
			file: "log: {level: info}\nlog: {level: warn}\n",
			want: `settings.yaml:2: error: mapping key "log" already defined at line 1`,
		},
		{
			name: "two documents",
			file: "log: {level: info}\n---\nlog: {level: warn}\n",
			want: `settings.yaml:3:1: error: there is more than one document (only one would be read)`,
		},
		{
			name: "a list instead of keys",
			file: "- server\n",
			want: `settings.yaml:1:1: error: expected a mapping (key: value), got a list`,
		},
		{
			name: "a value instead of a section, and a section instead of a value",
			file: "server: 8080\nlog:\n  level: {of: info}\n",
			want: `
settings.yaml:1:1: error: server: expected keys below it, got the number 8080
settings.yaml:3:3: error: log.level: expected text, got keys below it: put it in quotes`,
		},
		{
			name: "wrong types, all at once",
			file: `
server: {listen: 8080, trusted_proxies: 10.0.0.0/8, timeouts: {idle: 30}}
log: {access: "yes"}
lua: {max_states: 1.5}
source: {limits: {file_size: big}}
`,
			want: `
settings.yaml:2:10: error: server.listen: expected text, got the number 8080: put it in quotes
settings.yaml:2:24: error: server.trusted_proxies: expected a list, got "10.0.0.0/8"
settings.yaml:2:64: error: server.timeouts.idle: expected a duration with its unit, such as "30s" or "250ms", got the number 30
settings.yaml:3:7: error: log.access: expected true or false, got "yes"
settings.yaml:4:7: error: lua.max_states: expected a whole number, got the number 1.5
settings.yaml:5:19: error: source.limits.file_size: "big" is not a size (a number of bytes, or with KB, MB, GB, KiB, MiB or GiB)`,
		},
		{
			name: "an item of the wrong type",
			file: "server: {trusted_proxies: [10.0.0.1, 7]}\n",
			want: `settings.yaml:1:10: error: server.trusted_proxies: item 2: expected text, got the number 7: put it in quotes`,
		},
		{
			name: "impossible values, all at once",
			file: `
server: {listen: localhost, trusted_proxies: [10.0.0.1, office]}
admin: {listen: ":99999", base_path: admin}
reload: {debounce: -1s, on_invalid: isolated}
log: {level: warning, format: xml}
source: {tenants: ../elsewhere, scripts: /srv, git: {url: /a, branch: "", poll_interval: 0s}}
drain_timeout: 11m
request_limits: {max_headers: 0}
`,
			want: `
settings.yaml:2:10: error: server.listen: "localhost" is not an address to listen on, such as ":8080" or "127.0.0.1:8080"
settings.yaml:2:57: error: server.trusted_proxies: "office" is neither an address nor a network such as "10.0.0.0/8"
settings.yaml:3:9: error: admin.listen: ":99999" is not an address to listen on, such as ":8080" or "127.0.0.1:8080"
settings.yaml:3:27: error: admin.base_path: "admin" is not a path such as "/admin"
settings.yaml:4:10: error: reload.debounce: -1s is less than nothing
settings.yaml:4:25: error: reload.on_invalid: "isolated" is not one of isolate, reject (did you mean "isolate"?)
settings.yaml:5:7: error: log.level: "warning" is not one of debug, info, warn, error (did you mean "warn"?)
settings.yaml:5:23: error: log.format: "xml" is not one of json, text
settings.yaml:6:10: error: source.tenants: "../elsewhere" is not a directory inside the tree
settings.yaml:6:33: error: source.scripts: "/srv" is not a directory inside the tree
settings.yaml:6:63: error: source.git.branch: a branch is needed
settings.yaml:6:75: error: source.git.poll_interval: has to be more than 0
settings.yaml:7:1: error: drain_timeout (11m0s) is longer than max_drain_timeout (10m0s)
settings.yaml:8:18: error: request_limits.max_headers: has to be more than 0`,
		},
		{
			name: "a lowered bound below the default",
			file: "max_drain_timeout: 1s\n",
			want: `settings.yaml:1:1: error: drain_timeout (30s) is longer than max_drain_timeout (1s)`,
		},
		{
			name:    "wrong values from outside the file name where they came from",
			args:    settingsArgs{Addr: "nowhere"},
			environ: []string{"KEYSTONE_LOG_LEVEL=loud", "KEYSTONE_UPSTREAM_POLICY_DENY=10.0.0.0/99"},
			want: `
-addr: error: server.listen: "nowhere" is not an address to listen on, such as ":8080" or "127.0.0.1:8080"
KEYSTONE_LOG_LEVEL: error: log.level: "loud" is not one of debug, info, warn, error
KEYSTONE_UPSTREAM_POLICY_DENY: error: upstream_policy.deny: "10.0.0.0/99" is neither an address nor a network such as "10.0.0.0/8"`,
		},
		{
			name:    "a wrong type from outside the file",
			environ: []string{"KEYSTONE_LOG_ACCESS=on", "KEYSTONE_DRAIN_TIMEOUT=5"},
			want: `
KEYSTONE_DRAIN_TIMEOUT: error: drain_timeout: expected a duration with its unit, such as "30s" or "250ms", got "5"
KEYSTONE_LOG_ACCESS: error: log.access: expected true or false, got "on"`,
		},
		{
			name: "a directory without a name",
			file: "source: {dir: \"\"}\n",
			want: `settings.yaml:1:10: error: source.dir: a directory is needed ("." is the working directory)`,
		},
		{
			name: "two sources",
			file: "source: {dir: ., git: {url: /a}}\n",
			want: `settings.yaml:1:18: error: source.dir and source.git are both given: keep one`,
		},
		{
			name: "tenants here and in a directory",
			file: "source: {dir: .}\ntenants: []\n",
			want: `settings.yaml:2:1: error: tenants stand in this file and source.dir is given: keep one`,
		},
		{
			name:    "tenants here and in a repository",
			file:    "tenants: []\n",
			environ: []string{"KEYSTONE_SOURCE_GIT_URL=/a"},
			want:    `settings.yaml:1:1: error: tenants stand in this file and source.git is given: keep one`,
		},
		{
			name: "a repository without a URL",
			file: "source: {git: {branch: main}}\n",
			want: `settings.yaml:1:10: error: source.git.url is missing`,
		},
		{
			name: "an older key and its newer form",
			file: "server: {port: \"1\", listen: \":1\"}\nlua_routing: {scripts_dir: a}\nsource: {scripts: b}\n",
			want: `
settings.yaml:1:10: error: server.port says the same as server.listen: keep one
settings.yaml:2:15: error: lua_routing.scripts_dir says the same as source.scripts: keep one`,
		},
		{
			name: "wrong older values",
			file: "server: {port: http}\nadmin_base_path: [a]\nlua_routing: {enabled: false, global_scripts: auth}\n",
			want: `
settings.yaml:2:1: error: admin_base_path: expected text, got a list: put it in quotes
settings.yaml:3:15: error: lua_routing.enabled: false is not supported in this version (a script runs only for a tenant that names it in lua_routes)
settings.yaml:3:31: error: lua_routing.global_scripts: expected a list, got "auth"`,
		},
		{
			name: "an older value is judged where it stands",
			file: "server: {port: http}\n",
			want: `settings.yaml:1:10: error: server.listen: ":http" is not an address to listen on, such as ":8080" or "127.0.0.1:8080"`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := load(t, tt.file, tt.args, tt.environ...)
			if err == nil {
				t.Fatalf("no error; settings: %+v", got)
			}
			if diff := cmp.Diff(strings.TrimPrefix(tt.want, "\n"), err.Error()); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			problems, ok := errors.AsType[*settingsError](err)
			if !ok || problems.ExitCode() != 2 {
				t.Errorf("error %T does not mean exit code 2", err)
			}
		})
	}
}

func TestBrokenYAMLIsToldWithItsLine(t *testing.T) {
	_, err := load(t, "log: {level: info}\nserver: {listen: \":1\"\n", settingsArgs{})
	if err == nil || !strings.HasPrefix(err.Error(), "settings.yaml:2:") {
		t.Errorf("error %v does not point at line 2", err)
	}
}

func TestSettingsFileThatCannotBeRead(t *testing.T) {
	_, err := loadSettings(settingsArgs{Config: filepath.Join(t.TempDir(), "none.yaml")}, nil)
	problems, ok := errors.AsType[*settingsError](err)
	if !ok || problems.ExitCode() != 3 {
		t.Errorf("error %v does not mean exit code 3", err)
	}
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v hides its cause", err)
	}
}

func TestExampleSettingsLoad(t *testing.T) {
	files, err := filepath.Glob("../../configs/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("found %v, %v; want settings for three kinds of machine", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			if _, err := loadSettings(settingsArgs{Config: file}, nil); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestReferenceNamesEveryKey(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	settings := daemon.Defaults()
	keys := newKeyTable(&settings)
	if len(keys.variables) != len(keys.leaves) {
		t.Errorf("%d keys share %d environment variables", len(keys.leaves), len(keys.variables))
	}
	for _, leaf := range keys.leaves {
		if !strings.Contains(string(page), "| `"+leaf.key+"` |") {
			t.Errorf("settings.md has no row for %s", leaf.key)
		}
	}
	for key := range keys.later {
		if !strings.Contains(string(page), "`"+key+"`") {
			t.Errorf("settings.md does not say that %s is not supported", key)
		}
	}
	for key := range keys.older {
		if !strings.Contains(string(page), "`"+key) {
			t.Errorf("settings.md does not mention the older %s", key)
		}
	}
}
