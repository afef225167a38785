package reloader

import (
	"maps"
	"slices"
	"strings"

	"keystone-gateway/spec"
)

// wish is what a new tree says of one tenant.
type wish struct {
	claims []spec.Claim // as far as they could be read
	ok     bool         // it loaded and could be built
}

// hold is what serves now of one tenant.
type hold struct {
	claims []spec.Claim
	file   string // which it was last loaded from
	// orphan: its file was gone already and it was kept, because another file
	// could not be parsed.
	orphan bool
}

// tree is what settle needs to know of a new tree.
type tree struct {
	wishes map[string]wish
	// files says of each tenant file whether it could be parsed.
	files map[string]fileState
}

type fileState struct {
	broken  bool
	changed bool // new, or other content than in the tree before
}

// choice is which version of a tenant is to serve.
type choice int

const (
	takeNew choice = iota + 1 // the new tree's
	keepOld                   // the one that serves now
	out                       // none: its claims answer 503
	gone                      // none: the tenant is no more
)

// reason is why a tenant does not get what the new tree says.
type reason int

const (
	noReason     reason = iota
	failed              // it did not load or build
	fileBroken          // its file could not be parsed
	fileVanished        // its file is gone while another could not be parsed
	heirFailed          // it was removed, and who took its host over failed
	lostClaim           // another tenant owns a claim of it
)

type verdict struct {
	choice choice
	reason reason
	// claim was lost to other, or (heirFailed) is wanted by other.
	claim spec.Claim
	other string
}

// settle decides which version of each tenant is to serve, and is the one place
// that does. It is pure. Only these moves exist: takeNew falls to keepOld (or
// out, where nothing served), gone returns to keepOld; so it ends, and because
// every round looks at all tenants before it moves any, order plays no part.
//
// Versions that serve now never overlap, so two kept ones never do.
func settle(next tree, now map[string]hold) map[string]verdict {
	verdicts := make(map[string]verdict, len(next.wishes)+len(now))
	for name, w := range next.wishes {
		switch _, serves := now[name]; {
		case w.ok:
			verdicts[name] = verdict{choice: takeNew}
		case serves:
			verdicts[name] = verdict{choice: keepOld, reason: failed}
		default:
			verdicts[name] = verdict{choice: out, reason: failed}
		}
	}
	anyBroken, newlyBroken := false, false
	for _, f := range next.files {
		anyBroken = anyBroken || f.broken
		newlyBroken = newlyBroken || f.broken && f.changed
	}
	for name, h := range now {
		if _, named := next.wishes[name]; named {
			continue
		}
		f, exists := next.files[h.file]
		switch {
		case exists && f.broken:
			verdicts[name] = verdict{choice: keepOld, reason: fileBroken}
		case !exists && (newlyBroken || h.orphan && anyBroken):
			verdicts[name] = verdict{choice: keepOld, reason: fileVanished}
		default:
			verdicts[name] = verdict{choice: gone}
		}
	}
	for returnVanished(next, now, verdicts) ||
		yieldToKept(next, now, verdicts) ||
		yieldToHolder(next, now, verdicts) {
	}
	return verdicts
}

// returnVanished keeps a removed tenant whose host a newcomer wants that does
// not make it.
func returnVanished(next tree, now map[string]hold, verdicts map[string]verdict) (moved bool) {
	type area struct{ host, prefix string }
	areaOf := func(c spec.Claim) area {
		if c.Host != "" {
			return area{host: c.Host} // whatever the prefix: the host is what was taken over
		}
		return area{prefix: c.Prefix}
	}
	var vanished map[area]string
	for name, v := range verdicts {
		if v.choice != gone {
			continue
		}
		for _, c := range now[name].claims {
			if vanished == nil {
				vanished = make(map[area]string)
			}
			// Several tenants may have shared a host by prefix; each is found in
			// its own round, as the first moves on to keepOld.
			if first, taken := vanished[areaOf(c)]; !taken || name < first {
				vanished[areaOf(c)] = name
			}
		}
	}
	if vanished == nil {
		return false
	}
	for _, newcomer := range slices.Sorted(maps.Keys(next.wishes)) {
		if verdicts[newcomer].choice != out {
			continue
		}
		for _, c := range next.wishes[newcomer].claims {
			if name, ok := vanished[areaOf(c)]; ok && verdicts[name].choice == gone {
				verdicts[name] = verdict{choice: keepOld, reason: heirFailed, claim: c, other: newcomer}
				moved = true
			}
		}
	}
	return moved
}

// yieldToKept lets each new version fall that claims what a kept one owns.
func yieldToKept(next tree, now map[string]hold, verdicts map[string]verdict) (moved bool) {
	var kept map[spec.Claim]string
	for name, v := range verdicts {
		if v.choice != keepOld {
			continue
		}
		for _, c := range now[name].claims {
			if kept == nil {
				kept = make(map[spec.Claim]string)
			}
			kept[c] = name
		}
	}
	if kept == nil {
		return false
	}
	losers := make(map[string]verdict)
	for name, v := range verdicts {
		if v.choice != takeNew {
			continue
		}
		for _, c := range next.wishes[name].claims {
			if owner, taken := kept[c]; taken {
				losers[name] = lose(name, c, owner, now)
				break
			}
		}
	}
	maps.Copy(verdicts, losers)
	return len(losers) > 0
}

// yieldToHolder settles claims of several new versions: who holds it now keeps
// it, and where none does all fail.
func yieldToHolder(next tree, now map[string]hold, verdicts map[string]verdict) (moved bool) {
	first := make(map[spec.Claim]string, len(verdicts))
	var contested map[spec.Claim][]string
	for name, v := range verdicts {
		if v.choice != takeNew {
			continue
		}
		for _, c := range next.wishes[name].claims {
			other, taken := first[c]
			if !taken {
				first[c] = name
				continue
			}
			if contested == nil {
				contested = make(map[spec.Claim][]string)
			}
			if contested[c] == nil {
				contested[c] = []string{other}
			}
			contested[c] = append(contested[c], name)
		}
	}
	losers := make(map[string]verdict)
	claims := slices.SortedFunc(maps.Keys(contested), compareClaims)
	for _, c := range claims {
		names := contested[c]
		slices.Sort(names)
		holder := ""
		for _, name := range names {
			if slices.Contains(now[name].claims, c) {
				holder = name
			}
		}
		for i, name := range names {
			if name == holder {
				continue
			}
			other := holder
			if other == "" {
				other = names[(i+1)%len(names)]
			}
			if _, lost := losers[name]; !lost {
				losers[name] = lose(name, c, other, now)
			}
		}
	}
	maps.Copy(verdicts, losers)
	return len(losers) > 0
}

func lose(name string, c spec.Claim, to string, now map[string]hold) verdict {
	v := verdict{choice: out, reason: lostClaim, claim: c, other: to}
	if _, serves := now[name]; serves {
		v.choice = keepOld
	}
	return v
}

func compareClaims(a, b spec.Claim) int {
	if c := strings.Compare(a.Host, b.Host); c != 0 {
		return c
	}
	return strings.Compare(a.Prefix, b.Prefix)
}
