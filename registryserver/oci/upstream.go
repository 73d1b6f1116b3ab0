package oci

import (
	"net"
	"net/url"
	"regexp"
	"strings"
)

// Upstream is a registry that a pull-through cache pulls from, or a part of one.
type Upstream struct {
	scheme, host string
	path         string // what all repositories' names begin with, or ""
}

// dockerHub is where Docker Hub answers, whatever people call it.
const dockerHub = "registry-1.docker.io"

var upstreamHostRE = regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]{1,5})?$|^\[[0-9a-fA-F:.]+\](:[0-9]{1,5})?$`)

// ParseUpstream parses the URL of a registry, such as https://registry-1.docker.io,
// with the beginning of its repositories' names behind it or not. INVALID.
func ParseUpstream(s string) (Upstream, error) { return parseRegistryURL(s, "upstream") }

// parseRegistryURL parses the URL of a registry, which is called role in errors.
func parseRegistryURL(s, role string) (Upstream, error) {
	if len(s) > 1024 {
		return Upstream{}, Errorf(CodeInvalid, "the URL of the %s is longer than 1024 bytes", role)
	}
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || scheme != "https" && scheme != "http" {
		return Upstream{}, Errorf(CodeInvalid, "the URL of the %s begins with https:// or http://, such as https://registry-1.docker.io", role)
	}
	host, path, _ := strings.Cut(rest, "/")
	switch {
	case strings.Contains(host, "@"):
		return Upstream{}, Errorf(CodeInvalid, "the URL of the %s holds no user name or password; give them on their own", role)
	case !upstreamHostRE.MatchString(host):
		return Upstream{}, Errorf(CodeInvalid, "the URL of the %s has no valid host: %q", role, clip(host))
	}
	if _, err := url.Parse(scheme + "://" + host); err != nil {
		return Upstream{}, Errorf(CodeInvalid, "the URL of the %s has no valid host: %q", role, clip(host))
	}
	u := Upstream{scheme: scheme, host: strings.ToLower(host), path: strings.TrimSuffix(path, "/")}
	if u.path != "" {
		if _, err := ParseRepository(u.path); err != nil {
			return Upstream{}, Errorf(CodeInvalid, "what follows the host of the %s is not the beginning of a repository name: %q", role, clip(u.path))
		}
	}
	if u.host == "docker.io" || u.host == "index.docker.io" {
		u.host = dockerHub
	}
	return u, nil
}

// String returns the URL, in the one form that it is compared in.
func (u Upstream) String() string {
	if u.path == "" {
		return u.scheme + "://" + u.host
	}
	return u.scheme + "://" + u.host + "/" + u.path
}

// Host returns the host, and the port where one was given.
func (u Upstream) Host() string { return u.host }

// Repository returns the name that the upstream has for a repository. What has
// no slash are Docker Hub's official images, in library/.
func (u Upstream) Repository(name string) (Repository, error) {
	switch {
	case u.path != "":
		name = u.path + "/" + name
	case u.host == dockerHub && !strings.Contains(name, "/"):
		name = "library/" + name
	}
	return ParseRepository(name)
}

// private reports whether what travels there cannot be read on the way: over TLS,
// or on this machine.
func (u Upstream) private() bool {
	host := u.host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return u.scheme == "https" || host == "localhost" || ip != nil && ip.IsLoopback()
}

// MayLogin reports whether credentials travel there safely: over TLS, or on this
// machine. INVALID.
func (u Upstream) MayLogin() error {
	if u.private() {
		return nil
	}
	return Errorf(CodeInvalid, "user name and password would travel to %s in the clear; use https://, or no login", u.host)
}

// MaxRevalidateAfterSeconds bounds for how long a pull-through cache takes a tag
// to be what it was.
const MaxRevalidateAfterSeconds = 365 * 24 * 60 * 60

// maxPrefixLength leaves room for the names behind a prefix.
const maxPrefixLength = 128

// ParseProxyPrefix parses what the repositories of a pull-through cache begin
// with, such as "docker.io" or "mirror/quay": a name, without the slash that
// follows. INVALID.
func ParseProxyPrefix(s string) (string, error) {
	if _, err := ParseRepository(s); err != nil || len(s) > maxPrefixLength {
		return "", Errorf(CodeInvalid, "invalid prefix %q; write it as a repository name of at most %d characters, such as docker.io, without a slash at the end", clip(s), maxPrefixLength)
	}
	return s, nil
}
