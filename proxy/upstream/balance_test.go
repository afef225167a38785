package upstream

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// deal picks n times and returns the names.
func deal(b *balancer, n int) string {
	var names strings.Builder
	for range n {
		if m := b.pick(nil); m != nil {
			names.WriteString(m.name)
		} else {
			names.WriteString("-")
		}
	}
	return names.String()
}

func weighted(weights ...int) *balancer {
	b := &balancer{}
	for i, w := range weights {
		name := string(rune('a' + i))
		b.members = append(b.members, &member{
			name: name, weight: w, endpoint: &endpoint{address: address{"http", name + ":80"}},
		})
	}
	return b
}

// down makes member i an unhealthy one.
func (b *balancer) down(i int) { b.members[i].probe = &probe{} }

func TestPicksAreWeightedAndSpread(t *testing.T) {
	tests := []struct {
		name    string
		weights []int
		down    []int
		want    string
	}{
		{"one", []int{7}, nil, "aaa"},
		{"one that is down", []int{7}, []int{0}, "---"},
		{"equal", []int{1, 1, 1}, nil, "abcabc"},
		{"five, one, one", []int{5, 1, 1}, nil, "aabacaaaabacaa"},
		{"two, one", []int{2, 1}, nil, "abaaba"},
		{"one is down", []int{1, 1, 1}, []int{1}, "acac"},
		{"all are down", []int{1, 1}, []int{0, 1}, "--"},
		{"none", nil, nil, "--"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := weighted(test.weights...)
			for _, i := range test.down {
				b.down(i)
			}
			if got := deal(b, len(test.want)); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestPickLeavesOutWhatWasTried(t *testing.T) {
	b := weighted(100, 1, 1)
	var tried []*member
	for range b.members {
		tried = append(tried, b.pick(tried))
	}
	if got := tried[0].name + tried[1].name + tried[2].name; got != "abc" {
		t.Errorf("got %s, want abc", got)
	}
	if m := b.pick(tried); m != nil {
		t.Errorf("got %s, want none", m.name)
	}
	if one := weighted(1); one.pick(one.members) != nil {
		t.Error("a single server is picked twice")
	}
}

func TestPicksAreExactUnderConcurrency(t *testing.T) {
	const goroutines, rounds = 8, 250
	b := weighted(1, 3, 4)
	counts := make([]map[string]int, goroutines)
	var all sync.WaitGroup
	for i := range goroutines {
		counts[i] = make(map[string]int)
		all.Go(func() {
			for range rounds {
				counts[i][b.pick(nil).name]++
			}
		})
	}
	all.Wait()
	got := make(map[string]int)
	for _, c := range counts {
		for name, n := range c {
			got[name] += n
		}
	}
	want := map[string]int{"a": 250, "b": 750, "c": 1000}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestANewVersionGoesOnWhereTheOldOneIs(t *testing.T) {
	r := newRegistry(t, Options{})
	web := func() *Pool { return r.NewPool("shop", upstreamOf("a:80", "b:80", "c:80")) }
	names := func(p *Pool, n int) string { return deal(&p.serving.Load().balancer, n) }

	first := web()
	first.Start()
	if got := names(first, 1); got != "a" {
		t.Fatalf("got %s, want a", got)
	}
	second := web()
	second.Start()
	if got := names(second, 1); got != "b" {
		t.Errorf("the second version starts at %s, want b", got)
	}
	first.Close()
	third := r.NewPool("shop", upstreamOf("a:80", "b:80", "c:80", "d:80"))
	third.Start()
	if got := names(third, 1); got != "c" {
		t.Errorf("the third version starts at %s, want c", got)
	}
	other := r.NewPool("blog", upstreamOf("a:80", "b:80", "c:80"))
	other.Start()
	if got := names(other, 1); got != "a" {
		t.Errorf("another tenant starts at %s, want a", got)
	}
	for _, p := range []*Pool{second, third, other} {
		p.Close()
	}
	if got := len(r.running); got != 0 {
		t.Errorf("%d pools are remembered, want 0", got)
	}
	fourth := web()
	fourth.Start()
	defer fourth.Close()
	if got := names(fourth, 1); got != "a" {
		t.Errorf("after all were closed it starts at %s, want a", got)
	}
}

func TestADebtAtAnOldWeightDoesNotStarve(t *testing.T) {
	old := weighted(1000, 1000)
	deal(old, 1) // a owes 1000
	b := weighted(1, 1)
	b.adopt(old)
	got := map[string]int{}
	for name := range strings.SplitSeq(deal(b, 100), "") {
		got[name]++
	}
	if got["a"] < 48 {
		t.Errorf("of 100 picks a got %d", got["a"])
	}
}
