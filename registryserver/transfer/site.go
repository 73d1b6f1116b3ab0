package transfer

import (
	"net"
	"net/url"
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

// MayLogin reports whether a request to an address may hold credentials for a
// registry: its host is of the same site, and they do not travel in the clear,
// unless the registry itself is spoken to in the clear (plain).
func MayLogin(registry string, plain bool, to *url.URL) bool {
	return SameSite(registry, to.Host) && (plain || to.Scheme == "https")
}

// withPort leaves out the port of HTTPS.
func withPort(host string) string { return strings.TrimSuffix(host, ":443") }

func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.Trim(host, "[]")
}
