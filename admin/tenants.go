package admin

import (
	"net/http"

	"keystone-gateway/proxy"
	"keystone-gateway/spec"
)

// tenantEntry is a tenant in the list of {base}/tenants.
type tenantEntry struct {
	Name string `json:"name"`
	tenantHealth
	// Revision is the applied one, or that of the version that is kept.
	Revision string `json:"revision"`
	File     string `json:"file"`
	Line     int    `json:"line"`
}

func entryOf(slot *proxy.Slot, upstreams []proxy.UpstreamHealth, applied string) tenantEntry {
	e := tenantEntry{
		Name:         slot.Name,
		tenantHealth: healthOf(slot, upstreams),
		Revision:     applied,
		File:         slot.File,
		Line:         slot.Line,
	}
	if slot.Kept != "" {
		e.Revision = slot.Kept
	}
	return e
}

// tenants lists all tenants of the generation that serves, by name.
func (a *Admin) tenants(w http.ResponseWriter, _ *http.Request) {
	generation, revision := a.o.Server.Applied()
	entries := []tenantEntry{}
	for _, slot := range sorted(generation) {
		entries = append(entries, entryOf(slot, upstreamsOf(slot), revision))
	}
	reply(w, http.StatusOK, struct {
		Revision string        `json:"revision"`
		Tenants  []tenantEntry `json:"tenants"`
	}{revision, entries})
}

// claim is one thing that a tenant owns: a host, "" for any, and a path prefix
// below it, "" for all.
type claim struct {
	Host   string `json:"host"`
	Prefix string `json:"prefix"`
}

func claimsOf(claims []spec.Claim) []claim {
	out := make([]claim, len(claims))
	for i, c := range claims {
		out[i] = claim(c)
	}
	return out
}

// upstreamHealth is an upstream with each server's state.
type upstreamHealth struct {
	proxy.UpstreamHealth
	ServersHealthy int `json:"servers_healthy"`
	ServersTotal   int `json:"servers_total"`
}

func upstreamViews(upstreams []proxy.UpstreamHealth) []upstreamHealth {
	out := make([]upstreamHealth, len(upstreams))
	for i, u := range upstreams {
		out[i].UpstreamHealth = u
		out[i].ServersHealthy, out[i].ServersTotal = countServers(u)
	}
	return out
}

// tenant shows all that is known of one tenant.
func (a *Admin) tenant(w http.ResponseWriter, r *http.Request) {
	slot, revision := a.slot(w, r)
	if slot == nil {
		return
	}
	upstreams := upstreamsOf(slot)
	reply(w, http.StatusOK, struct {
		tenantEntry
		Claims    []claim           `json:"claims"`
		Upstreams []upstreamHealth  `json:"upstreams"`
		Routes    []proxy.RouteInfo `json:"routes"`
	}{entryOf(slot, upstreams, revision), claimsOf(slot.Claims), upstreamViews(upstreams), routesOf(slot)})
}

// tenantHealth answers 200 when a tenant can serve and 503 when not, with each
// server's state.
func (a *Admin) tenantHealth(w http.ResponseWriter, r *http.Request) {
	slot, revision := a.slot(w, r)
	if slot == nil {
		return
	}
	upstreams := upstreamsOf(slot)
	entry := entryOf(slot, upstreams, revision)
	code := http.StatusOK
	if entry.Status == unhealthy {
		code = http.StatusServiceUnavailable
	}
	reply(w, code, struct {
		tenantEntry
		Upstreams []upstreamHealth `json:"upstreams"`
	}{entry, upstreamViews(upstreams)})
}

// slot finds the tenant that r names; nil when it has answered 404.
func (a *Admin) slot(w http.ResponseWriter, r *http.Request) (*proxy.Slot, string) {
	generation, revision := a.o.Server.Applied()
	if generation != nil {
		if slot := generation.Slots()[r.PathValue("name")]; slot != nil {
			return slot, revision
		}
	}
	fail(w, problem{Status: http.StatusNotFound, Detail: "there is no tenant of that name"})
	return nil, ""
}

// routes lists every route of every tenant that serves, or of ?tenant= alone.
func (a *Admin) routes(w http.ResponseWriter, r *http.Request) {
	type route struct {
		Tenant string `json:"tenant"`
		proxy.RouteInfo
	}
	only := r.URL.Query().Get("tenant")
	generation, revision := a.o.Server.Applied()
	all := []route{}
	for _, slot := range sorted(generation) {
		if only != "" && slot.Name != only {
			continue
		}
		for _, info := range routesOf(slot) {
			all = append(all, route{slot.Name, info})
		}
	}
	reply(w, http.StatusOK, struct {
		Revision string  `json:"revision"`
		Routes   []route `json:"routes"`
	}{revision, all})
}

// routesOf is never nil, so that JSON has a list.
func routesOf(slot *proxy.Slot) []proxy.RouteInfo {
	if slot.Tenant == nil {
		return []proxy.RouteInfo{}
	}
	return append([]proxy.RouteInfo{}, slot.Tenant.Routes()...)
}
