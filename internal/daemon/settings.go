// Package daemon puts the program together: settings in, a running gateway out.
package daemon

import "time"

// Settings are what a process is started with, read once. The tags are the
// keys of the settings file; how file, environment and flags become a Settings
// is the command's business.
type Settings struct {
	// File is where the settings came from, "" for none.
	File string `mapstructure:"-"`
	// Inline: the tenants stand in File itself, below `tenants`.
	Inline bool `mapstructure:"-"`

	Server          Server         `mapstructure:"server"`
	Admin           Admin          `mapstructure:"admin"`
	Source          Source         `mapstructure:"source"`
	Reload          Reload         `mapstructure:"reload"`
	DrainTimeout    time.Duration  `mapstructure:"drain_timeout"`
	MaxDrainTimeout time.Duration  `mapstructure:"max_drain_timeout"`
	ShutdownDelay   time.Duration  `mapstructure:"shutdown_delay"`
	StateDir        string         `mapstructure:"state_dir"`
	UpstreamPolicy  UpstreamPolicy `mapstructure:"upstream_policy"`
	Log             Log            `mapstructure:"log"`
	Lua             Lua            `mapstructure:"lua"`
	RequestLimits   RequestLimits  `mapstructure:"request_limits"`

	// GlobalScripts and LuaEnabled come from the older `lua_routing`.
	GlobalScripts []string `mapstructure:"-"`
}

// Server is the public listener.
type Server struct {
	Listen         string   `mapstructure:"listen"`
	TrustedProxies []string `mapstructure:"trusted_proxies"` // CIDRs or addresses
	Timeouts       Timeouts `mapstructure:"timeouts"`
}

// Timeouts of the public listener.
type Timeouts struct {
	ReadHeader time.Duration `mapstructure:"read_header"`
	Idle       time.Duration `mapstructure:"idle"`
	BodyIdle   time.Duration `mapstructure:"body_idle"`
	WriteIdle  time.Duration `mapstructure:"write_idle"`
}

// Admin is the operators' listener. Listen "" serves none.
type Admin struct {
	Listen    string `mapstructure:"listen"`
	BasePath  string `mapstructure:"base_path"`
	TokenFile string `mapstructure:"token_file"`
}

// Source says where tenants come from: Git when Git.URL is set, else File
// itself when Inline, else Dir.
type Source struct {
	Dir     string       `mapstructure:"dir"`
	Git     Git          `mapstructure:"git"`
	Tenants string       `mapstructure:"tenants"`
	Scripts string       `mapstructure:"scripts"`
	Limits  SourceLimits `mapstructure:"limits"`
}

// Git is a repository to poll.
type Git struct {
	URL          string        `mapstructure:"url"`
	Branch       string        `mapstructure:"branch"`
	Path         string        `mapstructure:"path"`
	PollInterval time.Duration `mapstructure:"poll_interval"`
	Timeout      time.Duration `mapstructure:"timeout"`
	MaxSize      Bytes         `mapstructure:"max_size"`
}

// SourceLimits bound one snapshot.
type SourceLimits struct {
	Files     int   `mapstructure:"files"`
	FileSize  Bytes `mapstructure:"file_size"`
	TotalSize Bytes `mapstructure:"total_size"`
	Depth     int   `mapstructure:"depth"`
}

// Bytes is a size; in settings a number or a string such as 16MiB.
type Bytes int64

// Reload says how changes are taken.
type Reload struct {
	Debounce   time.Duration `mapstructure:"debounce"`
	OnInvalid  string        `mapstructure:"on_invalid"` // isolate|reject
	AllowEmpty bool          `mapstructure:"allow_empty"`
}

// UpstreamPolicy lists CIDRs; Allow wins over Deny.
type UpstreamPolicy struct {
	Deny  []string `mapstructure:"deny"`
	Allow []string `mapstructure:"allow"`
}

// Log is where and what.
type Log struct {
	Level  string `mapstructure:"level"`  // debug|info|warn|error
	Format string `mapstructure:"format"` // json|text
	Access bool   `mapstructure:"access"`
}

// Lua bounds scripts; tenants may lower the first three.
type Lua struct {
	Instructions   int64         `mapstructure:"instructions"`
	AllocPerCall   Bytes         `mapstructure:"alloc_per_call"`
	Timeout        time.Duration `mapstructure:"timeout"`
	MaxStates      int           `mapstructure:"max_states"`
	MaxStatesTotal int           `mapstructure:"max_states_total"`
}

// RequestLimits are every tenant's defaults and bounds.
type RequestLimits struct {
	MaxBodySize   Bytes `mapstructure:"max_body_size"`
	MaxHeaderSize Bytes `mapstructure:"max_header_size"`
	MaxHeaders    int   `mapstructure:"max_headers"`
	MaxURLSize    Bytes `mapstructure:"max_url_size"`
}

// Defaults are the settings of a process that says nothing.
func Defaults() Settings {
	const mib = 1 << 20
	return Settings{
		Server: Server{
			Listen:   ":8080",
			Timeouts: Timeouts{ReadHeader: 5 * time.Second, Idle: 60 * time.Second, BodyIdle: 20 * time.Second, WriteIdle: 20 * time.Second},
		},
		Admin: Admin{Listen: "127.0.0.1:9090", BasePath: "/admin"},
		Source: Source{
			Dir:     ".",
			Git:     Git{Branch: "main", PollInterval: 30 * time.Second, Timeout: 60 * time.Second, MaxSize: 1 << 30},
			Tenants: "configs/tenants",
			Scripts: "scripts",
			Limits:  SourceLimits{Files: 200_000, FileSize: mib, TotalSize: 512 * mib, Depth: 16},
		},
		Reload:          Reload{Debounce: 250 * time.Millisecond, OnInvalid: "isolate"},
		DrainTimeout:    30 * time.Second,
		MaxDrainTimeout: 10 * time.Minute,
		UpstreamPolicy:  UpstreamPolicy{Deny: []string{"169.254.0.0/16", "fe80::/10"}},
		Log:             Log{Level: "info", Format: "json", Access: true},
		Lua:             Lua{Instructions: 1_000_000, AllocPerCall: 16 * mib, Timeout: 5 * time.Second},
		RequestLimits:   RequestLimits{MaxBodySize: 10 * mib, MaxHeaderSize: 64 << 10, MaxHeaders: 100, MaxURLSize: 8192},
	}
}
