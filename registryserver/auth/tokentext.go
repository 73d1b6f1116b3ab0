package auth

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"strings"
	"time"
)

// tokenText is an issued token as its bearer shows it: "rkt_<id>_<secret>". The
// id is base32hex in lower case of the 5 bytes of the Unix time at which it
// expires and of 10 random ones, so that ids sort by it and tell it without
// being looked up. The secret is 26 digits of base32, 130 random bits.
type tokenText struct{ id, secret string }

const (
	tokenPrefix     = "rkt_"
	tokenIDSize     = 24
	tokenSecretSize = 26
	tokenTextSize   = len(tokenPrefix) + tokenIDSize + 1 + tokenSecretSize

	idDigits     = "0123456789abcdefghijklmnopqrstuv"
	secretDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" // of rand.Text
)

// newTokenText makes a token that expires then.
func newTokenText(expires time.Time) (tokenText, error) {
	raw := binary.BigEndian.AppendUint64(nil, uint64(expires.Unix()))[3:]
	raw = append(raw, make([]byte, 10)...)
	if _, err := rand.Read(raw[5:]); err != nil {
		return tokenText{}, err
	}
	return tokenText{base32.NewEncoding(idDigits).EncodeToString(raw), rand.Text()}, nil
}

// String returns the token as a client shows it. It is secret.
func (t tokenText) String() string { return tokenPrefix + t.id + "_" + t.secret }

// parseTokenText parses what may be a token that was issued.
func parseTokenText(s string) (tokenText, bool) {
	if len(s) != tokenTextSize || !strings.HasPrefix(s, tokenPrefix) {
		return tokenText{}, false
	}
	id, secret, _ := strings.Cut(s[len(tokenPrefix):], "_")
	if _, ok := tokenExpiry(id); !ok || len(secret) != tokenSecretSize || strings.Trim(secret, secretDigits) != "" {
		return tokenText{}, false
	}
	return tokenText{id, secret}, true
}

// tokenExpiry returns when the token of an id expires, and false for what is
// no id.
func tokenExpiry(id string) (time.Time, bool) {
	if len(id) != tokenIDSize {
		return time.Time{}, false
	}
	raw, err := base32.NewEncoding(idDigits).DecodeString(id)
	if err != nil {
		return time.Time{}, false
	}
	return time.Unix(int64(binary.BigEndian.Uint64(append(make([]byte, 3), raw[:5]...))), 0).UTC(), true
}
