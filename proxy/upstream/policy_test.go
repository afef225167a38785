package upstream

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"testing"
)

func TestPolicyJudgesTheAddressDialled(t *testing.T) {
	prefixes := func(list ...string) (out []netip.Prefix) {
		for _, s := range list {
			out = append(out, netip.MustParsePrefix(s))
		}
		return out
	}
	listeners := func(list ...string) func() []netip.AddrPort {
		var out []netip.AddrPort
		for _, s := range list {
			out = append(out, netip.MustParseAddrPort(s))
		}
		return func() []netip.AddrPort { return out }
	}
	metadata := prefixes("169.254.0.0/16", "fe80::/10")
	tests := []struct {
		name   string
		policy Policy
		to     string
		denied bool
	}{
		{"zero policy allows", Policy{}, "10.0.0.1:80", false},
		{"denied prefix", Policy{Deny: metadata}, "169.254.169.254:80", true},
		{"outside the denied prefix", Policy{Deny: metadata}, "169.253.0.1:80", false},
		{"mapped into IPv6", Policy{Deny: metadata}, "[::ffff:169.254.169.254]:80", true},
		{"link-local with a zone", Policy{Deny: metadata}, "[fe80::1%eth0]:80", true},
		{"prefix written as mapped", Policy{Deny: prefixes("::ffff:10.0.0.0/104")}, "10.1.2.3:80", true},
		{"prefix with host bits", Policy{Deny: []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr("10.9.9.9"), 8)}}, "10.1.2.3:80", true},
		{"allow wins over deny", Policy{Deny: prefixes("10.0.0.0/8"), Allow: prefixes("10.0.0.1/32")}, "10.0.0.1:80", false},
		{"allow is no allow list", Policy{Allow: prefixes("10.0.0.1/32")}, "10.0.0.2:80", false},
		{"unspecified means loopback", Policy{Deny: prefixes("127.0.0.0/8")}, "0.0.0.0:80", true},
		{"unspecified IPv6 means loopback", Policy{Deny: prefixes("::1/128")}, "[::]:80", true},
		{"own listener", Policy{Own: listeners("127.0.0.1:9090")}, "127.0.0.1:9090", true},
		{"own listener, mapped", Policy{Own: listeners("127.0.0.1:9090")}, "[::ffff:127.0.0.1]:9090", true},
		{"own listener by the unspecified address", Policy{Own: listeners("127.0.0.1:9090")}, "0.0.0.0:9090", true},
		{"own listener on an IPv6 address with a zone", Policy{Own: listeners("[fe80::7%eth0]:9090")}, "[fe80::7]:9090", true},
		{"another port of an own address", Policy{Own: listeners("127.0.0.1:9090")}, "127.0.0.1:9091", false},
		{"another address of an own port", Policy{Own: listeners("127.0.0.1:9090")}, "10.0.0.1:9090", false},
		{"allow does not open own listeners", Policy{Allow: prefixes("0.0.0.0/0"), Own: listeners("127.0.0.1:9090")}, "127.0.0.1:9090", true},
		{"wildcard listener, loopback", Policy{Own: listeners("0.0.0.0:8080")}, "127.0.0.1:8080", true},
		{"wildcard listener, any loopback", Policy{Own: listeners("0.0.0.0:8080")}, "127.9.9.9:8080", true},
		{"wildcard listener, IPv6 loopback", Policy{Own: listeners("[::]:8080")}, "[::1]:8080", true},
		{"wildcard listener, mapped loopback", Policy{Own: listeners("[::]:8080")}, "[::ffff:127.0.0.1]:8080", true},
		{"wildcard listener, own interface", Policy{Own: listeners("[::]:8080")}, "192.0.2.7:8080", true},
		{"wildcard listener, own IPv6 interface", Policy{Own: listeners("[::]:8080")}, "[2001:db8::7]:8080", true},
		{"wildcard listener, another machine", Policy{Own: listeners("[::]:8080")}, "192.0.2.8:8080", false},
		{"wildcard listener, another port", Policy{Own: listeners("[::]:8080")}, "192.0.2.7:8081", false},
		{"the second own listener", Policy{Own: listeners("127.0.0.1:9090", "[::]:8080")}, "127.0.0.1:8080", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g := newGuard(test.policy)
			g.local = func() ([]net.Addr, error) {
				return []net.Addr{
					&net.IPNet{IP: net.IPv4(192, 0, 2, 7), Mask: net.CIDRMask(24, 32)},
					&net.IPNet{IP: net.ParseIP("2001:db8::7"), Mask: net.CIDRMask(64, 128)},
				}, nil
			}
			err := g.judge(netip.MustParseAddrPort(test.to))
			if denied := errors.Is(err, ErrDenied); denied != test.denied {
				t.Errorf("judge(%s) = %v, want denied %t", test.to, err, test.denied)
			}
		})
	}
}

func TestPolicyDeniesWhenItCannotTell(t *testing.T) {
	g := newGuard(Policy{Own: func() []netip.AddrPort {
		return []netip.AddrPort{netip.MustParseAddrPort("[::]:8080")}
	}})
	g.local = func() ([]net.Addr, error) { return nil, errors.New("no netlink") }
	if err := g.judge(netip.MustParseAddrPort("192.0.2.7:8080")); !errors.Is(err, ErrDenied) {
		t.Errorf("got %v, want ErrDenied", err)
	}
	if err := g.judge(netip.MustParseAddrPort("192.0.2.7:8081")); err != nil {
		t.Errorf("another port: got %v, want nil", err)
	}
}

func TestDeniedAddressesAreNotReached(t *testing.T) {
	own := named(t, "own")
	port := netip.MustParseAddrPort(own).Port()
	r := newRegistry(t, Options{Policy: Policy{Own: func() []netip.AddrPort {
		return []netip.AddrPort{netip.AddrPortFrom(netip.IPv6Unspecified(), port)}
	}}})
	_, name, err := net.SplitHostPort(own)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]"} {
		t.Run(host, func(t *testing.T) {
			p := startPool(t, r, upstreamOf(host+":"+name))
			err := fails(t, p, request(t, http.MethodGet, "/", nil), nil)
			if err.Kind != KindConnect || !errors.Is(err, ErrDenied) {
				t.Errorf("got %v, want %s and ErrDenied", err, KindConnect)
			}
		})
	}
}
