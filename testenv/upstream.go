package testenv

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"
)

// Echo is what an [Upstream] answers: what it was asked.
type Echo struct {
	Server string      `json:"server"`
	Method string      `json:"method"`
	Host   string      `json:"host"`
	Path   string      `json:"path"` // with its query, as it arrived
	Header http.Header `json:"header"`
	Body   string      `json:"body"`
}

// Upstream is a server to forward to. It answers with an [Echo], but for
//
//	/slow    whose answer comes when Release is called; with ?head its head comes at once
//	/stream  whose body is the lines given to Say, until EndStreams or the client ends it
//	/ws      a WebSocket that says back what it is told
type Upstream struct {
	URL string

	t        testing.TB
	name     string
	server   *http.Server
	serving  sync.WaitGroup
	requests atomic.Int64

	mu       sync.Mutex    // guards all below
	held     int           // requests to /slow that wait
	released chan struct{} // closed, and made anew, by Release
	streams  map[chan string]struct{}
}

// NewUpstream starts one, to be known in its answers by name.
func NewUpstream(t testing.TB, name string) *Upstream {
	t.Helper()
	listener := listen(t, "")
	u := &Upstream{
		URL: "http://" + listener.Addr().String(), t: t, name: name,
		released: make(chan struct{}), streams: make(map[chan string]struct{}),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", u.echo)
	mux.HandleFunc("/slow", u.slow)
	mux.HandleFunc("/stream", u.stream)
	mux.HandleFunc("/ws", u.webSocket)
	u.server = &http.Server{
		ReadHeaderTimeout: Patience,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			u.serving.Add(1)
			defer u.serving.Done()
			u.requests.Add(1)
			mux.ServeHTTP(w, r)
		}),
	}
	u.serving.Go(func() { _ = u.server.Serve(listener) }) // ends with ErrServerClosed
	t.Cleanup(u.close)
	return u
}

func (u *Upstream) close() {
	if err := u.server.Close(); err != nil {
		u.t.Errorf("close upstream %s: %v", u.name, err)
	}
	u.serving.Wait()
}

// Requests counts those that arrived, health checks among them.
func (u *Upstream) Requests() int { return int(u.requests.Load()) }

// Held counts the requests to /slow that wait for Release.
func (u *Upstream) Held() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.held
}

// Release answers all requests to /slow that wait.
func (u *Upstream) Release() {
	u.mu.Lock()
	defer u.mu.Unlock()
	close(u.released)
	u.released = make(chan struct{})
}

// Streams counts the open requests to /stream.
func (u *Upstream) Streams() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.streams)
}

// Say sends a line to every open stream.
func (u *Upstream) Say(line string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for lines := range u.streams {
		lines <- line
	}
}

// EndStreams ends the bodies of all open streams.
func (u *Upstream) EndStreams() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for lines := range u.streams {
		close(lines)
		delete(u.streams, lines)
	}
}

func (u *Upstream) echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client went away, or was cut
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(Echo{
		Server: u.name, Method: r.Method, Host: r.Host, Path: r.RequestURI, Header: r.Header, Body: string(body),
	})
}

func (u *Upstream) slow(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	u.held++
	released := u.released
	u.mu.Unlock()
	defer func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.held--
	}()
	if r.URL.Query().Has("head") {
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
	}
	select {
	case <-released:
		u.echo(w, r)
	case <-r.Context().Done():
	}
}

func (u *Upstream) stream(w http.ResponseWriter, r *http.Request) {
	lines := make(chan string, 64) // lines that nobody read yet; Say waits for no client
	u.mu.Lock()
	u.streams[lines] = struct{}{}
	u.mu.Unlock()
	defer func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.streams, lines)
	}()
	control := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/plain")
	for {
		if err := control.Flush(); err != nil {
			return
		}
		select {
		case line, open := <-lines:
			if !open {
				return
			}
			if _, err := io.WriteString(w, line+"\n"); err != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

func (u *Upstream) webSocket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // any Origin: it is a test
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	for {
		kind, message, err := conn.Read(r.Context())
		if err != nil {
			if closed := (websocket.CloseError{}); !errors.As(err, &closed) {
				return // cut
			}
			_ = conn.Close(websocket.StatusNormalClosure, "")
			return
		}
		if err := conn.Write(r.Context(), kind, message); err != nil {
			return
		}
	}
}
