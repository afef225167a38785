package testenv

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// Client asks one gateway, and its admin, over real sockets.
type Client struct {
	t     testing.TB
	addr  string // of the gateway
	admin string // "" without one
	token string
	http  *http.Client
}

func newClient(t testing.TB, addr, admin, token string) *Client {
	c := &Client{t: t, addr: addr, admin: admin, token: token}
	c.http = &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 16},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

func (c *Client) close() { c.http.CloseIdleConnections() }

// Addr is the host:port of the gateway.
func (c *Client) Addr() string { return c.addr }

// Response is an answer, read to its end.
type Response struct {
	Status int
	Header http.Header
	Body   string
}

// Echo is what the [Upstream] saw that answered.
func (r Response) Echo(t testing.TB) Echo {
	t.Helper()
	var e Echo
	if err := json.Unmarshal([]byte(r.Body), &e); err != nil {
		t.Fatalf("status %d: no echo of an upstream: %v\n%s", r.Status, err, r.Body)
	}
	return e
}

// Request is one for the tenant of host; path may hold a query.
func (c *Client) Request(ctx context.Context, method, host, path string, body io.Reader) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+c.addr+path, body)
	if err != nil {
		return nil, err
	}
	r.Host = host
	return r, nil
}

// Send sends r and reads the answer. It may be called on any goroutine.
func (c *Client) Send(r *http.Request) (Response, error) {
	answer, err := c.http.Do(r) //nolint:gosec // to the gateway under test, and nowhere else
	if err != nil {
		return Response{}, err
	}
	body, err := io.ReadAll(answer.Body)
	if e := answer.Body.Close(); err == nil {
		err = e
	}
	return Response{Status: answer.StatusCode, Header: answer.Header, Body: string(body)}, err
}

// Try gets path of the tenant of host. It may be called on any goroutine.
func (c *Client) Try(ctx context.Context, host, path string) (Response, error) {
	r, err := c.Request(ctx, http.MethodGet, host, path, nil)
	if err != nil {
		return Response{}, err
	}
	return c.Send(r)
}

// Get gets path of the tenant of host.
func (c *Client) Get(host, path string) Response {
	c.t.Helper()
	ctx, cancel := patient(c.t)
	defer cancel()
	answer, err := c.Try(ctx, host, path)
	if err != nil {
		c.t.Fatalf("GET %s of %s: %v", path, host, err)
	}
	return answer
}

// Open gets path of the tenant of host and leaves the body to be read.
func (c *Client) Open(ctx context.Context, host, path string) *Stream {
	c.t.Helper()
	r, err := c.Request(ctx, http.MethodGet, host, path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		c.t.Fatalf("GET %s of %s: %v", path, host, err)
	}
	c.t.Cleanup(func() { _ = answer.Body.Close() }) // to end a test early is no error
	return &Stream{t: c.t, Status: answer.StatusCode, body: bufio.NewReader(answer.Body)}
}

// Stream is a body that is still coming.
type Stream struct {
	Status int

	t    testing.TB
	body *bufio.Reader
}

// Line waits for the next line.
func (s *Stream) Line() string {
	s.t.Helper()
	line, err := s.body.ReadString('\n')
	if err != nil {
		s.t.Fatalf("next line of a stream: %v", err)
	}
	return strings.TrimSuffix(line, "\n")
}

// WebSocket opens one to path of the tenant of host.
func (c *Client) WebSocket(host, path string) *WebSocket {
	c.t.Helper()
	ctx, cancel := patient(c.t)
	defer cancel()
	conn, answer, err := websocket.Dial(ctx, "ws://"+c.addr+path, &websocket.DialOptions{Host: host, HTTPClient: c.http})
	if answer != nil && answer.Body != nil {
		defer func() { _ = answer.Body.Close() }() // after a success it is empty
	}
	if err != nil {
		c.t.Fatalf("open a WebSocket to %s of %s: %v", path, host, err)
	}
	c.t.Cleanup(func() { _ = conn.CloseNow() })
	return &WebSocket{t: c.t, conn: conn}
}

// WebSocket is one end of a connection to the /ws of an [Upstream].
type WebSocket struct {
	t    testing.TB
	conn *websocket.Conn
}

// Echo says message and waits to hear it back.
func (w *WebSocket) Echo(message string) {
	w.t.Helper()
	ctx, cancel := patient(w.t)
	defer cancel()
	if err := w.conn.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
		w.t.Fatalf("say %q: %v", message, err)
	}
	_, got, err := w.conn.Read(ctx)
	if err != nil || string(got) != message {
		w.t.Fatalf("said %q, heard %q, %v", message, got, err)
	}
}

// WaitClosed waits until the other side has ended the connection, and returns
// how: websocket.CloseStatus tells a close frame from a cut.
func (w *WebSocket) WaitClosed() error {
	w.t.Helper()
	ctx, cancel := patient(w.t)
	defer cancel()
	_, _, err := w.conn.Read(ctx)
	if ctx.Err() != nil {
		w.t.Fatalf("the WebSocket is still open after %v", Patience)
	}
	return err
}

// AdminTry asks the admin with its token. It may be called on any goroutine.
func (c *Client) AdminTry(ctx context.Context, method, path string) (Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+c.admin+path, nil)
	if err != nil {
		return Response{}, err
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	return c.Send(r)
}

// Admin asks the admin with its token.
func (c *Client) Admin(method, path string) Response {
	c.t.Helper()
	ctx, cancel := patient(c.t)
	defer cancel()
	answer, err := c.AdminTry(ctx, method, path)
	if err != nil {
		c.t.Fatalf("%s %s of the admin: %v", method, path, err)
	}
	return answer
}

// adminJSON decodes the answer to GET path.
func (c *Client) adminJSON(path string, into any) {
	c.t.Helper()
	answer := c.Admin(http.MethodGet, path)
	if err := json.Unmarshal([]byte(answer.Body), into); err != nil {
		c.t.Fatalf("GET %s of the admin: status %d: %v\n%s", path, answer.Status, err, answer.Body)
	}
}

// Health is the answer of {base}/health.
type Health struct {
	Status     string                  `json:"status"`
	Revision   string                  `json:"revision"`
	Generation int                     `json:"generation"`
	Tenants    map[string]TenantHealth `json:"tenants"`
}

// TenantHealth is one tenant's part of a [Health].
type TenantHealth struct {
	Status         string    `json:"status"`
	Config         string    `json:"config"`
	Since          time.Time `json:"since"`
	Error          string    `json:"error"`
	ServersHealthy int       `json:"servers_healthy"`
	ServersTotal   int       `json:"servers_total"`
}

// Health asks how the gateway is.
func (c *Client) Health() Health {
	c.t.Helper()
	var h Health
	c.adminJSON("/admin/health", &h)
	return h
}

// Ready asks /readyz, for revision unless that is "".
func (c *Client) Ready(revision string) (status int, state string) {
	c.t.Helper()
	path := "/readyz"
	if revision != "" {
		path += "?revision=" + revision
	}
	answer := c.Admin(http.MethodGet, path)
	var body struct {
		State string `json:"state"`
	}
	if err := json.Unmarshal([]byte(answer.Body), &body); err != nil {
		c.t.Fatalf("GET %s: %v\n%s", path, err, answer.Body)
	}
	return answer.Status, body.State
}

// Metrics are the samples of a scrape, by name and labels as they stand there:
// `keystone_requests_total{code_class="2xx",tenant="shop"}`.
type Metrics map[string]float64

// Metrics scrapes the gateway.
func (c *Client) Metrics() Metrics {
	c.t.Helper()
	m := make(Metrics)
	for line := range strings.Lines(c.Admin(http.MethodGet, "/metrics").Body) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		series, text, _ := strings.Cut(line, "} ")
		if strings.Contains(series, "{") {
			series += "}"
		} else {
			series, text, _ = strings.Cut(line, " ")
		}
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			c.t.Fatalf("metrics line %q: %v", line, err)
		}
		m[series] = value
	}
	return m
}

// Named lists the series whose names begin with prefix, sorted.
func (m Metrics) Named(prefix string) []string {
	var names []string
	for series := range m {
		if strings.HasPrefix(series, prefix) {
			names = append(names, series)
		}
	}
	slices.Sort(names)
	return names
}

// Refused says whether nothing listens at the gateway's address any more.
func (c *Client) Refused() bool {
	var dialer net.Dialer
	conn, err := dialer.DialContext(c.t.Context(), "tcp", c.addr)
	if err != nil {
		return true
	}
	_ = conn.Close()
	return false
}

// String names the gateway in messages.
func (c *Client) String() string { return fmt.Sprintf("gateway on %s", c.addr) }
