package spec

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// roundRobin is the one policy of balancing, by weight.
const roundRobin = "round_robin"

// onConnect is the one reason for a retry: nothing was sent yet.
const onConnect = "connect"

// maxAttempts bounds the tries after the first.
const maxAttempts = 10

// newUpstream is one that says nothing but its name.
func newUpstream(name string, at Place) *Upstream {
	return &Upstream{
		Name: name, LoadBalancing: roundRobin, Place: at,
		Retry: Retry{Attempts: 1, On: []string{onConnect}},
	}
}

// upstreams reads the named upstreams of a tenant.
func (d *decoder) upstreams(n *yaml.Node, into map[string]*Upstream) {
	d.entries(n, func(name string, k, v *yaml.Node) {
		d.check(k, checkLabel("an upstream", name))
		into[name] = d.upstream(name, k, v) // a bad one, too: routes that name it are not to blame
	})
}

// upstream reads the one whose name stands at k.
func (d *decoder) upstream(name string, k, n *yaml.Node) *Upstream {
	defer d.within("upstream %q", name)()
	u := newUpstream(name, place(k))
	present, ok := d.mapping(n, append([]field{
		{"servers", func(n *yaml.Node) {
			if d.servers(n, &u.Servers) == 0 {
				d.failf(n, "add a server, or remove the upstream", "the list of servers is empty")
			}
		}},
		{"load_balancing", func(n *yaml.Node) { d.balancing(n, u) }},
		{"health_check", func(n *yaml.Node) { u.HealthCheck = d.healthCheck(n, u.Servers) }},
		{"retry", func(n *yaml.Node) { d.retry(n, &u.Retry) }},
	}, later("protocol", "host", "sticky", "outlier", "timeouts", "circuit_breaker", "tls")...))
	if ok && present["servers"] == nil {
		d.failf(k, "add servers: [{url: ...}]", "it has no servers")
	}
	if u.HealthCheck == nil && checkedAlone(u.Servers) {
		u.HealthCheck = newHealthCheck()
	}
	return u
}

// balancing reads the policy.
func (d *decoder) balancing(n *yaml.Node, u *Upstream) {
	defer d.within("load_balancing")()
	if n.Kind == yaml.MappingNode {
		d.failf(n, "known: "+roundRobin, "a policy with options is not supported in this version")
		return
	}
	if s, ok := d.choice(n, []string{roundRobin}, "least_connections", "random_two_choices", "consistent_hash"); ok {
		u.LoadBalancing = s
	}
}

// retry reads when another server is tried.
func (d *decoder) retry(n *yaml.Node, into *Retry) {
	defer d.within("retry")()
	d.mapping(n, append([]field{
		{"attempts", func(n *yaml.Node) {
			if v, ok := d.integer(n, 0, maxAttempts); ok {
				into.Attempts = int(v)
			}
		}},
		{"on", func(n *yaml.Node) { d.retryOn(n, into) }},
	}, later("per_try_timeout", "budget")...))
}

// retryOn reads the reasons: words, and status codes that look like numbers.
func (d *decoder) retryOn(n *yaml.Node, into *Retry) {
	var on []string
	items := d.oneOrMany(n, func(n *yaml.Node) {
		switch s, ok := d.word(n, "a reason"); {
		case !ok:
		case s == onConnect && slices.Contains(on, s):
			d.failf(n, "remove one of the two", "%q is there twice", s)
		case s == onConnect:
			on = append(on, s)
		case slices.Contains([]string{"reset", "502", "503", "504"}, s):
			d.failf(n, "known: "+onConnect, "%q is not supported in this version", s)
		default:
			d.failf(n, oneOf(s, []string{onConnect}), "unknown reason %q", s)
		}
	})
	if items == 0 {
		d.failf(n, "write attempts: 0 for no retries", "the list of reasons is empty")
	}
	into.On = on
}

// checkLabel holds the names of upstreams and servers to what is good as a
// label of a metric, an argument in a script and a part of a URL. what is the
// noun with its article.
func checkLabel(what, name string) error {
	ok := name != "" && len(name) <= 253 && isAlphanumeric(name[0])
	for i := range len(name) {
		ok = ok && (isAlphanumeric(name[i]) || strings.IndexByte("-_.:", name[i]) >= 0)
	}
	if !ok {
		return flawf("letters, digits and - _ . :, a letter or digit first", "%q is not a name for %s", name, what)
	}
	return nil
}
