package proxy

import (
	"fmt"
	"strings"
	"testing"

	"keystone-gateway/spec"
)

// slotFor makes a slot that serves, named after its claims.
func slotFor(claims ...string) *Slot {
	s := &Slot{Name: strings.Join(claims, " "), Tenant: &Tenant{}, State: Current}
	for _, c := range claims {
		host, prefix, _ := strings.Cut(c, "/")
		if prefix != "" || host == "" {
			prefix = "/" + prefix
		}
		s.Claims = append(s.Claims, spec.Claim{Host: host, Prefix: prefix})
	}
	return s
}

func TestMatch(t *testing.T) {
	t.Parallel()
	g := NewGeneration(1, []*Slot{
		slotFor("shop.example.com"),
		slotFor("shop.example.com/api"),
		slotFor("shop.example.com/api/v2"),
		slotFor("*.example.com"),
		slotFor("*.eu.example.com/only"),
		slotFor("prefixed.example.com/only"),
		slotFor("xn--bcher-kva.example"),
		slotFor("[::1]"),
		slotFor("/"),
		slotFor("/open"),
	})
	tests := []struct{ name, host, path, want string }{
		{"the exact host", "shop.example.com", "/", "shop.example.com"},
		{"the longest prefix", "shop.example.com", "/api/v2/x", "shop.example.com/api/v2"},
		{"a shorter prefix", "shop.example.com", "/api/v3", "shop.example.com/api"},
		{"the prefix itself", "shop.example.com", "/api", "shop.example.com/api"},
		{"the prefix with a slash", "shop.example.com", "/api/", "shop.example.com/api"},
		{"whole segments only", "shop.example.com", "/apiary", "shop.example.com"},
		{"a wildcard of one label", "a.example.com", "/", "*.example.com"},
		{"a wildcard of several labels", "a.b.example.com", "/", "*.example.com"},
		{"a wildcard is not its own host", "example.com", "/", "/"},
		{"the longer wildcard", "x.eu.example.com", "/only/a", "*.eu.example.com/only"},
		{"the next shorter wildcard where no prefix fits", "x.eu.example.com", "/other", "*.example.com"},
		{"a wildcard where the exact host has no prefix that fits", "prefixed.example.com", "/other", "*.example.com"},
		{"punycode", "xn--bcher-kva.example", "/x", "xn--bcher-kva.example"},
		{"an IPv6 literal", "[::1]", "/", "[::1]"},
		{"no host known: by prefix", "other.org", "/open/x", "/open"},
		{"no host known: the catch-all", "other.org", "/x", "/"},
		{"a host before a prefix without one", "shop.example.com", "/open", "shop.example.com"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := "none"
			if s := g.index.match(tt.host, tt.path); s != nil {
				got = s.Name
			}
			if got != tt.want {
				t.Errorf("match(%q, %q) = %s, want %s", tt.host, tt.path, got, tt.want)
			}
		})
	}
}

func TestASlotWithoutATenantYields(t *testing.T) {
	t.Parallel()
	out := slotFor("a.example")
	out.Name, out.Tenant, out.State = "out", nil, Invalid
	serving := slotFor("a.example")
	for _, order := range [][]*Slot{{out, serving}, {serving, out}} {
		if got := NewGeneration(1, order).index.match("a.example", "/"); got != serving {
			t.Errorf("matched %q", got.Name)
		}
	}
	if got := NewGeneration(1, []*Slot{out}).index.match("a.example", "/"); got != out {
		t.Error("the claims of a slot without a tenant are not kept")
	}
}

// naiveMatch is the contract's wording, claim by claim.
func naiveMatch(slots []*Slot, host, path string) *Slot {
	fits := func(prefix string) bool {
		return prefix == "" || prefix == "/" || path == prefix || strings.HasPrefix(path, prefix+"/")
	}
	var best *Slot
	var bestRank [2]int
	for _, s := range slots {
		for _, c := range s.Claims {
			rank := [2]int{0, len(strings.TrimSuffix(c.Prefix, "/"))}
			switch suffix, wild := strings.CutPrefix(c.Host, "*"); {
			case c.Host == host:
				rank[0] = 1 << 20
			case wild && strings.HasSuffix(host, suffix) && len(host) > len(suffix):
				rank[0] = len(suffix)
			case c.Host != "":
				continue
			}
			if fits(c.Prefix) && (best == nil || rank[0] > bestRank[0] || rank[0] == bestRank[0] && rank[1] > bestRank[1]) {
				best, bestRank = s, rank
			}
		}
	}
	return best
}

func FuzzMatch(f *testing.F) {
	f.Add("a.b.c c.b.c/x *.b.c/x/y *.c / /x", "a.b.c", "/x/y")
	f.Add("*.b/x *.b a.b/y /", "a.b", "/z")
	f.Fuzz(func(t *testing.T, table, host, path string) {
		path, err := CanonicalPath(path)
		if err != nil {
			return
		}
		host, _, err = canonicalHost(host)
		if err != nil {
			return
		}
		var slots []*Slot
		seen := make(map[spec.Claim]bool)
		for field := range strings.FieldsSeq(table) {
			s := slotFor(field)
			c := &s.Claims[0]
			if c.Prefix, err = CanonicalPath("/" + c.Prefix); err != nil {
				continue
			}
			if c.Prefix = strings.TrimSuffix(c.Prefix, "/"); c.Prefix == "" && c.Host == "" {
				c.Prefix = "/"
			}
			if name := strings.TrimPrefix(c.Host, "*."); c.Host != "" && !validHostname(name) || seen[*c] {
				continue
			}
			seen[*c] = true
			slots = append(slots, s)
		}
		got, want := NewGeneration(1, slots).index.match(host, path), naiveMatch(slots, host, path)
		if got != want {
			t.Fatalf("match(%q, %q) in %q: got %+v, want %+v", host, path, table, got, want)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	for _, tenants := range []int{10, 10_000} {
		slots := make([]*Slot, 0, 2*tenants)
		for i := range tenants {
			slots = append(slots, slotFor(fmt.Sprintf("t%d.example.com", i), fmt.Sprintf("*.t%d.example.com/api", i)))
			slots = append(slots, slotFor(fmt.Sprintf("/p%d/v1", i)))
		}
		g := NewGeneration(1, slots)
		for _, c := range []struct{ name, host, path string }{
			{"exact", "t7.example.com", "/api/v1/users/17"},
			{"wildcard", "a.b.t7.example.com", "/api/v1/users/17"},
			{"prefix", "other.example.org", "/p7/v1/users/17"},
		} {
			b.Run(fmt.Sprintf("%s/tenants=%d", c.name, tenants), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if g.index.match(c.host, c.path) == nil {
						b.Fatal("no match")
					}
				}
			})
		}
	}
}
