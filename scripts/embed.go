// Package scripts is the example tree's Lua: a directory a tenant, and lib/,
// which every tenant may require. It is embedded so that the program can make
// a repository of it with nothing else at hand.
package scripts

import "embed"

// FS holds hello/main.lua, lib/greet.lua and their like.
//
//go:embed */*.lua
var FS embed.FS
