package server

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// clientAddr returns the address of the client that sent a request: the peer
// of the connection, or where that is one of the trusted proxies, the last
// address in X-Forwarded-For that is not. What stands before it anybody can
// write.
func (s *Server) clientAddr(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr // a unix socket has none
	}
	if !s.trusted(host) {
		return host
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		hop = strings.TrimSpace(hop)
		if _, err := netip.ParseAddr(hop); err != nil {
			return host
		}
		if host = hop; !s.trusted(hop) {
			break
		}
	}
	return host
}

// fromTrustedProxy reports whether the peer of the connection is one of the
// trusted proxies, so that what it says about the client's connection counts.
func (s *Server) fromTrustedProxy(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	return err == nil && s.trusted(host)
}

func (s *Server) trusted(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && slices.ContainsFunc(s.config.HTTP.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(addr.Unmap()) })
}
