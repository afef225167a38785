package admin

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// errNoToken is why CheckListen refuses an address.
var errNoToken = errors.New("without a token only loopback may be listened on")

// CheckListen says whether addr (host:port) may be listened on: without a token
// nothing but loopback, since whoever reaches the listener may read it all.
func CheckListen(addr string, hasToken bool) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("listen on %q: want host:port: %w", addr, err)
	}
	if !hasToken && !loopback(host) {
		return fmt.Errorf("listen on %q: %w: set a token file or listen on 127.0.0.1", addr, errNoToken)
	}
	return nil
}

// loopback says whether host, a name or an address without brackets, can only
// mean this machine.
func loopback(host string) bool {
	host = strings.TrimSuffix(host, ".")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// hostOf takes the port and the brackets off host:port, or off a host alone.
func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
}
