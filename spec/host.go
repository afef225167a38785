package spec

import (
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// parseDomain returns a tenant's domain in the form hosts are matched in.
func parseDomain(s string) (string, error) {
	name, wild := strings.CutPrefix(s, "*.")
	switch {
	case s == "*":
		return "", flawf(`for any host, use path_prefix "/" without domains`, `"*" is no domain`)
	case strings.Contains(name, "*"):
		return "", flawf(`write "*." and the rest of the name`, "%q has a * that is not its first label", s)
	case strings.Contains(name, "://"):
		return "", flawf("write the host name alone", "%q is a URL", s)
	case strings.Contains(name, "/"):
		return "", flawf("paths belong into path_prefix", "%q has a path", s)
	case strings.HasSuffix(name, "."):
		return "", flawf("remove the trailing dot; requests match with and without", "%q ends in a dot", s)
	}
	host, err := parseHost(name)
	if err != nil {
		return "", err
	}
	if !wild {
		return host, nil
	}
	if isAddress(host) {
		return "", flawf("remove the *.", "%q is a wildcard of an address", s)
	}
	return "*." + host, nil
}

// parseHost returns a host name in lower-case ASCII, or an address in its
// canonical form, an IPv6 one in brackets.
func parseHost(s string) (string, error) {
	literal := strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	if a, err := netip.ParseAddr(literal); err == nil {
		switch {
		case a.Zone() != "":
			return "", flawf("remove the zone", "address %q has a zone", s)
		case a.Is6():
			return "[" + a.String() + "]", nil
		case literal == s:
			return a.String(), nil
		}
	}
	if strings.Contains(s, ":") {
		return "", flawf("remove the port; every port matches", "%q is more than a host", s)
	}
	// Hyphens in the third and fourth place are met in names of today;
	// underscores in those inside of clusters.
	profile := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.CheckHyphens(false), idna.StrictDomainName(false))
	name, err := profile.ToASCII(s)
	if err != nil {
		return "", flawf("letters, digits and hyphens, labels separated by dots", "%q is not a host name", s)
	}
	return name, checkName(s, strings.TrimSuffix(name, "."))
}

// checkName holds a name in ASCII to RFC 1123 section 2.1, underscores
// allowed. s is how it was written.
func checkName(s, name string) error {
	if len(name) > 253 {
		return flawf("at most 253 characters", "%q is too long for a host name", s)
	}
	labels := strings.Split(name, ".")
	for _, l := range labels {
		switch {
		case l == "":
			return flawf("remove the extra dot", "%q has an empty label", s)
		case len(l) > 63:
			return flawf("at most 63 characters between dots", "%q has a label that is too long", s)
		case l[0] == '-' || l[len(l)-1] == '-':
			return flawf("remove the hyphen", "%q has a label that begins or ends with a hyphen", s)
		}
		for i := range len(l) {
			if !isLower(l[i]) && !isDigit(l[i]) && l[i] != '-' && l[i] != '_' {
				return flawf("letters, digits and hyphens, labels separated by dots", "%q is not a host name", s)
			}
		}
	}
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" {
		return flawf("an IPv4 address has four numbers up to 255", "%q is neither a name nor an address", s)
	}
	return nil
}

// isAddress tells a literal from a name, both out of parseHost.
func isAddress(host string) bool {
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}
