package upstream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBrokenAnswersAreProtocolErrors(t *testing.T) {
	const early = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
	tests := []struct{ name, answer string }{
		{"nothing", ""},
		{"garbage", "\x00\x01\x02 hello\r\n\r\n"},
		{"no head at all", "<html>HTTP/0.9</html>"},
		{"status 099", "HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n"},
		{"status 000", "HTTP/1.1 000 Odd\r\nContent-Length: 0\r\n\r\n"},
		{"status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"},
		{"status of letters", "HTTP/1.1 abc OK\r\n\r\n"},
		{"negative status", "HTTP/1.1 -01 OK\r\n\r\n"},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"},
		{"negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"},
		{"unknown transfer coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"},
		{"header without colon", "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n"},
		{"head cut short", "HTTP/1.1 200 OK\r\nContent-Le"},
		{"head too large", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 70<<10) + "\r\n\r\n"},
		{"too many interim responses", strings.Repeat(early, maxInterim+1) + "HTTP/1.1 204 No Content\r\n\r\n"},
		{"interim responses without end", strings.Repeat(early, 500)},
		{"unasked switch", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"},
		{"switch to nothing", "HTTP/1.1 101 Switching Protocols\r\n\r\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := startPool(t, newRegistry(t, Options{}), upstreamOf(saying(t, test.answer)))
			var trip Trip
			got := fails(t, p, request(t, http.MethodGet, "/", nil), &trip)
			if got.Kind != KindProtocol || got.Server != "a" {
				t.Errorf("got %v of %q, want %s of a", got, got.Server, KindProtocol)
			}
			if diff := cmp.Diff(Trip{Server: "a", Attempts: 1}, trip); diff != "" {
				t.Errorf("trip: -want +got:\n%s", diff)
			}
		})
	}
}

func TestAResetIsAProtocolErrorAndNotRepeated(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		t.Run(method, func(t *testing.T) {
			resetting := raw(t, func(c net.Conn, _ int) {
				if _, err := head(bufio.NewReader(c)); err != nil {
					return
				}
				if err := c.(*net.TCPConn).SetLinger(0); err != nil {
					t.Error(err)
				}
			})
			p := startPool(t, newRegistry(t, Options{}), upstreamOf(resetting, resetting, resetting))
			trip := Trip{Retries: 2}
			err := fails(t, p, request(t, method, "/", strings.NewReader("order")), &trip)
			if err.Kind != KindProtocol || trip.Attempts != 1 {
				t.Errorf("got %v after %d tries, want %s after 1", err, trip.Attempts, KindProtocol)
			}
		})
	}
}

// TestWhatMayBeRepeatedOnADeadConnection uses a server that closes a kept
// connection only after it has read the second request.
func TestWhatMayBeRepeatedOnADeadConnection(t *testing.T) {
	tests := []struct {
		name, method string
		body         io.Reader
		want         string
		requests     int64
	}{
		{"idempotent without a body", http.MethodGet, nil, "ok", 3},
		{"idempotent with a body", http.MethodGet, strings.NewReader("query"), "protocol", 2},
		{"not idempotent, without a body", http.MethodPost, nil, "protocol", 2},
		{"not idempotent, with a body", http.MethodPost, strings.NewReader("order"), "protocol", 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var requests atomic.Int64
			server := raw(t, func(c net.Conn, _ int) {
				r := bufio.NewReader(c)
				for {
					if _, err := head(r); err != nil {
						return
					}
					if requests.Add(1) == 2 {
						return
					}
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				}
			})
			p := startPool(t, newRegistry(t, Options{}), upstreamOf(server, server))
			if got := outcome(t, p, request(t, http.MethodGet, "/", nil), nil); got != "ok" {
				t.Fatalf("first request: got %q, want ok", got)
			}
			trip := Trip{Retries: -1}
			if got := outcome(t, p, request(t, test.method, "/", test.body), &trip); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if got := requests.Load(); got != test.requests || trip.Attempts != 1 {
				t.Errorf("%d requests arrived and %d tries are counted, want %d and 1", got, trip.Attempts, test.requests)
			}
		})
	}
}

func TestABodyThatIsNotWantedIsNotSent(t *testing.T) {
	server := saying(t, "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
	p := startPool(t, newRegistry(t, Options{}), upstreamOf(server))
	body := failing{errors.New("the body was read")}
	req := request(t, http.MethodPost, "/", body)
	req.Header.Set("Expect", "100-continue")
	if got := outcome(t, p, req, nil); got != "no" {
		t.Errorf("got %q, want the server's refusal", got)
	}
}

func TestInterimResponsesArePassedOn(t *testing.T) {
	server := saying(t, "HTTP/1.1 100 Continue\r\n\r\n"+
		"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"+
		"HTTP/1.1 102 Processing\r\n\r\n"+
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	p := startPool(t, newRegistry(t, Options{}), upstreamOf(server))
	var got []string
	trip := Trip{Interim: func(status int, h http.Header) error {
		got = append(got, http.StatusText(status)+" "+h.Get("Link"))
		return nil
	}}
	resp, err := p.RoundTrip(request(t, http.MethodGet, "/", nil), &trip)
	if err != nil {
		t.Fatal(err)
	}
	if body := text(t, resp); body != "ok" {
		t.Errorf("got body %q, want ok", body)
	}
	if diff := cmp.Diff([]string{"Early Hints </a.css>", "Processing "}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAClientThatCannotTakeInterimResponsesIsTheFault(t *testing.T) {
	p := startPool(t, newRegistry(t, Options{}), upstreamOf(saying(t, "HTTP/1.1 103 Early Hints\r\n\r\n")))
	gone := errors.New("client gone")
	err := fails(t, p, request(t, http.MethodGet, "/", nil), &Trip{
		Interim: func(int, http.Header) error { return gone },
	})
	if err.Kind != KindClient || !errors.Is(err, gone) {
		t.Errorf("got %v, want %s", err, KindClient)
	}
}

func TestAShortBodyIsAnError(t *testing.T) {
	for name, answer := range map[string]string{
		"length":    "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
		"chunks":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"bad chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			p := startPool(t, newRegistry(t, Options{}), upstreamOf(saying(t, answer)))
			resp, err := p.RoundTrip(request(t, http.MethodGet, "/", nil), nil)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(resp.Body); err == nil {
				t.Errorf("read %q, want an error", b)
			}
			if err := resp.Body.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

func TestALengthBesideChunksIsDropped(t *testing.T) {
	server := saying(t, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
	p := startPool(t, newRegistry(t, Options{}), upstreamOf(server))
	resp, err := p.RoundTrip(request(t, http.MethodGet, "/", nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := text(t, resp); got != "hello" || resp.Header.Get("Content-Length") != "" {
		t.Errorf("got %q with length %q, want hello with none", got, resp.Header.Get("Content-Length"))
	}
}

// TestWhatComesAfterABodyIsNobodysAnswer has servers send a second answer along
// with the first. Whoever takes the kept connection next, at once, must neither
// be given it nor fail, even with a body that cannot be sent twice.
func TestWhatComesAfterABodyIsNobodysAnswer(t *testing.T) {
	const evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	for name, answer := range map[string]string{
		"after a body":    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + evil,
		"after chunks":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + evil,
		"after no body":   "HTTP/1.1 204 No Content\r\n\r\n" + evil,
		"half an answer":  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nX-Swallow: ",
		"a single letter": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok?",
	} {
		t.Run(name, func(t *testing.T) {
			const trips = 100
			var conns atomic.Int64
			server := raw(t, func(c net.Conn, _ int) {
				conns.Add(1)
				r := bufio.NewReader(c)
				for {
					if _, err := http.ReadRequest(r); err != nil {
						return
					}
					if _, err := io.WriteString(c, answer); err != nil {
						return
					}
				}
			})
			p := startPool(t, newRegistry(t, Options{}), upstreamOf(server))
			for range trips {
				trip := Trip{Retries: -1}
				got := outcome(t, p, request(t, http.MethodPost, "/", strings.NewReader("order")), &trip)
				if got != "ok" && got != "" || trip.Attempts != 1 {
					t.Fatalf("got %q in %d tries, want the answer to the request in 1", got, trip.Attempts)
				}
			}
			if got := conns.Load(); got != trips {
				t.Errorf("%d connections, want %d", got, trips)
			}
		})
	}
}

func TestAKeptConnectionThatIsClosedTakesNothing(t *testing.T) {
	client, server := net.Pipe()
	defer func() { _ = server.Close() }() // nothing of it is looked at
	c := newConn(client)
	j := newJourney(request(t, http.MethodPost, "/", strings.NewReader("order")), &Trip{})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	j.gotConn(httptrace.GotConnInfo{Conn: c, Reused: true})
	if _, err := j.out.Body.Read(make([]byte, 1)); !errors.Is(err, errGivenUp) {
		t.Errorf("reading the body: got %v, want %v", err, errGivenUp)
	}
	if !j.tookStale() || !j.untouched() {
		t.Error("the request cannot be sent over another connection")
	}
	j.gotConn(httptrace.GotConnInfo{Conn: newConn(server)})
	if _, err := j.out.Body.Read(make([]byte, 1)); err != nil || j.tookStale() {
		t.Errorf("a new connection: got %v, stale %t", err, j.tookStale())
	}
}

func TestAFailedConnectIsTriedElsewhere(t *testing.T) {
	dead, live := refusing(t), named(t, "live")
	tests := []struct {
		name     string
		servers  []string
		retries  int
		want     string // a body, or a kind
		attempts int
		server   string
	}{
		{"first refuses", []string{dead, live}, -1, "live POST order", 2, "b"},
		{"only the last answers", []string{dead, refusing(t), live}, 2, "live POST order", 3, "c"},
		{"the upstream's retries are used up", []string{dead, refusing(t), live}, -1, "connect", 2, "b"},
		{"no retries", []string{dead, live}, 0, "connect", 1, "a"},
		{"no server twice", []string{dead, refusing(t)}, 9, "connect", 2, "b"},
		{"one server", []string{dead}, 9, "connect", 1, "a"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := startPool(t, newRegistry(t, Options{}), upstreamOf(test.servers...))
			body := &watched{Reader: strings.NewReader("order")}
			trip := Trip{Retries: test.retries}
			if got := outcome(t, p, request(t, http.MethodPost, "/", body), &trip); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if diff := cmp.Diff(Trip{Retries: test.retries, Attempts: test.attempts, Server: test.server}, trip); diff != "" {
				t.Errorf("trip: -want +got:\n%s", diff)
			}
			if body.closed {
				t.Error("the caller's body was closed")
			}
		})
	}
}

// watched is a body that remembers whether it was closed.
type watched struct {
	io.Reader
	closed bool
}

func (w *watched) Close() error {
	w.closed = true
	return nil
}

func TestAnUpstreamWithoutConnectRetriesDoesNotRetry(t *testing.T) {
	u := upstreamOf(refusing(t), named(t, "live"))
	u.Retry.On = nil
	p := startPool(t, newRegistry(t, Options{}), u)
	trip := Trip{Retries: -1}
	err := fails(t, p, request(t, http.MethodGet, "/", nil), &trip)
	if err.Kind != KindConnect || trip.Attempts != 1 {
		t.Errorf("got %v after %d tries, want %s after 1", err, trip.Attempts, KindConnect)
	}
}

func TestTheClientsFailureIsNotTheServers(t *testing.T) {
	broken := errors.New("malformed chunk")
	p := startPool(t, newRegistry(t, Options{}), upstreamOf(named(t, "live")))

	t.Run("body", func(t *testing.T) {
		body := io.MultiReader(strings.NewReader("half"), failing{broken})
		err := fails(t, p, request(t, http.MethodPost, "/", body), nil)
		if err.Kind != KindClient || !errors.Is(err, broken) {
			t.Errorf("got %v, want %s with the body's error", err, KindClient)
		}
	})
	t.Run("body too large", func(t *testing.T) {
		body := http.MaxBytesReader(nil, io.NopCloser(strings.NewReader("too much")), 3)
		err := fails(t, p, request(t, http.MethodPost, "/", body), nil)
		_, tooLarge := errors.AsType[*http.MaxBytesError](err)
		if err.Kind != KindClient || !tooLarge {
			t.Errorf("got %v, want %s with MaxBytesError", err, KindClient)
		}
	})
	t.Run("body shorter than said", func(t *testing.T) {
		body := io.MultiReader(strings.NewReader("half"), failing{io.ErrUnexpectedEOF})
		req := request(t, http.MethodPost, "/", body)
		req.ContentLength = 10
		err := fails(t, p, req, nil)
		if err.Kind != KindClient {
			t.Errorf("got %v, want %s", err, KindClient)
		}
	})
	t.Run("gone before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := fails(t, p, request(t, http.MethodGet, "/", nil).WithContext(ctx), nil)
		if err.Kind != KindClient || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %s", err, KindClient)
		}
	})
	t.Run("gone while the server works", func(t *testing.T) {
		asked := make(chan struct{})
		hanging := raw(t, func(c net.Conn, _ int) {
			r := bufio.NewReader(c)
			if _, err := head(r); err == nil {
				close(asked)
			}
			_, _ = r.ReadByte() // until the gateway hangs up
		})
		p := startPool(t, newRegistry(t, Options{}), upstreamOf(hanging))
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("drained")
		go func() {
			<-asked
			cancel(gone)
		}()
		err := fails(t, p, request(t, http.MethodGet, "/", nil).WithContext(ctx), nil)
		if err.Kind != KindClient || !errors.Is(err, gone) {
			t.Errorf("got %v, want %s with its cause", err, KindClient)
		}
	})
}

func TestNothingIsTriedForAClientThatHasGone(t *testing.T) {
	r := newRegistry(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	r.dialer.dial = func(context.Context, string, string) (net.Conn, error) {
		cancel()
		return nil, errors.New("refused")
	}
	p := startPool(t, r, upstreamOf("web:80", "api:80"))
	trip := Trip{Retries: -1}
	err := fails(t, p, request(t, http.MethodGet, "/", nil).WithContext(ctx), &trip)
	if err.Kind != KindClient || trip.Attempts != 1 {
		t.Errorf("got %v after %d tries, want %s after 1", err, trip.Attempts, KindClient)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestABodyIsNotReadAfterTheTrip(t *testing.T) {
	j := newJourney(request(t, http.MethodPost, "/", strings.NewReader("order")), &Trip{})
	j.abandon()
	if n, err := j.out.Body.Read(make([]byte, 8)); n != 0 || !errors.Is(err, errGivenUp) {
		t.Errorf("Read() = %d, %v, want 0 and an error", n, err)
	}
	if err := j.got1xx(103, nil); err != nil {
		t.Errorf("a late interim response: %v", err)
	}
	if err := j.body.failure(); err != nil {
		t.Errorf("the client is blamed: %v", err)
	}
}

func TestATouchedBodyIsNotSentElsewhere(t *testing.T) {
	j := newJourney(request(t, http.MethodPost, "/", strings.NewReader("order")), &Trip{})
	refused := &dialError{errors.New("refused")}
	if !j.nothingSent(refused) {
		t.Error("an untouched body cannot be sent again")
	}
	if _, err := j.out.Body.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if j.nothingSent(refused) {
		t.Error("a touched body can be sent again")
	}
}

func TestASlowServerTimesOut(t *testing.T) {
	hanging := raw(t, func(c net.Conn, _ int) {
		_, _ = io.Copy(io.Discard, c) // until the gateway hangs up
	})
	p := startPool(t, newRegistry(t, Options{}), upstreamOf(hanging, hanging))
	trip := Trip{Retries: 1, Timeout: 20 * time.Millisecond}
	err := fails(t, p, request(t, http.MethodGet, "/", nil), &trip)
	if err.Kind != KindTimeout || trip.Attempts != 1 {
		t.Errorf("got %v after %d tries, want %s after 1", err, trip.Attempts, KindTimeout)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err = fails(t, p, request(t, http.MethodGet, "/", nil).WithContext(ctx), nil)
	if err.Kind != KindTimeout {
		t.Errorf("a deadline of the caller's: got %v, want %s", err, KindTimeout)
	}
}

func TestATunnelPassesBothWays(t *testing.T) {
	server := raw(t, func(c net.Conn, _ int) {
		r := bufio.NewReader(c)
		if _, err := head(r); err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\nhello ")
		_, _ = io.Copy(c, r) // the test sees what arrives
	})
	p := startPool(t, newRegistry(t, Options{}), upstreamOf(server))
	for _, timeout := range []time.Duration{0, time.Minute} {
		req := request(t, http.MethodGet, "/", nil)
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "websocket")
		resp, err := p.RoundTrip(req, &Trip{Timeout: timeout})
		if err != nil {
			t.Fatal(err)
		}
		tunnel, ok := resp.Body.(io.ReadWriteCloser)
		if !ok {
			t.Fatalf("body is a %T, want an io.ReadWriteCloser", resp.Body)
		}
		if _, err := io.WriteString(tunnel, "world"); err != nil {
			t.Error(err)
		}
		if err := tunnel.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Errorf("close one direction: %v", err)
		}
		got, err := io.ReadAll(tunnel)
		if string(got) != "hello world" || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, "hello world")
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestASwitchToAnotherProtocolIsRefused(t *testing.T) {
	p := startPool(t, newRegistry(t, Options{}), upstreamOf(saying(t, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")))
	req := request(t, http.MethodGet, "/", nil)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "websocket")
	err := fails(t, p, req, nil)
	if err.Kind != KindProtocol || !errors.Is(err, errUnasked) {
		t.Errorf("got %v, want %s", err, KindProtocol)
	}
}

func TestHeadersAreSentAsTheyAre(t *testing.T) {
	seen := make(chan http.Header, 1)
	server := raw(t, func(c net.Conn, _ int) {
		req, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("Host", req.Host)
		seen <- req.Header
		_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
	})
	p := startPool(t, newRegistry(t, Options{}), upstreamOf(server))
	req := request(t, http.MethodGet, "/", nil)
	req.Header = http.Header{"User-Agent": {""}, "X-A": {"1", "2"}}
	resp, err := p.RoundTrip(req, nil)
	if err != nil {
		t.Fatal(err)
	}
	text(t, resp)
	want := http.Header{"Host": {"shop.example.com"}, "X-A": {"1", "2"}}
	if diff := cmp.Diff(want, <-seen); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
