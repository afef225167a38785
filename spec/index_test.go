package spec_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keystone-gateway/spec"
)

func TestIndex(t *testing.T) {
	got, err := spec.Index([]byte(`# settings
server:
  listen: ":8080"
  trusted_proxies: [10.0.0.0/8, 192.168.0.0/16]
tenants:
  - name: a
    domains: &d [a.example]
  - {name: b, domains: *d}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]spec.Place{
		"server":                    {Line: 2, Column: 1},
		"server.listen":             {Line: 3, Column: 3},
		"server.trusted_proxies":    {Line: 4, Column: 3},
		"server.trusted_proxies[0]": {Line: 4, Column: 21},
		"server.trusted_proxies[1]": {Line: 4, Column: 33},
		"tenants":                   {Line: 5, Column: 1},
		"tenants[0]":                {Line: 6, Column: 5},
		"tenants[0].name":           {Line: 6, Column: 5},
		"tenants[0].domains":        {Line: 7, Column: 5},
		"tenants[0].domains[0]":     {Line: 7, Column: 18},
		"tenants[1]":                {Line: 8, Column: 5},
		"tenants[1].name":           {Line: 8, Column: 6},
		"tenants[1].domains":        {Line: 8, Column: 15},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("index (-want +got):\n%s", diff)
	}
}

func TestIndexOfWhatIsNoSettings(t *testing.T) {
	tests := []struct {
		name, data, want string
		line             int
	}{
		{"syntax", "a: 1\nb: [\n", "did not find expected", 2},
		{"a list", "\n- a\n", "expected a mapping", 2},
		{"a word", "a", "expected a mapping", 1},
		{"two documents", "a: 1\n---\nb: 2\n", "more than one document", 3},
		{"depth", strings.Repeat("[", 100) + strings.Repeat("]", 100), "expected a mapping", 1},
		{"depth below a key", "a: " + strings.Repeat("[", 100) + strings.Repeat("]", 100), "too deeply", 1},
		{"not text", "a: 1\nb: \xff\n", "not UTF-8", 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := spec.Index([]byte(tt.data))
			syntax, ok := errors.AsType[*spec.SyntaxError](err)
			if !ok || !strings.Contains(syntax.What, tt.want) || syntax.Place.Line != tt.line {
				t.Errorf("got %v, want line %d, %q", err, tt.line, tt.want)
			}
		})
	}
	for _, nothing := range []string{"", "# a comment\n", "---\n"} {
		if places, err := spec.Index([]byte(nothing)); err != nil || len(places) != 0 {
			t.Errorf("%q: %v, %v", nothing, places, err)
		}
	}
}
