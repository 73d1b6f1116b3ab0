package oci

// MaxReplicationGlobs bounds the repository globs of a replication.
const MaxReplicationGlobs = 100

// ParseReplicationName parses the name of a replication, which follows the rules
// of policies' names. INVALID.
func ParseReplicationName(s string) (string, error) {
	if !policyNameRE.MatchString(s) {
		return "", Errorf(CodeInvalid, "invalid replication name %q; use 1 to 64 lower-case letters, digits, . _ and -, beginning and ending with a letter or digit", clip(s))
	}
	return s, nil
}

// ParseDestination parses the URL of a registry that images are replicated to,
// such as https://registry.example.com/mirror: what follows the host begins the
// names of repositories there. Without TLS it is refused unless it is on this
// machine, or insecure says that it is meant. INVALID.
func ParseDestination(s string, insecure bool) (Upstream, error) {
	u, err := parseRegistryURL(s, "destination")
	if err == nil && !u.private() && !insecure {
		return Upstream{}, Errorf(CodeInvalid, "images and credentials would travel to %s in the clear; use https://, or set insecure to say that this is meant", u.host)
	}
	return u, err
}
