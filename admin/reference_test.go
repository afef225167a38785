package admin_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"keystone-gateway/proxy"
	"keystone-gateway/reloader"
)

// Every page that the reference describes is there.
func TestReferencePages(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "docs", "reference", "admin.md"))
	if err != nil {
		t.Fatal(err)
	}
	r := &asker{reload: func(context.Context) (*reloader.Attempt, error) {
		return &reloader.Attempt{Result: reloader.Unchanged}, nil
	}}
	a := open(t, options(&server{generation: proxy.NewGeneration(1, slotsOf(build(t)))}, r))
	pages := regexp.MustCompile("(?m)^\\*\\*`(GET|POST) ([^`?\\[]+)").FindAllStringSubmatch(string(text), -1)
	if len(pages) < 10 {
		t.Errorf("the reference describes %d pages: %v", len(pages), pages)
	}
	for _, page := range pages {
		path := strings.NewReplacer("{base}", "/admin", "{name}", "shop").Replace(page[2])
		if w := ask(t, a, page[1], path, "", nil); w.Code != http.StatusOK {
			t.Errorf("%s %s: status %d", page[1], page[2], w.Code)
		}
	}
}
