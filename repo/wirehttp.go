package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
)

const (
	// The bounds of one step; the whole is bounded by the context.
	dialTimeout   = 10 * time.Second
	headerTimeout = 30 * time.Second
	idleTimeout   = 90 * time.Second
	maxHeader     = 64 << 10
	maxRedirects  = 5
	// userAgent begins with git/ because some servers answer others with
	// their web page.
	userAgent = "git/2 (keystone-gateway)"
	// maxRetryAfter bounds how long a server can ask to be left alone.
	maxRetryAfter = time.Hour
)

// httpWire speaks git's smart HTTP protocol.
type httpWire struct {
	base   *url.URL // of the repository, without userinfo
	client *http.Client
	// authorize adds credentials to a request, anew for each, so that rotated
	// ones are taken up.
	authorize func(*http.Request)
}

func newHTTPWire(u *url.URL, user *url.Userinfo) *httpWire {
	w := &httpWire{base: u, authorize: func(*http.Request) {}}
	if user != nil {
		w.authorize = func(r *http.Request) {
			password, _ := user.Password()
			r.SetBasicAuth(user.Username(), password)
		}
	}
	w.client = &http.Client{
		CheckRedirect: checkRedirect,
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSHandshakeTimeout:    dialTimeout,
			ResponseHeaderTimeout:  headerTimeout,
			IdleConnTimeout:        idleTimeout,
			MaxResponseHeaderBytes: maxHeader,
			ForceAttemptHTTP2:      true,
		},
	}
	return w
}

func (w *httpWire) close() { w.client.CloseIdleConnections() }

// checkRedirect follows a redirect only within the same host, where a change
// from http to https is the one change of scheme: credentials and trust are
// for the host that the settings name.
func checkRedirect(next *http.Request, via []*http.Request) error {
	from := via[0].URL
	switch {
	case len(via) > maxRedirects:
		return faultf(ReasonRedirect, "more than %d redirects", maxRedirects)
	case via[0].Method != http.MethodGet:
		return faultf(ReasonRedirect, "the server redirects the request for a pack")
	case next.URL.Scheme == from.Scheme && next.URL.Host == from.Host:
	case from.Scheme == "http" && next.URL.Scheme == "https" && next.URL.Hostname() == from.Hostname():
	default:
		return faultf(ReasonRedirect, "the server redirects to %s://%s: if that is right, write it into source.git.url",
			next.URL.Scheme, next.URL.Host)
	}
	return nil
}

const infoRefs = "/info/refs"

func (w *httpWire) talk(ctx context.Context, bytes *allowance) (conversation, error) {
	u := w.base.JoinPath(infoRefs)
	u.RawQuery = "service=" + uploadPack
	res, err := w.do(ctx, http.MethodGet, u, nil, "advertisement")
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	at := *res.Request.URL // where a redirect led to
	path, ok := strings.CutSuffix(at.Path, infoRefs)
	if !ok {
		return nil, faultf(ReasonRedirect, "the server redirects to a path that does not end in %s", infoRefs)
	}
	at.Path, at.RawPath, at.RawQuery = path, "", ""
	refs, err := readRefs(bytes.of(res.Body))
	if err != nil {
		return nil, err
	}
	return &httpTalk{wire: w, base: &at, advertised: refs, bytes: bytes}, nil
}

// do sends one request and returns its answer if that is git's.
func (w *httpWire) do(ctx context.Context, method string, u *url.URL, body []byte, kind string) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		content = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), content)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept", "application/x-"+uploadPack+"-"+kind)
	if body != nil {
		req.Header.Set("Content-Type", "application/x-"+uploadPack+"-request")
	}
	w.authorize(req)
	res, err := w.client.Do(req)
	if err != nil {
		// url.Error repeats method and URL, which the source's own error tells.
		if inner, ok := errors.AsType[*url.Error](err); ok {
			err = inner.Err
		}
		return nil, err
	}
	if err := checkAnswer(res, kind); err != nil {
		_ = res.Body.Close()
		return nil, err
	}
	return res, nil
}

// checkAnswer says in plain words what an answer other than git's means.
func checkAnswer(res *http.Response, kind string) error {
	got, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil {
		got = "no content type"
	}
	code := res.StatusCode
	switch {
	case code == http.StatusOK && got == "application/x-"+uploadPack+"-"+kind:
		return nil
	case code == http.StatusOK:
		return faultf(ReasonNotGit, "the server answers with %s instead of git's protocol: "+
			"is this the address of a repository, not of its web page?", got)
	case code == http.StatusUnauthorized:
		return faultf(ReasonUnauthorized, "the server asks for other credentials (401)")
	case code == http.StatusForbidden:
		return faultf(ReasonForbidden, "the server denies access (403)")
	case code == http.StatusNotFound || code == http.StatusGone:
		return faultf(ReasonNotFound, "there is no repository (%d): check the address; "+
			"private repositories are often hidden like this without credentials", code)
	case code == http.StatusTooManyRequests:
		return &fault{reason: ReasonRateLimited, retryAfter: retryAfter(res), err: errors.New("the server asks for fewer requests (429)")}
	case code >= http.StatusInternalServerError:
		return &fault{reason: ReasonServerError, retryAfter: retryAfter(res), err: fmt.Errorf("the server fails (%s)", oneLine(res.Status))}
	}
	return faultf(ReasonNotGit, "unexpected answer (%s)", oneLine(res.Status))
}

// retryAfter reads the Retry-After header, RFC 9110 section 10.2.3.
func retryAfter(res *http.Response) time.Duration {
	value := res.Header.Get("Retry-After")
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return max(0, min(time.Until(at), maxRetryAfter))
}

// httpTalk is a conversation of two requests.
type httpTalk struct {
	wire       *httpWire
	base       *url.URL
	advertised *packp.AdvRefs
	bytes      *allowance
	body       io.Closer
}

func (c *httpTalk) refs() *packp.AdvRefs { return c.advertised }

func (c *httpTalk) send(ctx context.Context, request []byte) (io.Reader, error) {
	res, err := c.wire.do(ctx, http.MethodPost, c.base.JoinPath(uploadPack), request, "result") //nolint:bodyclose // By close.
	if err != nil {
		return nil, err
	}
	c.body = res.Body
	return c.bytes.of(res.Body), nil
}

func (c *httpTalk) close() {
	if c.body != nil {
		_ = c.body.Close()
	}
}
