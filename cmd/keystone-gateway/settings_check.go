package main

import (
	"cmp"
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"keystone-gateway/internal/daemon"
)

// chooseSource says where tenants come from: exactly one of a directory, a
// repository and the settings file itself.
func (l *settingsLoader) chooseSource() {
	dir, git, inline := l.given("source.dir"), l.anyGiven("source.git."), l.has("tenants")
	switch {
	case dir && git:
		l.report("source.git", "", "source.dir and source.git are both given: keep one")
	case git && l.settings.Source.Git.URL == "":
		l.report("source.git", "", "source.git.url is missing")
	case dir && l.settings.Source.Dir == "":
		l.report("source.dir", `"." is the working directory`, "source.dir: a directory is needed")
	case inline && dir:
		l.report("tenants", "", "tenants stand in this file and source.dir is given: keep one")
	case inline && git:
		l.report("tenants", "", "tenants stand in this file and source.git is given: keep one")
	}
	l.settings.Inline = inline
}

// anyGiven says whether any key that begins so is set.
func (l *settingsLoader) anyGiven(prefix string) bool {
	return slices.ContainsFunc(l.known.leaves, func(leaf leaf) bool {
		return strings.HasPrefix(leaf.key, prefix) && l.given(leaf.key)
	})
}

// check judges the values that decoded.
func (l *settingsLoader) check() {
	s := &l.settings
	l.checkAddress("server.listen", s.Server.Listen)
	if s.Admin.Listen != "" {
		l.checkAddress("admin.listen", s.Admin.Listen)
	}
	s.Admin.BasePath = l.cleanBasePath(s.Admin.BasePath)
	l.checkNetworks("server.trusted_proxies", s.Server.TrustedProxies)
	l.checkNetworks("upstream_policy.deny", s.UpstreamPolicy.Deny)
	l.checkNetworks("upstream_policy.allow", s.UpstreamPolicy.Allow)

	l.checkOneOf("reload.on_invalid", s.Reload.OnInvalid, "isolate", "reject")
	l.checkOneOf("log.level", s.Log.Level, "debug", "info", "warn", "error")
	l.checkOneOf("log.format", s.Log.Format, "json", "text")

	if !s.Inline { // without a tree, scripts may lie anywhere
		s.Source.Tenants = l.cleanTreePath("source.tenants", s.Source.Tenants)
		s.Source.Scripts = l.cleanTreePath("source.scripts", s.Source.Scripts)
	}
	if s.Source.Git.Path != "" {
		s.Source.Git.Path = l.cleanTreePath("source.git.path", s.Source.Git.Path)
	}
	if s.Source.Git.Branch == "" {
		l.report("source.git.branch", "", "source.git.branch: a branch is needed")
	}

	for _, leaf := range l.known.leaves {
		l.checkAmount(leaf)
	}
	if s.DrainTimeout > s.MaxDrainTimeout {
		key := "drain_timeout"
		if !l.given(key) {
			key = "max_drain_timeout"
		}
		l.report(key, "", "drain_timeout (%v) is longer than max_drain_timeout (%v)", s.DrainTimeout, s.MaxDrainTimeout)
	}
}

// checkAmount refuses what is below zero, and zero where nothing would work.
func (l *settingsLoader) checkAmount(leaf leaf) {
	var amount int64
	switch v := leaf.field.Interface().(type) {
	case time.Duration:
		amount = int64(v)
	case daemon.Bytes:
		amount = int64(v)
	case int:
		amount = int64(v)
	case int64:
		amount = v
	default:
		return
	}
	switch {
	case amount < 0:
		l.report(leaf.key, "", "%s: %v is less than nothing", leaf.key, leaf.field.Interface())
	case amount == 0 && needsMoreThanZero(leaf.key):
		l.report(leaf.key, "", "%s: has to be more than 0", leaf.key)
	}
}

// needsMoreThanZero: a gateway with a zero there would refuse every request,
// wait for ever or poll without pause.
func needsMoreThanZero(key string) bool {
	switch key {
	case "server.timeouts.read_header", "server.timeouts.idle", "server.timeouts.body_idle", "server.timeouts.write_idle",
		"source.git.poll_interval", "source.git.timeout",
		"lua.instructions", "lua.alloc_per_call", "lua.timeout",
		"request_limits.max_body_size", "request_limits.max_header_size", "request_limits.max_headers", "request_limits.max_url_size":
		return true
	default:
		return false
	}
}

// checkAddress wants "host:port", ":port" or "[::1]:port".
func (l *settingsLoader) checkAddress(key, address string) {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		l.report(key, "", `%s: %q is not an address to listen on, such as ":8080" or "127.0.0.1:8080"`, key, address)
	}
}

// checkNetworks wants CIDRs or single addresses.
func (l *settingsLoader) checkNetworks(key string, networks []string) {
	for i, network := range networks {
		_, err := netip.ParsePrefix(network)
		if err != nil {
			_, err = netip.ParseAddr(network)
		}
		if err != nil {
			l.report(cmp.Or(l.item(key, i), key), "", `%s: %q is neither an address nor a network such as "10.0.0.0/8"`, key, network)
		}
	}
}

// item is the key of one item of a list, "" when its place is not known.
func (l *settingsLoader) item(key string, i int) string {
	item := key + "[" + strconv.Itoa(i) + "]"
	if !l.has(item) {
		return ""
	}
	return item
}

// checkOneOf wants one of a few words.
func (l *settingsLoader) checkOneOf(key, value string, words ...string) {
	if !slices.Contains(words, value) {
		l.report(key, didYouMean(value, words), "%s: %q is not one of %s", key, value, strings.Join(words, ", "))
	}
}

// cleanBasePath wants a path that begins with a slash and names something;
// it drops the last slash.
func (l *settingsLoader) cleanBasePath(base string) string {
	clean := path.Clean(base)
	if !strings.HasPrefix(base, "/") || clean == "/" || clean != strings.TrimSuffix(base, "/") || strings.ContainsAny(base, "?#%{}* ") {
		l.report("admin.base_path", "", `admin.base_path: %q is not a path such as "/admin"`, base)
	}
	return clean
}

// cleanTreePath wants a path inside the tree, with forward slashes.
func (l *settingsLoader) cleanTreePath(key, dir string) string {
	clean := path.Clean(dir)
	if dir == "" || path.IsAbs(dir) || clean == ".." || strings.HasPrefix(clean, "../") || strings.Contains(dir, `\`) {
		l.report(key, "", "%s: %q is not a directory inside the tree", key, dir)
	}
	return clean
}
