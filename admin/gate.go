package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
)

// gate says why r is refused before any page is looked for; nil lets it in.
func (a *Admin) gate(r *http.Request) *problem {
	if !a.knownHost(r.Host) {
		return &problem{
			Status: http.StatusForbidden,
			Detail: "the Host header names another machine",
			Hint:   "this listener is on loopback: call it as localhost, 127.0.0.1 or [::1]",
		}
	}
	if err := a.origin.Check(r); err != nil {
		return &problem{Status: http.StatusForbidden, Detail: "the request comes from another site"}
	}
	switch r.URL.Path {
	case "/healthz", "/readyz", "/metrics":
		return nil
	}
	return a.authorize(r)
}

// knownHost guards a listener on loopback against DNS rebinding, where a page
// of a foreign site has its own name resolved to 127.0.0.1 and reads the
// answers: the browser then sends that name as Host. A client that sends no
// Host is no browser.
func (a *Admin) knownHost(host string) bool {
	if host == "" || !loopback(a.host) {
		return true
	}
	host = hostOf(host)
	return loopback(host) || strings.EqualFold(host, a.host)
}

// authorize asks for the token where there is one. What cannot be checked is
// refused.
func (a *Admin) authorize(r *http.Request) *problem {
	if a.o.Token == nil {
		return nil
	}
	want, err := a.o.Token()
	want = strings.TrimSpace(want)
	if err == nil && want == "" {
		err = errors.New("it is empty")
	}
	if err != nil {
		a.o.Log.Error("admin token unreadable", "err", err)
		return &problem{Status: http.StatusServiceUnavailable, Detail: "the token cannot be read, see the log"}
	}
	scheme, got, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") && equal(strings.TrimSpace(got), want) {
		return nil
	}
	return &problem{
		Status: http.StatusUnauthorized,
		Detail: "a valid token is needed",
		Hint:   "send it as 'Authorization: Bearer TOKEN'",
		header: http.Header{"Www-Authenticate": {`Bearer realm="keystone"`}},
	}
}

// equal compares in a time that tells neither where two tokens differ nor how
// long they are.
func equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// changing guards a page that changes something: never without a token.
func (a *Admin) changing(page http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if a.o.Token == nil {
			fail(w, problem{
				Status: http.StatusForbidden,
				Detail: "without a token the API is read-only",
				Hint:   "set admin.token_file, or send the process SIGHUP to reload",
			})
			return
		}
		page(w, r)
	}
}
