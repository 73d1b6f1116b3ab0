package server

import (
	"net/http"
	"strings"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
)

// scopedTokens returns the tokens of /token, or nil where there are none: they
// are switched off, or the only secret lies in a bucket, where whoever reads the
// bucket could make logins of it. On a disk that is whoever owns the machine.
// stored are the keys of the secret that is kept in the storage.
func (s *Server) scopedTokens(stored *auth.Keyring) (*auth.ScopedTokens, error) {
	keys := stored
	switch {
	case s.config.HTTP.TokenDisabled:
		return nil, nil
	case s.config.HTTP.Secret != "":
		var err error
		if keys, err = s.newKeyring(string(s.config.HTTP.Secret)); err != nil {
			return nil, err
		}
	case s.config.Storage.S3 != nil:
		return nil, nil
	}
	return auth.NewScopedTokens(auth.ScopedConfig{Keys: keys, Realm: s.tokenRealm}), nil
}

// tokenRealm is the URL of /token as the client that sent a request has to call
// it, or "" where that cannot be told. A client sends its password there: unless
// http is configured, is what a proxy says, or stays on this machine, a client
// that came by https to something in front of this server would put its
// password on the network in clear, or find nothing there.
func (s *Server) tokenRealm(r *http.Request) string {
	path := s.prefix() + "token"
	if h := s.config.HTTP.Host; h != nil {
		return h.Scheme + "://" + h.Host + path
	}
	h := r.Header
	scheme := "http"
	// Anybody may claim to have come by https: the worst is that the client is
	// sent to an address where nothing is.
	forwarded := strings.ToLower(h.Get("Forwarded"))
	switch proto := h.Get("X-Forwarded-Proto"); {
	case r.Host == "" || h.Get("X-Forwarded-Host") != "" && h.Get("X-Forwarded-Host") != r.Host:
		return ""
	case r.TLS != nil || proto == "https" || strings.Contains(forwarded, "proto=https"):
		scheme = "https"
	case proto != "http" && !loopback(r.Host):
		return ""
	case proto == "" && (forwarded != "" || h.Get("X-Forwarded-For") != "" || h.Get("X-Real-Ip") != "" || h.Get("Via") != ""):
		return ""
	}
	return scheme + "://" + r.Host + path
}
