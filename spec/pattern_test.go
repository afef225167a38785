package spec_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"keystone-gateway/spec"
)

// patterns that are right, as seeds and as a table.
func goodPatterns() []string {
	return []string{
		"/", "/*", "/a", "/a/", "/a/*", "/a*", "/{id}", "/{id}/*", "/users/{id}/orders/{order_id}",
		"/v{n:[0-9]+}/x", "/{file}.{ext}", "/{a}-{b}", "/{id:[0-9]{2,4}}", "/{id:^[a-z]+$}", "/{id:(a|b)}",
		"/{id:[|]}", `/{id:a\|b}`, "/{id:[]|]}", "/{id:[^]|]}", "/{id:[a-z]*}", "/{a:x}:{b:y}", "/caf%C3%A9", "/a@b;c=d,e", "/.well-known/*", "/..a",
	}
}

func TestPatternsThatAreRight(t *testing.T) {
	for _, p := range goodPatterns() {
		if err := spec.CheckPattern(p); err != nil {
			t.Errorf("%s: %v", p, err)
		}
		register(t, p)
	}
}

func TestPatternsThatAreWrong(t *testing.T) {
	tests := []struct{ name, pattern, want string }{
		{"empty", "", "empty"},
		{"no slash", "a", "slash"},
		{"parameter first", "{id}", "slash"},
		{"brace never closed", "/{id", "{ without a }"},
		{"brace never opened", "/id}", "} without a {"},
		{"brace in an expression", "/{id:[{]}", "{ without a }"},
		{"brace escaped in an expression", `/{id:\}}`, "} without a {"},
		{"no name", "/{}", "without a name"},
		{"no name but an expression", "/{:[0-9]}", "without a name"},
		{"name of digits", "/{1}", `named "1"`},
		{"name with a space", "/{a b}", `named "a b"`},
		{"wildcard as a name", "/{*}", `named "*"`},
		{"same name twice", "/{a}/{a}", "two parameters"},
		{"same name twice with an expression", "/{a}/{a:x}", "two parameters"},
		{"empty expression", "/{a:}", "empty expression"},
		{"space in an expression", "/{a:x y}", "no path has"},
		{"umlaut in an expression", "/{a:ä}", "no path has"},
		{"broken expression", "/{a:[}", "broken expression"},
		{"broken repetition", "/{a:x{2,1}}", "broken expression"},
		{"look-ahead", "/{a:(?=x)}", "broken expression"},
		{"alternatives that are not grouped", "/{a:x|y}", "not grouped"},
		{"alternatives after a group", "/{a:(x)|y}", "not grouped"},
		{"alternatives after a class", "/{a:[x]|y}", "not grouped"},
		{"wildcard in the middle", "/*/a", "not at its end"},
		{"two wildcards", "/**", "not at its end"},
		{"wildcard after a parameter", "/{a}*", "nothing between"},
		{"parameters side by side", "/{a}{b}", "nothing between"},
		{"empty segment", "/a//b", "empty segment"},
		{"dot segment", "/a/./b", "dot segment"},
		{"dot segment after a parameter", "/{a}/../b", "dot segment"},
		{"query", "/a?b=c", "more than a path"},
		{"fragment", "/a#b", "more than a path"},
		{"space", "/a b", "does not stand in a path"},
		{"not ASCII", "/é", "not ASCII"},
		{"escape of a letter", "/%41", "is decoded"},
		{"escape in lower case", "/%c3%a9", "lower case"},
		{"escape of a slash", "/a%2Fb", "is refused"},
		{"broken escape", "/%", "broken escape"},
		{"escape made of a parameter", "/%2{a}", "broken escape"},
		{"too long", "/" + strings.Repeat("a", 9000), "too long"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := spec.CheckPattern(tt.pattern)
			if err == nil {
				t.Fatalf("%q is taken", tt.pattern)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%q: got %q, want it to say %q", tt.pattern, err, tt.want)
			}
			if plain := strings.Count(tt.pattern, "x"); plain == 0 && strings.Contains(err.Error(), "/x") {
				t.Errorf("%q: %q shows what the tenant did not write", tt.pattern, err)
			}
		})
	}
}

// FuzzCheckPattern holds what is taken to what chi takes without a panic, and
// to what it then finds again.
func FuzzCheckPattern(f *testing.F) {
	for _, p := range goodPatterns() {
		f.Add(p)
	}
	for _, p := range []string{"/{", "/}", "/{a:[{]}", "/{a:x|y}", "/*{a}", "/{a}{b}", "/{a:(?i)x}", `/{a:\Q|\E}`} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if spec.CheckPattern(p) == nil {
			register(t, p)
		}
	})
}

// register gives p to a chi router, alone and beside others.
func register(t *testing.T, p string) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			t.Errorf("chi refuses %q: %v", p, r)
		}
	}()
	answer := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	alone := chi.NewRouter()
	alone.Handle(p, answer)
	alone.Get(p, answer)
	if got := alone.Routes(); len(got) != 1 || got[0].Pattern != p {
		t.Errorf("chi has %q as %v", p, got)
	}
	beside := chi.NewRouter()
	beside.Get("/*", answer)
	beside.Get("/{other}", answer)
	beside.Get("/a/{other:[0-9]+}/b", answer)
	beside.Post(p, answer)
	beside.Put(p, answer)
}
