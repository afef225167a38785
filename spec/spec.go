// Package spec reads what tenants wrote: YAML into plain types, strictly, with
// the place of everything that is wrong.
//
// An [Input] is a tree of files. [Load] parses those that define tenants, walks
// the nodes of each file once, checks and decodes as it goes, and returns a
// [Gateway] of the tenants that loaded and of those that failed, with a
// [Diagnostic] for every mistake and not only for the first. Files that did not
// change since the previous Gateway are not read again, and their tenants are
// the same objects.
//
// Nothing is guessed: an unknown key, a number where a string belongs, a key of
// a later version are errors. Defaults are filled in, so that a [Tenant] says
// all there is to say, and its Hash is its identity. The package opens no
// connection, logs nothing, runs no script, and does not decide who owns a host
// that two tenants claim.
package spec

import (
	"io/fs"
	"time"
)

// Input is one tree to load. It is read-only and immutable.
type Input struct {
	// FS holds the files; slash-separated paths from the root of the tree.
	FS fs.FS
	// Hashes gives the content hash (lower-case hex SHA-256) of every file in
	// FS. A path that is absent here is absent from the tree.
	Hashes map[string]string
	// Refused gives, by path, why an entry of the tree cannot be read; it may
	// stand for a whole directory. Below Tenants it counts as a broken file.
	Refused map[string]string
	// Tenants is the directory whose *.yaml and *.yml define tenants.
	Tenants string
	// Scripts is the directory below which Lua lies.
	Scripts string
	// SettingsFile, when set, is the one file whose top-level `tenants` key
	// defines the tenants; its other keys are settings and none of ours, and
	// Tenants is not looked at.
	SettingsFile string
	// Defaults are the settings that reach tenants.
	Defaults Defaults
}

// Defaults are the process settings that reach a tenant: what it gets when it
// says nothing, and the bound it cannot raise. They are part of a tenant's hash.
type Defaults struct {
	RequestLimits   RequestLimits
	Lua             LuaLimits
	DrainTimeout    time.Duration
	MaxDrainTimeout time.Duration
	// GlobalScripts (older flat key) run before each tenant's own.
	GlobalScripts []string
}

// RequestLimits bound one request. Bytes; counts.
type RequestLimits struct {
	MaxBodySize   int64
	MaxHeaderSize int64
	MaxHeaders    int
	MaxURLSize    int
}

// LuaLimits bound one call of a script.
type LuaLimits struct {
	Instructions int64
	AllocPerCall int64
	Timeout      time.Duration
}

// Tenant is what one tenant wrote, with every default filled in. Immutable.
type Tenant struct {
	Name string
	// Domains are lower case ASCII (IDNA), without port or trailing dot; a
	// leading "*." stands for one or more labels. An IPv6 literal stands in
	// brackets, as it does in a Host header.
	Domains []string
	// PathPrefix is "" or "/a/b": no trailing slash, except "/" alone for the
	// catch-all (a tenant with domains never has "/").
	PathPrefix  string
	StripPrefix bool
	// Scripts are entry files below Input.Scripts, "shop/main.lua", in order.
	Scripts []string
	// Upstreams by name; `services` are the servers of "default".
	Upstreams     map[string]*Upstream
	Routes        []Route
	RequestLimits RequestLimits
	Lua           LuaLimits
	DrainTimeout  time.Duration

	// File and Place say where it stands. No part of Hash.
	File  string `json:"-"`
	Place Place  `json:"-"`
	// Hash is over everything above File: equal hashes, equal tenants.
	Hash string `json:"-"`
}

// Upstream is a named set of servers.
type Upstream struct {
	Name          string
	Servers       []Server
	LoadBalancing string // "round_robin"
	HealthCheck   *HealthCheck
	Retry         Retry
	Place         Place `json:"-"`
}

// Server is one address of an upstream.
type Server struct {
	Name   string // as written, else host:port
	URL    string // as written
	Scheme string // http or https
	Host   string // host:port, port always there
	Path   string // "" or "/base", no trailing slash: put before the request's path
	Weight int    // at least 1
	Health string // this server's own health check path; "" for the upstream's
}

// HealthCheck is one active check.
type HealthCheck struct {
	Type      string // "http"
	Path      string // with its query; "": only servers with a Health of their own are checked
	Interval  time.Duration
	Timeout   time.Duration // at most Interval
	Healthy   int           // successes in a row to come back
	Unhealthy int           // failures in a row to fall
	Status    []StatusRange
	Host      string // "" for the server's
	Initial   string // "healthy" or "unhealthy"
}

// StatusRange holds both ends.
type StatusRange struct{ From, To int }

// Retry says when another server is tried.
type Retry struct {
	Attempts int      // tries after the first
	On       []string // "connect"
}

// Route is one entry of a tenant's `routes`. Exactly one of Upstream,
// Redirect, Respond is set.
type Route struct {
	Path     string   // a chi pattern
	Methods  []string // upper case; empty: any but CONNECT and TRACE
	Upstream string
	Rewrite  string // "" for none; may hold {param}, and {*} for what a final * matched
	Redirect *Redirect
	Respond  *Respond
	Place    Place `json:"-"`
}

// Redirect answers with a Location.
type Redirect struct {
	To     string
	Status int
}

// Respond answers with a fixed body.
type Respond struct {
	Status int
	Body   string
}

// Place is a position in a file, counted from one. Zero means unknown.
type Place struct{ Line, Column int }

// Gateway is one loaded tree. Immutable.
type Gateway struct {
	// Tenants are those that loaded.
	Tenants map[string]*Tenant
	// Failed are those the tree names but that did not load.
	Failed map[string]*Failed
	// Files are all tenant files, broken ones included, by path.
	Files map[string]*File

	made recipe // what Load compares before it reuses Files
}

// Failed is a tenant whose name could be read and whose definition has errors.
type Failed struct {
	Name        string
	File        string
	Place       Place
	Claims      []Claim // as far as they could be read
	Diagnostics []Diagnostic
}

// File is one parsed tenant file.
type File struct {
	Path string
	Hash string
	// Broken: it could not be read whole, so a tenant that it does not name
	// must not be taken for removed. With broken syntax it names none; where
	// only a part is unreadable (an entry without a usable name, an unknown
	// key beside `tenants`), its other tenants are there.
	Broken bool
	// Names of the tenants it defines, loaded or failed.
	Names []string

	parsed parsed // what Load reuses while Hash is the same
}
