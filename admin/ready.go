package admin

import (
	"net/http"
	"strings"

	"keystone-gateway/proxy"
	"keystone-gateway/reloader"
)

// healthz says that the process answers, and nothing more: what restarts a
// process must not do so because an upstream or a commit is bad.
func (a *Admin) healthz(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readiness is the answer of /readyz.
type readiness struct {
	Ready    bool   `json:"ready"`
	Reason   string `json:"reason,omitempty"` // why not
	Revision string `json:"revision"`         // that serves
	// State is of the revision asked for, and TenantsKept are those that do not
	// run it.
	State       reloader.RevisionState `json:"state,omitempty"`
	TenantsKept []kept                 `json:"tenants_kept,omitempty"`
}

// kept is a tenant that runs an older version than the applied revision's.
type kept struct {
	Name     string `json:"name"`
	Revision string `json:"revision"`
}

// readyz says whether traffic may come: a generation serves at least one tenant
// and the process is not stopping. A stale tenant never makes it unready.
// Asked for a revision, it says as well whether that one has been applied.
func (a *Admin) readyz(w http.ResponseWriter, r *http.Request) {
	var answer readiness
	if query := r.URL.Query(); query.Has("revision") {
		asked := strings.ToLower(query.Get("revision"))
		if !isRevision(asked) {
			fail(w, problem{
				Status: http.StatusBadRequest,
				Detail: "revision is not a commit",
				Hint:   "give 7 or more hex digits of a commit, or the sha256: name of a directory's revision",
			})
			return
		}
		// Before the generation is looked at: once applied, it is in it.
		answer.State = a.o.Reloader.State(asked)
	}
	generation, applied := a.o.Server.Applied()
	answer.Revision = applied
	answer.Reason = a.unready(generation)
	switch {
	case answer.Reason != "" || answer.State == "":
	case answer.State == reloader.RevisionApplied:
		answer.TenantsKept = keptTenants(generation)
	default:
		answer.Reason = "the revision asked for is not applied"
	}
	answer.Ready = answer.Reason == ""
	code := http.StatusOK
	if !answer.Ready {
		code = http.StatusServiceUnavailable
	}
	reply(w, code, answer)
}

// unready says why no traffic should come, "" when it may.
func (a *Admin) unready(g *proxy.Generation) string {
	switch {
	case a.o.Stopping():
		return "shutting down"
	case g == nil:
		return "no revision has been applied yet"
	case serving(g) == 0:
		return "no tenant is served"
	}
	return ""
}

// isRevision says whether id names a commit by 7 hex digits or more, with what
// a dirty checkout adds to it, or the content of a directory.
func isRevision(id string) bool {
	digits := strings.TrimSuffix(strings.TrimPrefix(id, "sha256:"), "-dirty")
	return len(digits) >= 7 && len(digits) <= 64 && strings.Trim(digits, "0123456789abcdef") == ""
}

// keptTenants lists those of g that run an older version, by name.
func keptTenants(g *proxy.Generation) []kept {
	var out []kept
	for _, slot := range sorted(g) {
		if slot.State == proxy.Stale {
			out = append(out, kept{Name: slot.Name, Revision: slot.Kept})
		}
	}
	return out
}
