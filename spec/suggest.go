package spec

import (
	"iter"
	"slices"
	"strconv"
	"strings"
)

// didYouMean is the hint that names the candidate closest to word, or "" when
// none is close. Equally close ones are decided by the alphabet.
func didYouMean(word string, candidates iter.Seq[string]) string {
	best, least := "", max(1, len(word)/3)+1
	for c := range candidates {
		switch n := distance(strings.ToLower(word), strings.ToLower(c), least); {
		case n < least, n == least && best != "" && c < best:
			best, least = c, n
		}
	}
	if best == "" {
		return ""
	}
	return "did you mean " + strconv.Quote(best) + "?"
}

// oneOf is the hint for a closed set: the closest member, else all of them.
func oneOf(word string, set []string) string {
	if hint := didYouMean(word, slices.Values(set)); hint != "" {
		return hint
	}
	return "known: " + strings.Join(set, ", ")
}

// distance is Levenshtein's with swapped neighbours as one step, or more than
// limit as soon as that is certain.
func distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, above, row = above, row, before
		row[0] = i + 1
		for j := range len(b) {
			change := 1
			if a[i] == b[j] {
				change = 0
			}
			row[j+1] = min(above[j+1]+1, row[j]+1, above[j]+change)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
