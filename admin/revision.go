package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"keystone-gateway/reloader"
	"keystone-gateway/repo"
)

// attempt is a try to make a revision live, as operators see it.
type attempt struct {
	*reloader.Attempt
	Author  string    `json:"author,omitempty"`
	Subject string    `json:"subject,omitempty"`
	At      time.Time `json:"at,omitzero"`
	TookMS  float64   `json:"took_ms"`
}

func attemptOf(a *reloader.Attempt) *attempt {
	if a == nil {
		return nil
	}
	return &attempt{
		Attempt: a,
		Author:  a.Revision.Author,
		Subject: a.Revision.Subject,
		At:      a.At.UTC(),
		TookMS:  float64(a.Took.Microseconds()) / 1000,
	}
}

// revision tells what should serve and what does.
func (a *Admin) revision(w http.ResponseWriter, _ *http.Request) {
	s := a.o.Reloader.Status()
	reply(w, http.StatusOK, struct {
		Head    string `json:"head"`
		Applied string `json:"applied"`
		Pinned  string `json:"pinned"`
		// Ahead: the head is not what serves, be it not built yet or refused.
		Ahead        bool     `json:"ahead"`
		TenantsStale []string `json:"tenants_stale"`
		Generation   uint64   `json:"generation"`
		Source       string   `json:"source"`
		SourceError  string   `json:"source_error,omitempty"`
		Last         *attempt `json:"last"`
	}{
		Head:         s.Head,
		Applied:      s.Applied,
		Ahead:        s.Head != "" && s.Head != s.Applied,
		TenantsStale: append([]string{}, s.TenantsStale...),
		Generation:   s.Generation,
		Source:       s.Source,
		SourceError:  s.SourceErr,
		Last:         attemptOf(s.Last),
	})
}

// maxBody bounds the body of a reload, in bytes.
const maxBody = 64 << 10

// reload asks for an attempt and waits for what comes of it: 200 when the
// desired revision serves, 422 when it was refused, 502 when the source could
// not be read, 202 when it takes longer than anyone should wait, 503 when the
// reloader has stopped. The attempt is in the answer wherever there is one.
func (a *Admin) reload(w http.ResponseWriter, r *http.Request) {
	allowEmpty, err := askedEmpty(w, r)
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		fail(w, problem{Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("the body is over %d bytes", tooLarge.Limit)})
		return
	}
	if err != nil {
		fail(w, problem{Status: http.StatusBadRequest, Detail: err.Error(), Hint: `send nothing, or {"allow_empty": true}`})
		return
	}

	ctx, cancel := context.WithTimeout(r.Context(), reloadTimeout)
	defer cancel()
	outcome, err := a.o.Reloader.Reload(ctx, repo.TriggerAdmin, allowEmpty)
	switch {
	case err != nil && ctx.Err() != nil:
		reply(w, http.StatusAccepted, map[string]string{"result": "pending", "detail": "still running; see " + a.base + "/revision"})
	case err != nil:
		fail(w, problem{Status: http.StatusServiceUnavailable, Detail: err.Error()})
	case outcome.Result == reloader.Rejected:
		failAttempt(w, http.StatusUnprocessableEntity, "Revision rejected", outcome)
	case outcome.Result == reloader.Failed:
		failAttempt(w, http.StatusBadGateway, "Source could not be read", outcome)
	default:
		reply(w, http.StatusOK, attemptOf(outcome))
	}
}

// failAttempt is a problem that has the attempt's members beside its own.
func failAttempt(w http.ResponseWriter, code int, title string, a *reloader.Attempt) {
	write(w, code, "application/problem+json", struct {
		problem
		*attempt
	}{problem{Status: code, Title: title, Detail: a.Err}, attemptOf(a)})
}

// askedEmpty says whether the caller lets the last tenant go: by ?allow_empty,
// alone or with a boolean, or by a JSON body. The error is a
// [*http.MaxBytesError] or made for the caller to read.
func askedEmpty(w http.ResponseWriter, r *http.Request) (bool, error) {
	asked := false
	if query := r.URL.Query(); query.Has("allow_empty") {
		text := query.Get("allow_empty")
		value, err := strconv.ParseBool(text)
		if text != "" && err != nil {
			return false, errors.New("allow_empty is neither true nor false")
		}
		asked = value || text == ""
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil || len(bytes.TrimSpace(data)) == 0 {
		return asked, err
	}
	var body struct {
		AllowEmpty bool `json:"allow_empty"`
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&body); err != nil || decoder.InputOffset() != int64(len(bytes.TrimRight(data, " \t\r\n"))) {
		return false, errors.New("the body is not an object with allow_empty alone")
	}
	return asked || body.AllowEmpty, nil
}
