package proxy

import (
	"net/netip"
	"slices"
	"strings"
)

// trust decides whose word about a request's origin is taken.
type trust []netip.Prefix

func (t trust) holds(addr netip.Addr) bool {
	return addr.IsValid() && slices.ContainsFunc(t, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// peerAddr reads an http.Request's RemoteAddr; invalid for what is no IP.
func peerAddr(remote string) netip.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// client walks X-Forwarded-For from the right, as long as each proxy that
// added an entry is trusted, to the address nobody trusted speaks for. An
// entry that is no address ends the walk at the last one that was.
func (t trust) client(peer netip.Addr, forwardedFor []string) netip.Addr {
	client := peer
	for _, list := range slices.Backward(forwardedFor) {
		for list != "" && t.holds(client) {
			entry := list
			if i := strings.LastIndexByte(list, ','); i >= 0 {
				list, entry = list[:i], list[i+1:]
			} else {
				list = ""
			}
			addr, ok := parseForwardedAddr(strings.TrimSpace(entry))
			if !ok {
				return client
			}
			client = addr
		}
	}
	return client
}

// parseForwardedAddr takes an address, alone or with a port.
func parseForwardedAddr(s string) (netip.Addr, bool) {
	if addr, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return addr.Unmap().WithZone(""), true
	}
	addr := peerAddr(s)
	return addr, addr.IsValid()
}

// saneID accepts a request id of a trusted proxy.
func saneID(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	for i := range len(id) {
		if b := id[i]; !isUnreserved(b) && b != '+' && b != '/' && b != '=' && b != ':' {
			return false
		}
	}
	return true
}
