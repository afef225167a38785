package spec

import (
	"slices"
	"testing"
)

func TestDidYouMean(t *testing.T) {
	tests := []struct {
		name, word string
		candidates []string
		want       string
	}{
		{"one letter more", "carts", []string{"cart", "search"}, "cart"},
		{"one letter less", "domain", []string{"domains", "name"}, "domains"},
		{"swapped letters", "naem", []string{"lua", "name"}, "name"},
		{"another case", "PathPrefix", []string{"path_prefix"}, "path_prefix"},
		{"nothing close", "colour", []string{"name", "domains"}, ""},
		{"a short word", "ab", []string{"xy"}, ""},
		{"no candidates", "a", nil, ""},
		{"equally close", "b", []string{"c", "a"}, "a"},
		{"equally close, the other way round", "b", []string{"a", "c"}, "a"},
		{"closer wins over earlier", "abcdef", []string{"abxyef", "abcdex"}, "abcdex"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := tt.want
			if want != "" {
				want = `did you mean "` + want + `"?`
			}
			if got := didYouMean(tt.word, slices.Values(tt.candidates)); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
