package admin

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"keystone-gateway/proxy"
)

// status is how well a tenant, or the gateway, can serve.
type status string

const (
	healthy   status = "healthy"
	degraded  status = "degraded"
	unhealthy status = "unhealthy"
)

// defaultUpstream is the one that a tenant cannot be without.
const defaultUpstream = "default"

// tenantStatus judges a slot by the health of its upstreams. Without a version
// that serves, or with no healthy server in its default upstream, a tenant is
// unhealthy; on an older version, or with another upstream down, degraded. One
// of scripts alone has nothing that could be down.
func tenantStatus(slot *proxy.Slot, upstreams []proxy.UpstreamHealth) status {
	if slot.Tenant == nil || slot.State == proxy.Invalid {
		return unhealthy
	}
	worst := healthy
	if slot.State == proxy.Stale {
		worst = degraded
	}
	for _, u := range upstreams {
		if up, total := countServers(u); up > 0 || total == 0 {
			continue
		}
		if u.Name == defaultUpstream {
			return unhealthy
		}
		worst = degraded
	}
	return worst
}

// gatewayStatus is unhealthy when g (nil: none yet) serves no tenant, and
// degraded when any is not healthy.
func gatewayStatus(g *proxy.Generation, c counts) status {
	switch {
	case g == nil || serving(g) == 0:
		return unhealthy
	case c.Degraded+c.Unhealthy > 0:
		return degraded
	}
	return healthy
}

// serving counts the tenants of g that have a version.
func serving(g *proxy.Generation) int {
	n := 0
	for _, slot := range g.Slots() {
		if slot.Tenant != nil {
			n++
		}
	}
	return n
}

func countServers(u proxy.UpstreamHealth) (up, total int) {
	for _, s := range u.Servers {
		if s.Healthy {
			up++
		}
	}
	return up, len(u.Servers)
}

// tenantHealth is a tenant as {base}/health tells it.
type tenantHealth struct {
	Status status      `json:"status"`
	Config proxy.State `json:"config"`
	Since  time.Time   `json:"since,omitzero"`
	// Revision is that of a kept version, "" while the tenant is current.
	Revision       string `json:"revision,omitempty"`
	Error          string `json:"error,omitempty"`
	ServersHealthy int    `json:"servers_healthy"`
	ServersTotal   int    `json:"servers_total"`
}

func healthOf(slot *proxy.Slot, upstreams []proxy.UpstreamHealth) tenantHealth {
	h := tenantHealth{
		Status:   tenantStatus(slot, upstreams),
		Config:   slot.State,
		Since:    slot.Since.UTC(),
		Revision: slot.Kept,
		Error:    slot.Err,
	}
	for _, u := range upstreams {
		up, total := countServers(u)
		h.ServersHealthy += up
		h.ServersTotal += total
	}
	return h
}

// counts sums tenants up, by status and by configuration.
type counts struct {
	Total     int `json:"total"`
	Healthy   int `json:"healthy"`
	Degraded  int `json:"degraded"`
	Unhealthy int `json:"unhealthy"`
	Current   int `json:"current"`
	Stale     int `json:"stale"`
	Invalid   int `json:"invalid"`
}

func (c *counts) add(h tenantHealth) {
	c.Total++
	switch h.Status {
	case healthy:
		c.Healthy++
	case degraded:
		c.Degraded++
	case unhealthy:
		c.Unhealthy++
	}
	switch h.Config {
	case proxy.Current:
		c.Current++
	case proxy.Stale:
		c.Stale++
	case proxy.Invalid:
		c.Invalid++
	}
}

// gatewayHealth is the answer of {base}/health. Asked for a summary it has
// Counts and no Tenants, else the other way round.
type gatewayHealth struct {
	Status        status                  `json:"status"`
	Version       string                  `json:"version"`
	UptimeSeconds int64                   `json:"uptime_seconds"`
	Revision      string                  `json:"revision"`
	Generation    uint64                  `json:"generation"`
	Draining      int                     `json:"tenants_draining"`
	Tenants       map[string]tenantHealth `json:"tenants,omitzero"`
	Counts        *counts                 `json:"counts,omitempty"`
}

// health reports on the whole gateway. It is 200 whatever it reports: what
// takes traffic away by a status code is /readyz.
func (a *Admin) health(w http.ResponseWriter, r *http.Request) {
	generation, revision := a.o.Server.Applied()
	answer := gatewayHealth{
		Version:       a.o.Version,
		UptimeSeconds: int64(a.o.Now().Sub(a.started).Seconds()),
		Revision:      revision,
		Draining:      a.o.Server.Draining(),
		Tenants:       make(map[string]tenantHealth),
	}
	var sum counts
	if generation != nil {
		answer.Generation = generation.Number()
		for name, slot := range generation.Slots() {
			h := healthOf(slot, upstreamsOf(slot))
			sum.add(h)
			answer.Tenants[name] = h
		}
	}
	answer.Status = gatewayStatus(generation, sum)
	if r.URL.Query().Has("summary") {
		answer.Tenants, answer.Counts = nil, &sum
	}
	reply(w, http.StatusOK, answer)
}

// upstreamsOf is empty for a slot without a tenant.
func upstreamsOf(slot *proxy.Slot) []proxy.UpstreamHealth {
	if slot.Tenant == nil {
		return nil
	}
	return slot.Tenant.Health()
}

// sorted lists the slots of g (nil: none) by name.
func sorted(g *proxy.Generation) []*proxy.Slot {
	if g == nil {
		return nil
	}
	slots := g.Slots()
	out := make([]*proxy.Slot, 0, len(slots))
	for _, name := range slices.Sorted(maps.Keys(slots)) {
		out = append(out, slots[name])
	}
	return out
}
