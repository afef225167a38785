package admin_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"keystone-gateway/reloader"
	"keystone-gateway/repo"
	"keystone-gateway/spec"
)

func rejection() *reloader.Attempt {
	return &reloader.Attempt{
		Revision:   repo.Revision{ID: older, Author: "A <a@example.com>", Subject: "break the shop"},
		RevisionID: older, Previous: applied, Trigger: repo.TriggerPoll, Result: reloader.Rejected,
		Stage: "load", Err: "1 error",
		Diagnostics: []spec.Diagnostic{{File: "configs/tenants/shop.yaml", Line: 2, Column: 5, Severity: spec.Error, Message: "unknown key <x>"}},
		Generation:  4, Tenants: 3, At: since, Took: 1500 * time.Millisecond,
	}
}

const rejectionJSON = `"revision": "` + older + `", "previous": "` + applied + `", "trigger": "poll", "result": "rejected",
	"stage": "load", "error": "1 error",
	"diagnostics": [{"file": "configs/tenants/shop.yaml", "line": 2, "column": 5, "severity": "error", "message": "unknown key <x>"}],
	"generation": 4, "tenants": 3, "tenants_changed": 0, "tenants_kept": 0,
	"author": "A <a@example.com>", "subject": "break the shop", "at": "2024-05-01T12:00:00Z", "took_ms": 1500`

func TestRevision(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status reloader.Status
		want   string
	}{
		"before the first": {
			reloader.Status{Source: "git https://example.com/tree main", SourceErr: "connection refused"},
			`{"head": "", "applied": "", "pinned": "", "ahead": false, "tenants_stale": [], "generation": 0,
				"source": "git https://example.com/tree main", "source_error": "connection refused", "last": null}`,
		},
		"the head serves": {
			reloader.Status{Head: applied, Applied: applied, Generation: 3, TenantsStale: []string{"late"}, Source: "."},
			`{"head": "` + applied + `", "applied": "` + applied + `", "pinned": "", "ahead": false, "tenants_stale": ["late"], "generation": 3,
				"source": ".", "last": null}`,
		},
		"the head was refused": {
			reloader.Status{Head: older, Applied: applied, Generation: 4, Last: rejection(), Source: "."},
			`{"head": "` + older + `", "applied": "` + applied + `", "pinned": "", "ahead": true, "tenants_stale": [], "generation": 4,
				"source": ".", "last": {` + rejectionJSON + `}}`,
		},
	} {
		code, got := get(t, open(t, options(&server{}, &asker{status: tt.status})), "/admin/revision")
		if diff := cmp.Diff(parse(t, tt.want), got); code != http.StatusOK || diff != "" {
			t.Errorf("%s: status %d (-want +got):\n%s", name, code, diff)
		}
	}
}

func TestReloadOutcomes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		attempt *reloader.Attempt
		err     error
		code    int
		want    string
	}{
		"applied": {
			&reloader.Attempt{RevisionID: applied, Trigger: repo.TriggerAdmin, Result: reloader.Applied, Generation: 5, Tenants: 3, TenantsChanged: 1, At: since}, nil,
			200, `{"revision": "` + applied + `", "trigger": "admin", "result": "applied", "generation": 5, "tenants": 3,
				"tenants_changed": 1, "tenants_kept": 0, "at": "2024-05-01T12:00:00Z", "took_ms": 0}`,
		},
		"unchanged": {
			&reloader.Attempt{RevisionID: applied, Trigger: repo.TriggerAdmin, Result: reloader.Unchanged, At: since}, nil,
			200, `{"revision": "` + applied + `", "trigger": "admin", "result": "unchanged", "generation": 0, "tenants": 0,
				"tenants_changed": 0, "tenants_kept": 0, "at": "2024-05-01T12:00:00Z", "took_ms": 0}`,
		},
		"rejected": {
			rejection(), nil,
			422, `{"status": 422, "title": "Revision rejected", "detail": "1 error", ` + rejectionJSON + `}`,
		},
		"the source is away": {
			&reloader.Attempt{Trigger: repo.TriggerAdmin, Result: reloader.Failed, Stage: "fetch", Err: "connection refused", At: since}, nil,
			502, `{"status": 502, "title": "Source could not be read", "detail": "connection refused", "revision": "", "trigger": "admin",
				"result": "failed", "stage": "fetch", "error": "connection refused", "generation": 0, "tenants": 0,
				"tenants_changed": 0, "tenants_kept": 0, "at": "2024-05-01T12:00:00Z", "took_ms": 0}`,
		},
		"the reloader has stopped": {
			nil, errors.New("reloader has stopped"),
			503, `{"status": 503, "title": "Service Unavailable", "detail": "reloader has stopped"}`,
		},
	} {
		r := &asker{reload: func(context.Context) (*reloader.Attempt, error) { return tt.attempt, tt.err }}
		w := ask(t, open(t, options(&server{}, r)), http.MethodPost, "/admin/reload", "", nil)
		code, kind, got := w.Code, w.Header().Get("Content-Type"), parse(t, w.Body.String())
		if diff := cmp.Diff(parse(t, tt.want), got); code != tt.code || diff != "" {
			t.Errorf("%s: status %d, want %d (-want +got):\n%s", name, code, tt.code, diff)
		}
		if want := "application/problem+json"; (kind == want) != (code >= 400) {
			t.Errorf("%s: status %d as %q", name, code, kind)
		}
		if r.asked != 1 || r.trigger != repo.TriggerAdmin {
			t.Errorf("%s: asked %d times, by %q", name, r.asked, r.trigger)
		}
	}
}

func TestReloadBody(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, query, body string
		code              int
		allowEmpty        bool
	}{
		{name: "nothing", code: 200},
		{name: "blanks", body: " \n", code: 200},
		{name: "an empty object", body: "{}", code: 200},
		{name: "the query alone", query: "?allow_empty", code: 200, allowEmpty: true},
		{name: "the query as a boolean", query: "?allow_empty=true", code: 200, allowEmpty: true},
		{name: "the query says no", query: "?allow_empty=false", code: 200},
		{name: "a body that says yes", body: `{"allow_empty": true}` + "\n", code: 200, allowEmpty: true},
		{name: "a body that says no", body: `{"allow_empty": false}`, code: 200},
		{name: "either is enough", query: "?allow_empty", body: `{"allow_empty": false}`, code: 200, allowEmpty: true},
		{name: "a query that says neither", query: "?allow_empty=maybe", code: 400},
		{name: "an unknown key", body: `{"allow_nothing": true}`, code: 400},
		{name: "not an object", body: `[true]`, code: 400},
		{name: "not JSON", body: `allow_empty=true`, code: 400},
		{name: "two values", body: `{} {}`, code: 400},
		{name: "just within bounds", body: strings.Repeat(" ", 64<<10), code: 200},
		{name: "too much", body: strings.Repeat(" ", 64<<10+1), code: 413},
	} {
		r := &asker{reload: func(context.Context) (*reloader.Attempt, error) {
			return &reloader.Attempt{Result: reloader.Unchanged}, nil
		}}
		code, _ := post(t, open(t, options(&server{}, r)), "/admin/reload"+tt.query, tt.body)
		if code != tt.code || r.allowEmpty != tt.allowEmpty {
			t.Errorf("%s: status %d, allow empty %t; want %d, %t", tt.name, code, r.allowEmpty, tt.code, tt.allowEmpty)
		}
		if (r.asked == 1) != (tt.code == http.StatusOK) {
			t.Errorf("%s: the reloader was asked %d times", tt.name, r.asked)
		}
	}
}

// A reload that takes too long is not waited for, and nobody is told that it
// failed.
func TestReloadThatTakesTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &asker{reload: func(ctx context.Context) (*reloader.Attempt, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}}
		started := time.Now()
		code, got := post(t, open(t, options(&server{}, r)), "/admin/reload", "")
		if code != http.StatusAccepted || got["result"] != "pending" {
			t.Errorf("status %d: %v, want 202 and pending", code, got)
		}
		if took := time.Since(started); took != time.Minute {
			t.Errorf("waited %v", took)
		}
	})
}
