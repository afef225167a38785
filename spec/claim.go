package spec

// Claim is the unit of ownership: at most one tenant serves a (host, prefix).
type Claim struct {
	Host   string // "" for any host
	Prefix string // "" for all paths of Host; "/" only with Host ""
}

// Claims lists what the tenant wants to own.
func (t *Tenant) Claims() []Claim { return claims(t.Domains, t.PathPrefix) }

// claims is one claim a domain, or one for any host.
func claims(domains []string, prefix string) []Claim {
	if len(domains) == 0 {
		if prefix == "" {
			return nil
		}
		return []Claim{{Prefix: prefix}}
	}
	list := make([]Claim, len(domains))
	for i, d := range domains {
		list[i] = Claim{Host: d, Prefix: prefix}
	}
	return list
}
