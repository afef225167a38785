// Package configs is the example tree's YAML: settings for three kinds of
// machine, and the tenants. It is embedded so that the program can make a
// repository of it with nothing else at hand.
package configs

import "embed"

// FS holds the settings at its root and the tenants below tenants/.
//
//go:embed *.yaml tenants/*.yaml
var FS embed.FS
