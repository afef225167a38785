package telemetry_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"keystone-gateway/internal/telemetry"
)

// The reference describes exactly the metrics that there are.
func TestReferenceNamesEveryMetric(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics()
	m.Tenant("shop").Request(200, time.Millisecond)
	m.Tenant("shop").Upstream("default", "ok")
	m.Tenant("shop").LuaCall("ok")
	m.Stage("total", time.Second)
	m.Applied("aaa", 1)
	m.Observe(func() telemetry.Observed {
		return telemetry.Observed{
			TenantState:     []telemetry.Sample{{Tenant: "shop"}},
			UpstreamHealthy: []telemetry.Sample{{Tenant: "shop", Upstream: "default", Server: "a"}},
		}
	})
	var registered []string
	for _, line := range scrape(t, m, "# TYPE keystone_") {
		registered = append(registered, strings.Fields(line)[2])
	}

	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "reference", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	var described []string
	for line := range strings.Lines(string(page)) {
		if rest, ok := strings.CutPrefix(line, "| `keystone_"); ok {
			name, _, _ := strings.Cut(rest, "`")
			name, _, _ = strings.Cut(name, "{")
			described = append(described, "keystone_"+name)
		}
	}
	slices.Sort(described)
	check(t, "docs/reference/metrics.md", described, registered)
}

// Every record that the reference describes is written somewhere, under the
// very same words.
func TestReferenceLogMessages(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	page, err := os.ReadFile(filepath.Join(root, "docs", "reference", "logs.md"))
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	if err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := os.ReadFile(path)
		source.Write(data)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	described := regexp.MustCompile("(?m)^\\| `([a-z ]+)` \\|").FindAllStringSubmatch(string(page), -1)
	if len(described) < 15 {
		t.Errorf("the reference describes %d messages: %q", len(described), described)
	}
	for _, message := range described {
		if !strings.Contains(source.String(), strconv.Quote(message[1])) {
			t.Errorf("nothing writes %q", message[1])
		}
	}
}
