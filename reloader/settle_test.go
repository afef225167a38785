package reloader

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keystone-gateway/spec"
)

// Trees and holds are written as "name: claim claim" with a claim as
// host/prefix ("/p" alone is a tenant without domains). Of a wish, "!" before
// the name says that it failed; of a hold, "@file" after it names its file.
type settleCase struct {
	name string
	now  []string
	next []string
	// files of the new tree; "!" broken, "+" new or changed. Each wish's and
	// hold's file "name.yaml" is there, parsed and unchanged, unless listed,
	// with "-" for gone.
	files []string
	want  string // "a=new b=kept c=out d=gone", sorted
}

func TestSettle(t *testing.T) {
	cases := []settleCase{
		{name: "a first tree is taken", next: []string{"a: x", "b: y"}, want: "a=new b=new"},
		{name: "a failed newcomer is out", next: []string{"!a: x", "b: y"}, want: "a=out b=new"},
		{name: "a failed change is kept", now: []string{"a: x"}, next: []string{"!a: x2"}, want: "a=kept"},
		{name: "a removed tenant is gone", now: []string{"a: x", "b: y"}, next: []string{"a: x"}, want: "a=new b=gone"},
		{name: "two newcomers with one claim both fail", next: []string{"a: x", "b: x", "c: y"}, want: "a=out b=out c=new"},
		{name: "the present holder keeps what a newcomer claims", now: []string{"a: x"}, next: []string{"a: x y", "b: x"}, want: "a=new b=out"},
		{name: "an unchanged tenant holds against a changed one", now: []string{"a: x", "b: y"}, next: []string{"a: x", "b: x y"}, want: "a=new b=kept"},
		{name: "a kept version beats a new claim", now: []string{"a: x"}, next: []string{"!a: y", "b: x"}, want: "a=kept b=out"},
		{name: "a host that moves is no conflict", now: []string{"a: x y", "b: z"}, next: []string{"a: y", "b: z x"}, want: "a=new b=new"},
		{name: "if the giver fails, the taker is kept too", now: []string{"a: x y", "b: z"}, next: []string{"!a: y", "b: z x"}, want: "a=kept b=kept"},
		{name: "if the taker fails, nobody has the host", now: []string{"a: x y", "b: z"}, next: []string{"a: y", "!b: z x"}, want: "a=new b=kept"},
		{name: "a swap of hosts", now: []string{"a: x", "b: y"}, next: []string{"a: y", "b: x"}, want: "a=new b=new"},
		{name: "a swap of hosts fails as one", now: []string{"a: x", "b: y"}, next: []string{"a: y", "!b: x"}, want: "a=kept b=kept"},
		{
			name: "a chain of moves falls back to its end",
			now:  []string{"a: x", "b: y", "c: z"}, next: []string{"!a: w", "b: x", "c: y"},
			want: "a=kept b=kept c=kept",
		},
		{
			name: "a chain stops where nothing is lost",
			now:  []string{"a: x", "b: y", "c: z"}, next: []string{"!a: w", "b: x", "c: z v"},
			want: "a=kept b=kept c=new",
		},
		{name: "the same host with another prefix is another claim", next: []string{"a: x/p", "b: x/q", "c: x"}, want: "a=new b=new c=new"},
		{name: "path tenants conflict too", now: []string{"a: /api"}, next: []string{"a: /api", "b: /api"}, want: "a=new b=out"},
		{name: "a renamed tenant takes over", now: []string{"a: x"}, next: []string{"b: x"}, want: "a=gone b=new"},
		{name: "a vanished tenant stays while its heir fails", now: []string{"a: x"}, next: []string{"!b: x"}, want: "a=kept b=out"},
		{name: "by host, whatever the prefix", now: []string{"a: x"}, next: []string{"!b: x/p"}, want: "a=kept b=out"},
		{name: "both who shared the host stay", now: []string{"a: x/p", "b: x/q"}, next: []string{"!c: x"}, want: "a=kept b=kept c=out"},
		{name: "an heir of another host does not bring it back", now: []string{"a: x"}, next: []string{"!b: y", "c: z"}, want: "a=gone b=out c=new"},
		{
			name: "the heir fails by losing a claim, and the vanished one stays",
			now:  []string{"a: x", "c: y"}, next: []string{"b: x y", "c: y"},
			want: "a=kept b=out c=new",
		},
		{name: "a broken file keeps its tenants", now: []string{"a@f: x", "b@f: y"}, files: []string{"!f"}, want: "a=kept b=kept"},
		{name: "unless another file defines one", now: []string{"a@f: x", "b@f: y"}, next: []string{"b: y2"}, files: []string{"!f"}, want: "a=kept b=new"},
		{name: "a file that is gone takes its tenants along", now: []string{"a@f: x"}, files: []string{"-f"}, want: "a=gone"},
		{name: "but not beside a file that just broke", now: []string{"a@f: x"}, files: []string{"-f", "!+g"}, want: "a=kept"},
		{name: "one broken for long does not count", now: []string{"a@f: x"}, files: []string{"-f", "!g"}, want: "a=gone"},
		{name: "who was kept so stays while it is broken", now: []string{"a@f?: x"}, files: []string{"-f", "!g"}, want: "a=kept"},
		{name: "and is gone when nothing is broken", now: []string{"a@f?: x"}, files: []string{"-f"}, want: "a=gone"},
		{name: "a file that parses without it removes it", now: []string{"a@f: x"}, files: []string{"f", "!+g"}, want: "a=gone"},
		{name: "a kept tenant of a broken file beats a new claim", now: []string{"a@f: x"}, next: []string{"b: x"}, files: []string{"!f"}, want: "a=kept b=out"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			next, now := c.parse()
			if diff := cmp.Diff(c.want, show(settle(next, now))); diff != "" {
				t.Errorf("settle (-want +got):\n%s", diff)
			}
		})
	}
}

func (c settleCase) parse() (tree, map[string]hold) {
	next := tree{wishes: make(map[string]wish), files: make(map[string]fileState)}
	now := make(map[string]hold)
	for _, line := range c.now {
		name, claims := parseLine(line)
		name, file, named := strings.Cut(name, "@")
		if !named {
			file = name + ".yaml"
			next.files[file] = fileState{}
		}
		file, orphan := strings.CutSuffix(file, "?")
		now[name] = hold{claims: claims, file: file, orphan: orphan}
	}
	for _, line := range c.next {
		name, claims := parseLine(line)
		name, bad := strings.CutPrefix(name, "!")
		next.wishes[name] = wish{claims: claims, ok: !bad}
		next.files[name+".yaml"] = fileState{}
	}
	for _, f := range c.files {
		f, broken := strings.CutPrefix(f, "!")
		f, changed := strings.CutPrefix(f, "+")
		if f, absent := strings.CutPrefix(f, "-"); absent {
			delete(next.files, f)
			continue
		}
		next.files[f] = fileState{broken: broken, changed: changed}
	}
	return next, now
}

func parseLine(line string) (name string, claims []spec.Claim) {
	name, rest, _ := strings.Cut(line, ":")
	for text := range strings.FieldsSeq(rest) {
		host, prefix, found := strings.Cut(text, "/")
		if found {
			prefix = "/" + prefix
		}
		claims = append(claims, spec.Claim{Host: host, Prefix: prefix})
	}
	return name, claims
}

func show(verdicts map[string]verdict) string {
	words := map[choice]string{takeNew: "new", keepOld: "kept", out: "out", gone: "gone"}
	parts := make([]string, 0, len(verdicts))
	for _, name := range slices.Sorted(maps.Keys(verdicts)) {
		parts = append(parts, name+"="+words[verdicts[name].choice])
	}
	return strings.Join(parts, " ")
}

// TestSettleKeepsOwnershipWhole plays random histories and holds each outcome
// to what must be true of every one.
func TestSettleKeepsOwnershipWhole(t *testing.T) {
	const seeds, steps = 300, 25
	names := []string{"a", "b", "c", "d", "e"}
	hosts := []string{"u", "v", "w", "x", "y"}
	for seed := range uint64(seeds) {
		rng := rand.New(rand.NewPCG(seed, 1))
		now := make(map[string]hold)
		for step := range steps {
			next := tree{wishes: make(map[string]wish), files: make(map[string]fileState)}
			for _, name := range names {
				file := fmt.Sprintf("%d.yaml", rng.IntN(3))
				next.files[file] = fileState{broken: rng.IntN(8) == 0, changed: rng.IntN(2) == 0}
				if rng.IntN(4) == 0 {
					continue
				}
				w := wish{ok: rng.IntN(4) > 0}
				for _, host := range hosts {
					if rng.IntN(4) == 0 {
						w.claims = append(w.claims, spec.Claim{Host: host})
					}
				}
				next.wishes[name] = w
			}
			verdicts := settle(next, now)
			if diff := cmp.Diff(show(verdicts), show(settle(next, now))); diff != "" {
				t.Fatalf("seed %d step %d: the same input settles differently:\n%s", seed, step, diff)
			}
			now = checkSettled(t, next, now, verdicts, fmt.Sprintf("seed %d step %d", seed, step))
		}
	}
}

// checkSettled returns what serves afterwards.
func checkSettled(t *testing.T, next tree, now map[string]hold, verdicts map[string]verdict, at string) map[string]hold {
	t.Helper()
	after := make(map[string]hold)
	owners := make(map[spec.Claim]string)
	own := func(name string, claims []spec.Claim, file string) {
		for _, c := range claims {
			if other, taken := owners[c]; taken {
				t.Fatalf("%s: %v is owned by %s and %s: %s", at, c, other, name, show(verdicts))
			}
			owners[c] = name
		}
		after[name] = hold{claims: claims, file: file}
	}
	for name, v := range verdicts {
		_, serves := now[name]
		w, named := next.wishes[name]
		switch v.choice {
		case takeNew:
			if !w.ok {
				t.Fatalf("%s: %s failed and was taken", at, name)
			}
			own(name, w.claims, "0.yaml")
		case keepOld:
			if !serves {
				t.Fatalf("%s: %s is kept and never served", at, name)
			}
			own(name, now[name].claims, now[name].file)
		case out:
			if serves {
				t.Fatalf("%s: %s served and is out", at, name)
			}
		case gone:
			if named {
				t.Fatalf("%s: %s is in the tree and gone", at, name)
			}
		}
	}
	for name := range now {
		if _, settled := verdicts[name]; !settled {
			t.Fatalf("%s: %s served and has no verdict", at, name)
		}
	}
	// Whoever did not get its way lost a claim that somebody does own.
	for name, v := range verdicts {
		if v.reason != lostClaim {
			continue
		}
		if owner, owned := owners[v.claim]; owned && owner == name {
			t.Fatalf("%s: %s lost %v, which it owns", at, name, v.claim)
		}
		if verdicts[v.other].choice == 0 {
			t.Fatalf("%s: %s lost to %q, which is nobody", at, name, v.other)
		}
	}
	return after
}
