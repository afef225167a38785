package reloader

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"keystone-gateway/internal/telemetry"
	"keystone-gateway/lua"
	"keystone-gateway/proxy"
	"keystone-gateway/proxy/upstream"
	"keystone-gateway/repo"
	"keystone-gateway/spec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeSource is a repository in memory.
type fakeSource struct {
	mu       sync.Mutex
	snapshot *repo.Snapshot
	err      error
	hang     chan struct{} // Fetch waits for it when set
	entered  chan struct{} // told of each Fetch
	fetches  int
	nudges   chan repo.Trigger
}

func newFakeSource() *fakeSource {
	return &fakeSource{nudges: make(chan repo.Trigger), entered: make(chan struct{}, 100)}
}

// refusedEntry is the content of what a source cannot take.
const refusedEntry = "\x00refused"

func (s *fakeSource) commit(id string, files map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tree, hashes, refused := make(fstest.MapFS), make(map[string]string), make(map[string]string)
	for name, text := range files {
		if text == refusedEntry {
			refused[name] = "a symbolic link"
			continue
		}
		tree[name] = &fstest.MapFile{Data: []byte(text)}
		sum := sha256.Sum256([]byte(text))
		hashes[name] = hex.EncodeToString(sum[:])
	}
	s.snapshot = &repo.Snapshot{Revision: repo.Revision{ID: id, Author: "a", Subject: "s"}, FS: tree, Hashes: hashes, Refused: refused}
}

func (s *fakeSource) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *fakeSource) Watch(ctx context.Context, nudge func(repo.Trigger)) error {
	for {
		select {
		case t := <-s.nudges:
			nudge(t)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *fakeSource) Fetch(ctx context.Context) (*repo.Snapshot, error) {
	s.mu.Lock()
	s.fetches++
	hang := s.hang
	s.mu.Unlock()
	s.entered <- struct{}{}
	if hang != nil {
		select {
		case <-hang:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.snapshot, s.err
}

func (s *fakeSource) Contains(string) bool { return false }
func (s *fakeSource) String() string       { return "memory" }
func (s *fakeSource) Close() error         { return nil }

// world is a reloader that runs, over a source in memory.
type world struct {
	t      *testing.T
	source *fakeSource
	*Reloader
	server *proxy.Server
	log    *syncBuffer
}

func newWorld(t *testing.T, policy Policy) *world {
	t.Helper()
	w := &world{t: t, source: newFakeSource(), log: &syncBuffer{}}
	logger := telemetry.NewLogger(w.log, -4, "json")
	registry := upstream.NewRegistry(upstream.Options{Log: logger})
	metrics := telemetry.NewMetrics()
	w.server = proxy.New(proxy.Options{Metrics: metrics, Log: logger})
	w.Reloader = New(Options{
		Source: w.source,
		Builder: proxy.NewBuilder(proxy.BuilderOptions{
			Registry: registry, Cache: lua.NewCache(), States: lua.NewStates(0), Metrics: metrics, Log: logger,
		}),
		Server: w.server,
		Input: spec.Input{Tenants: "tenants", Scripts: "scripts", Defaults: spec.Defaults{
			RequestLimits: spec.RequestLimits{MaxBodySize: 1 << 20, MaxHeaderSize: 1 << 16, MaxHeaders: 100, MaxURLSize: 8192},
			Lua:           spec.LuaLimits{Instructions: 1e6, AllocPerCall: 1 << 24, Timeout: 5 * time.Second},
			DrainTimeout:  time.Second, MaxDrainTimeout: time.Minute,
		}},
		Policy: policy, Metrics: metrics, Log: logger,
	})
	return w
}

// start runs the reloader until the test ends.
func (w *world) start() {
	ctx, cancel := context.WithCancel(w.t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = w.Run(ctx) })
	running.Go(func() { _ = w.server.Run(ctx) })
	w.t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

func (w *world) reload(allowEmpty bool) *Attempt {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	a, err := w.Reload(ctx, repo.TriggerAdmin, allowEmpty)
	if err != nil {
		w.t.Fatalf("reload: %v", err)
	}
	return a
}

// take commits files and reloads.
func (w *world) take(id string, files map[string]string) *Attempt {
	w.t.Helper()
	w.source.commit(id, files)
	return w.reload(false)
}

// slots are name=state pairs of what serves.
func (w *world) slots() string {
	generation, revision := w.server.Applied()
	if generation == nil {
		return "nothing"
	}
	parts := []string{fmt.Sprintf("%s#%d", revision, generation.Number())}
	slots := generation.Slots()
	for _, name := range slices.Sorted(maps.Keys(slots)) {
		part := name + "=" + string(slots[name].State)
		if kept := slots[name].Kept; kept != "" {
			part += "@" + kept
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, " ")
}

func tenantYAML(name, host, body string) string {
	return fmt.Sprintf("tenants:\n  - name: %s\n    domains: [%s]\n    routes:\n      - {match: {path: /}, respond: {status: 200, body: %q}}\n", name, host, body)
}

func TestAttempts(t *testing.T) {
	good := map[string]string{"tenants/a.yaml": tenantYAML("a", "a.test", "1"), "tenants/b.yaml": tenantYAML("b", "b.test", "1")}
	with := func(changes map[string]string) map[string]string {
		files := maps.Clone(good)
		for name, text := range changes {
			if text == "" {
				delete(files, name)
				continue
			}
			files[name] = text
		}
		return files
	}
	const broken = "tenants:\n  - name: a\n    domains: [a.test]\n    colour: blue\n"
	type step struct {
		id     string
		files  map[string]string
		result Result
		slots  string
	}
	cases := []struct {
		name   string
		policy Policy
		steps  []step
	}{
		{name: "an unrelated commit moves the label and nothing else", steps: []step{
			{"r1", good, Applied, "r1#1 a=current b=current"},
			{"r2", with(map[string]string{"scripts/unused.lua": "return 1"}), Unchanged, "r2#1 a=current b=current"},
		}},
		{name: "a broken tenant is kept and a good change beside it goes live", steps: []step{
			{"r1", good, Applied, "r1#1 a=current b=current"},
			{"r2", with(map[string]string{"tenants/a.yaml": broken, "tenants/b.yaml": tenantYAML("b", "b.test", "2")}), Applied, "r2#2 a=stale@r1 b=current"},
			{"r3", good, Applied, "r3#3 a=current b=current"},
		}},
		{name: "a revision of which nothing could be taken is rejected, and so is the same tree again", steps: []step{
			{"r1", good, Applied, "r1#1 a=current b=current"},
			{"r2", with(map[string]string{"tenants/a.yaml": broken}), Rejected, "r1#1 a=stale@r1 b=current"},
			{"r3", with(map[string]string{"tenants/a.yaml": broken, "scripts/x.lua": "return"}), Rejected, "r1#1 a=stale@r1 b=current"},
			{"r4", good, Applied, "r4#2 a=current b=current"},
		}},
		{name: "a tenant that stays broken does not hold up later commits", steps: []step{
			{"r1", good, Applied, "r1#1 a=current b=current"},
			{"r2", with(map[string]string{"tenants/a.yaml": broken, "tenants/b.yaml": tenantYAML("b", "b.test", "2")}), Applied, "r2#2 a=stale@r1 b=current"},
			{"r3", with(map[string]string{"tenants/a.yaml": broken, "tenants/b.yaml": tenantYAML("b", "b.test", "3")}), Applied, "r3#3 a=stale@r1 b=current"},
			{"r4", with(map[string]string{"tenants/a.yaml": broken, "tenants/b.yaml": tenantYAML("b", "b.test", "3"), "scripts/x.lua": "return"}), Unchanged, "r4#3 a=stale@r1 b=current"},
		}},
		{name: "a new file that cannot be parsed is rejected and forgotten with its removal", steps: []step{
			{"r1", good, Applied, "r1#1 a=current b=current"},
			{"r2", with(map[string]string{"tenants/c.yaml": "tenants: ["}), Rejected, "r1#1 a=current b=current"},
			{"r3", good, Unchanged, "r3#1 a=current b=current"},
		}},
		{name: "a first tree that is all wrong serves nothing", steps: []step{
			{"r1", map[string]string{"tenants/a.yaml": broken}, Rejected, "#0 a=invalid"},
			{"r2", good, Applied, "r2#1 a=current b=current"},
		}},
		{name: "the last tenant is not taken away", steps: []step{
			{"r1", good, Applied, "r1#1 a=current b=current"},
			{"r2", map[string]string{"tenants/a.yaml": "tenants: []"}, Rejected, "r1#1 a=current b=current"},
		}},
		{name: "unless settings say so", policy: Policy{AllowEmpty: true}, steps: []step{
			{"r1", good, Applied, "r1#1 a=current b=current"},
			{"r2", map[string]string{"tenants/a.yaml": "tenants: []"}, Applied, "r2#2"},
		}},
		{name: "on_invalid reject refuses a revision whole", policy: Policy{RejectInvalid: true}, steps: []step{
			{"r1", good, Applied, "r1#1 a=current b=current"},
			{"r2", with(map[string]string{"tenants/a.yaml": broken, "tenants/b.yaml": tenantYAML("b", "b.test", "2")}), Rejected, "r1#1 a=current b=current"},
			{"r3", with(map[string]string{"tenants/b.yaml": tenantYAML("b", "b.test", "3")}), Applied, "r3#2 a=current b=current"},
		}},
		{name: "a file that cannot be read costs its own tenants their change", steps: []step{
			{"r1", good, Applied, "r1#1 a=current b=current"},
			{"r2", with(map[string]string{"tenants/a.yaml": refusedEntry, "tenants/b.yaml": tenantYAML("b", "b.test", "2")}), Applied, "r2#2 a=stale@r1 b=current"},
			{"r3", map[string]string{"tenants": refusedEntry}, Rejected, "r2#2 a=stale@r1 b=stale@r2"},
			{"r4", good, Applied, "r4#3 a=current b=current"},
		}},
		{name: "a removed tenant is gone, and a renamed file changes no tenant", steps: []step{
			{"r1", good, Applied, "r1#1 a=current b=current"},
			{"r2", with(map[string]string{"tenants/b.yaml": ""}), Applied, "r2#2 a=current"},
			{"r3", map[string]string{"tenants/z.yaml": good["tenants/a.yaml"]}, Applied, "r3#3 a=current"},
		}},
		{name: "a newcomer that takes a host loses it to its holder", steps: []step{
			{"r1", good, Applied, "r1#1 a=current b=current"},
			{"r2", with(map[string]string{"tenants/c.yaml": tenantYAML("c", "a.test", "1")}), Rejected, "r1#1 a=current b=current c=invalid"},
			{"r3", with(map[string]string{"tenants/c.yaml": tenantYAML("c", "a.test", "1"), "tenants/a.yaml": tenantYAML("a", "a2.test", "1")}), Applied, "r3#2 a=current b=current c=current"},
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.policy)
			w.source.commit(c.steps[0].id, c.steps[0].files)
			w.start()
			for _, s := range c.steps {
				a := w.take(s.id, s.files)
				if s.id == c.steps[0].id {
					a = w.firstAttempt()
				}
				if a.Result != s.result {
					t.Fatalf("%s: result %s (%s), want %s", s.id, a.Result, a.Err, s.result)
				}
				if diff := cmp.Diff(s.slots, w.slots()); diff != "" {
					t.Fatalf("%s: slots (-want +got):\n%s", s.id, diff)
				}
			}
		})
	}
}

// firstAttempt is what came of the start, from the log: the reload that
// followed it had nothing new.
func (w *world) firstAttempt() *Attempt {
	for _, e := range w.log.events(w.t) {
		switch {
		case e["trigger"] != "start":
		case e["msg"] == "reload applied":
			return &Attempt{Result: Applied}
		case e["msg"] == "reload rejected":
			return &Attempt{Result: Rejected}
		}
	}
	return &Attempt{}
}

func TestUnchangedTenantIsTheSameObject(t *testing.T) {
	w := newWorld(t, Policy{})
	w.source.commit("r1", map[string]string{"tenants/a.yaml": tenantYAML("a", "a.test", "1"), "tenants/b.yaml": tenantYAML("b", "b.test", "1")})
	w.start()
	w.reload(false)
	before, _ := w.server.Applied()
	w.take("r2", map[string]string{"tenants/moved.yaml": tenantYAML("a", "a.test", "1"), "tenants/b.yaml": tenantYAML("b", "b.test", "2")})
	after, _ := w.server.Applied()
	if before.Slots()["a"].Tenant != after.Slots()["a"].Tenant {
		t.Error("a moved to another file and was built again")
	}
	if before.Slots()["b"].Tenant == after.Slots()["b"].Tenant {
		t.Error("b changed and is the same object")
	}
	if got := after.Slots()["a"].File; got != "tenants/moved.yaml" {
		t.Errorf("a's file is %s", got)
	}
}

func TestEventsOfABrokenTenant(t *testing.T) {
	w := newWorld(t, Policy{})
	good := tenantYAML("a", "a.test", "1")
	w.source.commit("r1", map[string]string{"tenants/a.yaml": good})
	w.start()
	w.reload(false)
	w.take("r2", map[string]string{"tenants/a.yaml": good + "    colour: blue\n"})
	w.take("r3", map[string]string{"tenants/a.yaml": good})
	var got []string
	for _, e := range w.log.events(t) {
		if e["trigger"] != "admin" || e["msg"] == "reload started" {
			continue
		}
		line := fmt.Sprint(e["msg"], " ", e["revision"])
		if err, ok := e["err"].(string); ok && e["msg"] == "tenant kept" {
			if !strings.HasPrefix(err, "tenants/a.yaml:6:5: error: ") {
				t.Errorf("err of the kept tenant has no place: %s", err)
			}
			line += fmt.Sprint(" since ", e["since"])
		}
		got = append(got, line)
	}
	want := []string{"reload unchanged r1", "tenant kept r2 since r1", "reload rejected r2", "tenant recovered r3", "reload applied r3"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestSourceTrouble(t *testing.T) {
	w := newWorld(t, Policy{})
	w.source.fail(errors.New("down"))
	w.start()
	if a := w.reload(false); a.Result != Failed || a.Err != "down" {
		t.Fatalf("attempt: %+v", a)
	}
	if s := w.Status(); s.SourceErr != "down" {
		t.Errorf("status: %+v", s)
	}
	w.source.fail(nil)
	w.take("r1", map[string]string{"tenants/a.yaml": tenantYAML("a", "a.test", "1")})
	if s := w.Status(); s.SourceErr != "" || s.Applied != "r1" || s.Head != "r1" {
		t.Errorf("status: %+v", s)
	}
	var got []any
	for _, e := range w.log.events(t) {
		if msg, _ := e["msg"].(string); strings.HasPrefix(msg, "source ") {
			got = append(got, msg)
		}
	}
	if diff := cmp.Diff([]any{"source failing", "source recovered"}, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestAnswersWhileTheSourceHangs(t *testing.T) {
	w := newWorld(t, Policy{})
	w.source.commit("r1", map[string]string{"tenants/a.yaml": tenantYAML("a", "a.test", "1")})
	w.start()
	w.reload(false)
	for len(w.source.entered) > 0 {
		<-w.source.entered
	}
	release := make(chan struct{})
	w.source.mu.Lock()
	w.source.hang = release
	before := w.source.fetches
	w.source.mu.Unlock()

	w.source.nudges <- repo.TriggerPoll
	<-w.source.entered // a fetch hangs now
	if s := w.Status(); s.Applied != "r1" {
		t.Errorf("status while fetching: %+v", s)
	}
	const askers = 50
	var asked sync.WaitGroup
	for range askers {
		asked.Go(func() {
			if a, err := w.Reload(w.t.Context(), repo.TriggerAdmin, false); err != nil || a.Result != Unchanged {
				t.Errorf("reload: %+v, %v", a, err)
			}
		})
	}
	for range askers {
		w.Ask(repo.TriggerSignal) // answered at once, or the test hangs
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Reload(ctx, repo.TriggerAdmin, false); !errors.Is(err, context.Canceled) {
		t.Errorf("a reload nobody waits for: %v", err)
	}
	close(release)
	asked.Wait()
	w.source.mu.Lock()
	defer w.source.mu.Unlock()
	// The one that hung, one for those who asked meanwhile, and at most a few
	// for askers that came late.
	if n := w.source.fetches - before; n < 2 || n > askers {
		t.Errorf("%d fetches for %d askers", n, askers)
	}
}

// syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) events(t *testing.T) []map[string]any {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var events []map[string]any
	for line := range strings.Lines(s.b.String()) {
		e := make(map[string]any)
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		events = append(events, e)
	}
	return events
}
