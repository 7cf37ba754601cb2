package certsd

import (
	"net"
	"strings"
)

// IsLoopback holds for hosts, with or without a port, that no packet leaves the
// machine for.
func IsLoopback(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	if name == "localhost" {
		return true
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	ip := net.ParseIP(name)
	return ip != nil && ip.IsLoopback()
}
