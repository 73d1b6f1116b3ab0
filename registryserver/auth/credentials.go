package auth

import (
	"bytes"
	"encoding/base64"
	"strings"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Bounds of what a client sends to be authenticated. The name and password of
// Basic credentials together take less than maxBasic bytes.
const (
	maxAuthorization = 16 << 10
	maxBasic         = 4 << 10
)

// credentials are what an Authorization header holds.
type credentials struct {
	scheme             scheme
	username, password []byte // of basicScheme; they share one buffer
	token              string // of bearerScheme
}

type scheme uint8

const (
	noCredentials scheme = iota
	basicScheme
	bearerScheme
)

// parseAuthorization parses the values of a request's Authorization header
// (RFC 7617, RFC 6750). Empty Basic credentials, which some clients send for
// want of better, count as none. Its error is UNAUTHORIZED and never holds
// what was sent. Basic credentials are decoded into buf where they fit.
func parseAuthorization(values []string, buf []byte) (credentials, error) {
	switch {
	case len(values) == 0 || len(values) == 1 && values[0] == "":
		return credentials{}, nil
	case len(values) > 1:
		return credentials{}, oci.Errorf(oci.CodeUnauthorized, "the request has %d Authorization headers; send one", len(values))
	case len(values[0]) > maxAuthorization:
		return credentials{}, oci.Errorf(oci.CodeUnauthorized, "the Authorization header of %d bytes is too long", len(values[0]))
	}
	name, rest, _ := strings.Cut(values[0], " ")
	rest = strings.Trim(rest, " ")
	switch {
	case strings.EqualFold(name, "Basic"):
		return parseBasic(rest, buf)
	case strings.EqualFold(name, "Bearer") && rest != "":
		return credentials{scheme: bearerScheme, token: rest}, nil
	}
	return credentials{}, oci.Errorf(oci.CodeUnauthorized, "the Authorization header is of no kind that this registry knows")
}

func parseBasic(encoded string, buf []byte) (credentials, error) {
	n := base64.StdEncoding.DecodedLen(len(encoded))
	if n > maxBasic {
		return credentials{}, oci.Errorf(oci.CodeUnauthorized, "user name and password are too long")
	}
	if n > len(buf) {
		buf = make([]byte, n)
	}
	n, err := base64.StdEncoding.Decode(buf, []byte(encoded))
	username, password, ok := bytes.Cut(buf[:max(n, 0)], []byte(":"))
	if err != nil || !ok || bytes.IndexByte(username, 0) >= 0 {
		return credentials{}, oci.Errorf(oci.CodeUnauthorized, "the Basic credentials are malformed")
	}
	if len(username) == 0 && len(password) == 0 {
		return credentials{}, nil
	}
	return credentials{scheme: basicScheme, username: username, password: password}, nil
}
