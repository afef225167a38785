package upstream

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// Policy says which addresses may be dialled; judged on the address after DNS.
// The zero Policy allows all but the own listeners.
type Policy struct {
	Deny  []netip.Prefix
	Allow []netip.Prefix // wins over Deny
	// Own returns the addresses of the gateway's own listeners, always denied,
	// so that no tenant reaches the admin API or loops a request through the
	// gateway itself. It is called on every dial.
	Own func() []netip.AddrPort
}

// guard judges addresses. It is immutable.
type guard struct {
	deny, allow []netip.Prefix
	own         func() []netip.AddrPort
	local       func() ([]net.Addr, error) // the machine's own addresses
}

func newGuard(p Policy) *guard {
	g := &guard{own: p.Own, local: net.InterfaceAddrs}
	for _, prefix := range p.Deny {
		g.deny = append(g.deny, plainPrefix(prefix))
	}
	for _, prefix := range p.Allow {
		g.allow = append(g.allow, plainPrefix(prefix))
	}
	if g.own == nil {
		g.own = func() []netip.AddrPort { return nil }
	}
	return g
}

// judge returns an error that wraps ErrDenied unless to may be dialled.
func (g *guard) judge(to netip.AddrPort) error {
	addr := effective(to.Addr())
	for _, own := range g.own() {
		if own.Port() != to.Port() {
			continue
		}
		mine, err := g.listensOn(own.Addr(), addr)
		if err != nil {
			return fmt.Errorf("%s: cannot list own addresses (%w): %w", to, err, ErrDenied)
		}
		if mine {
			return fmt.Errorf("%s is a listener of this gateway: %w", to, ErrDenied)
		}
	}
	contains := func(p netip.Prefix) bool { return p.Contains(addr) }
	if slices.ContainsFunc(g.deny, contains) && !slices.ContainsFunc(g.allow, contains) {
		return fmt.Errorf("%s: %w", to, ErrDenied)
	}
	return nil
}

// listensOn reports whether a listener bound to own accepts what is sent to
// addr. A wildcard of either family stands for every address of the machine:
// a listener on [::] usually accepts IPv4 as well.
func (g *guard) listensOn(own, addr netip.Addr) (bool, error) {
	own = plain(own)
	if !own.IsUnspecified() {
		return own == addr, nil
	}
	if addr.IsLoopback() {
		return true, nil
	}
	locals, err := g.local()
	if err != nil {
		return false, err
	}
	for _, local := range locals {
		prefix, err := netip.ParsePrefix(local.String())
		if err == nil && plain(prefix.Addr()) == addr {
			return true, nil
		}
	}
	return false, nil
}

// effective is the address that a connection to addr really reaches: the kernel
// takes the unspecified address for loopback.
func effective(addr netip.Addr) netip.Addr {
	addr = plain(addr)
	switch {
	case !addr.IsUnspecified():
		return addr
	case addr.Is4():
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	default:
		return netip.IPv6Loopback()
	}
}

// plain takes off what makes equal addresses differ: the mapping of IPv4 into
// IPv6, and a zone (no prefix contains an address with one).
func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

// plainPrefix does the same for a prefix of mapped addresses.
func plainPrefix(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96).Masked()
	}
	return p.Masked()
}
