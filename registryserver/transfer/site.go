package transfer

import (
	"net"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// SameSite reports whether credentials for a registry may go to a host: it is
// the registry itself, with its port, or has the same registrable domain, as
// auth.docker.io has for registry-1.docker.io. Addresses have no domain.
func SameSite(registry, host string) bool {
	registry, host = strings.ToLower(registry), strings.ToLower(host)
	if withPort(registry) == withPort(host) {
		return true
	}
	ours, err := publicsuffix.EffectiveTLDPlusOne(hostname(registry))
	if err != nil || net.ParseIP(hostname(registry)) != nil {
		return false
	}
	theirs, err := publicsuffix.EffectiveTLDPlusOne(hostname(host))
	return err == nil && ours == theirs
}

// withPort leaves out the port of HTTPS.
func withPort(host string) string { return strings.TrimSuffix(host, ":443") }

func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.Trim(host, "[]")
}
