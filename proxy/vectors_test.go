package proxy

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"keystone-gateway/spec"
)

// vector is one raw request that others collected, and what they expect of a
// server that gets it.
type vector struct {
	Suite, ID, Expect, Note string
	Raw                     []byte
}

// tolerated says why a vector that asks for a refusal may be forwarded all the
// same: what is forwarded is one clean request that means only one thing.
func tolerated(v vector) (reason string) {
	request := string(v.Raw)
	head, _, _ := strings.Cut(request, "\r\n\r\n")
	switch {
	case v.ID == "MAL-URL-OVERLONG-UTF8":
		return "its overlong bytes are question marks in the collection"
	case v.ID == "COMP-405-ALLOW", v.ID == "invalid: HTTP protocol and ANNOUNCE method":
		return "the tenant of this test takes any method"
	case v.ID == "SMUG-CHUNK-EXT-CTRL", v.ID == "transfer-encoding: No extension after semicolon":
		return "chunk extensions are not forwarded"
	case v.ID == "connection: CRLF between requests, explicit `close`":
		return "what follows a request with Connection: close is never read"
	case strings.Contains(strings.ReplaceAll(request, "\r\n", ""), "\n"):
		return "RFC 9112, section 2.2: a recipient may take a lone LF for the end of a line"
	case strings.Contains(head, "\r\n ") || strings.Contains(head, "\r\n\t"):
		return "RFC 9112, section 5.2: a folded line may become one space"
	case hasHeader(head, "Content-Length") && hasHeader(head, "Transfer-Encoding"):
		return "RFC 9112, section 6.3: chunked wins, and the length is not forwarded"
	}
	return ""
}

// strict says why a vector that others accept may be refused.
func strict(v vector, status int) (reason string) {
	request := string(v.Raw)
	line, _, _ := strings.Cut(request, "\r\n")
	switch {
	case status == 0 || status == 408:
		return "its body never comes"
	case status == 501:
		return "RFC 9112, section 6.1: a transfer coding that is not understood"
	case !strings.HasSuffix(line, " HTTP/1.1") && !strings.HasSuffix(line, " HTTP/1.0"):
		return "no version of HTTP that is served here"
	case strings.Contains(line, "#") || strings.Contains(line, "%0A") || strings.Contains(line, "  ") || strings.Contains(line, " * "):
		return "no path that is read in one way only"
	case strings.Contains(request, "Host: 0.0.0.0=5000"):
		return "no host"
	}
	return ""
}

func hasHeader(head, name string) bool {
	return strings.Contains(strings.ToLower(head), "\n"+strings.ToLower(name))
}

// TestCollectedRequests replays the vectors and looks at the bytes that reach
// the upstream: whatever comes in, what goes out is one clean request a
// request, or nothing.
func TestCollectedRequests(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("..", "..", "shared", "http-vectors", "vectors.json"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the vectors are not beside this tree")
	} else if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	up := newRecorder(t)
	catchAll := tenantOf("all", up.url)
	catchAll.RequestLimits = spec.RequestLimits{MaxBodySize: 1 << 20}
	w := newWorld(t, func(o *Options) {
		o.AccessLog = false
		o.Timeouts = Timeouts{ReadHeader: time.Second, Idle: time.Second, BodyIdle: time.Second, WriteIdle: time.Second}
	}, catchAll)

	var (
		mu       sync.Mutex
		answers  = make([]string, len(vectors))
		replayed sync.WaitGroup
		jobs     = make(chan int)
	)
	for range 64 {
		replayed.Go(func() {
			for i := range jobs {
				answer := string(exchangeRaw(t, w.addr, vectors[i].Raw, 5*time.Second))
				mu.Lock()
				answers[i] = answer
				mu.Unlock()
			}
		})
	}
	for i := range vectors {
		jobs <- i
	}
	close(jobs)
	replayed.Wait()

	if _, dirty := up.take(); len(dirty) > 0 {
		t.Errorf("%d dirty forwards:\n%s", len(dirty), strings.Join(dirty, "\n"))
	}
	excused, refused := 0, 0
	for i, v := range vectors {
		status := statusOf(answers[i])
		served := status >= 200 && status < 300 || status == 417 // an expectation nobody knows
		switch {
		case v.Expect == "accept" && !served:
			refused++
			if strict(v, status) == "" {
				t.Errorf("%s %s (%s) was answered %d: %q\n%s", v.Suite, v.ID, v.Note, status, v.Raw, answers[i])
			}
		case v.Expect == "reject" && status >= 200 && status < 300:
			excused++
			if tolerated(v) == "" {
				t.Errorf("%s %s (%s) was answered %d: %q", v.Suite, v.ID, v.Note, status, v.Raw)
			}
		}
	}
	t.Logf("%d vectors: %d forwarded clean where others refuse, %d refused where others accept", len(vectors), excused, refused)
}
