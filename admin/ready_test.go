package admin_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keystone-gateway/proxy"
	"keystone-gateway/reloader"
)

func TestHealthz(t *testing.T) {
	t.Parallel()
	code, got := get(t, open(t, options(&server{}, &asker{})), "/healthz")
	if diff := cmp.Diff(parse(t, `{"status": "ok"}`), got); code != http.StatusOK || diff != "" {
		t.Errorf("status %d (-want +got):\n%s", code, diff)
	}
}

func TestReadyz(t *testing.T) {
	t.Parallel()
	full := &server{generation: proxy.NewGeneration(4, slotsOf(build(t))), revision: applied}
	empty := &server{generation: proxy.NewGeneration(4, nil), revision: applied}
	invalid := &server{generation: proxy.NewGeneration(1, slotsOf(nil)), revision: applied}
	r := &asker{states: map[string]reloader.RevisionState{
		applied:               reloader.RevisionApplied,
		applied[:7]:           reloader.RevisionApplied,
		"abcdef0":             reloader.RevisionPending,
		"bad0bad":             reloader.RevisionRejected,
		"sha256:0123456789ab": reloader.RevisionApplied,
		applied + "-dirty":    reloader.RevisionApplied,
	}}
	const keptLate = `"tenants_kept": [{"name": "late", "revision": "` + older + `"}]`
	for _, tt := range []struct {
		name     string
		server   *server
		stopping bool
		query    string
		code     int
		want     string
	}{
		{
			name: "a stale tenant is no harm", server: full, code: 200,
			want: `{"ready": true, "revision": "` + applied + `"}`,
		},
		{
			name: "before the first revision", server: &server{}, code: 503,
			want: `{"ready": false, "revision": "", "reason": "no revision has been applied yet"}`,
		},
		{
			name: "no tenant at all", server: empty, code: 503,
			want: `{"ready": false, "revision": "` + applied + `", "reason": "no tenant is served"}`,
		},
		{
			name: "only a tenant without a version", server: invalid, code: 503,
			want: `{"ready": false, "revision": "` + applied + `", "reason": "no tenant is served"}`,
		},
		{
			name: "shutting down", server: full, stopping: true, code: 503,
			want: `{"ready": false, "revision": "` + applied + `", "reason": "shutting down"}`,
		},
		{
			name: "an applied revision", server: full, query: "?revision=" + applied, code: 200,
			want: `{"ready": true, "revision": "` + applied + `", "state": "applied", ` + keptLate + `}`,
		},
		{
			name: "seven digits of it, in capitals", server: full, query: "?revision=1111111", code: 200,
			want: `{"ready": true, "revision": "` + applied + `", "state": "applied", ` + keptLate + `}`,
		},
		{
			name: "a directory's revision", server: full, query: "?revision=sha256:0123456789AB", code: 200,
			want: `{"ready": true, "revision": "` + applied + `", "state": "applied", ` + keptLate + `}`,
		},
		{
			name: "a dirty checkout", server: full, query: "?revision=" + applied + "-dirty", code: 200,
			want: `{"ready": true, "revision": "` + applied + `", "state": "applied", ` + keptLate + `}`,
		},
		{
			name: "one that is being built", server: full, query: "?revision=ABCDEF0", code: 503,
			want: `{"ready": false, "revision": "` + applied + `", "state": "pending", "reason": "the revision asked for is not applied"}`,
		},
		{
			name: "a rejected one", server: full, query: "?revision=bad0bad", code: 503,
			want: `{"ready": false, "revision": "` + applied + `", "state": "rejected", "reason": "the revision asked for is not applied"}`,
		},
		{
			name: "one that nobody knows", server: full, query: "?revision=9999999", code: 503,
			want: `{"ready": false, "revision": "` + applied + `", "state": "unknown", "reason": "the revision asked for is not applied"}`,
		},
		{
			name: "an applied one, shutting down", server: full, stopping: true, query: "?revision=" + applied, code: 503,
			want: `{"ready": false, "revision": "` + applied + `", "state": "applied", "reason": "shutting down"}`,
		},
	} {
		o := options(tt.server, r)
		o.Stopping = func() bool { return tt.stopping }
		code, got := get(t, open(t, o), "/readyz"+tt.query)
		if diff := cmp.Diff(parse(t, tt.want), got); code != tt.code || diff != "" {
			t.Errorf("%s: status %d, want %d (-want +got):\n%s", tt.name, code, tt.code, diff)
		}
	}
	a := open(t, options(full, r))
	for _, bad := range []string{"", "abc", "abcdef", "main", "abcdefg", "HEAD~1", "sha256:", applied + applied + "0", "1111111/.."} {
		if code, _ := get(t, a, "/readyz?revision="+bad); code != http.StatusBadRequest {
			t.Errorf("revision %q: status %d, want 400", bad, code)
		}
	}
}
