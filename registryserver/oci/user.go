package oci

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/bcrypt"
)

var usernameRE = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9._@+-]{0,126}[a-zA-Z0-9_])?$`)

// The rules for passwords of managed users. bcrypt ignores what follows byte
// 72, so a longer one is refused rather than cut.
const (
	MinPasswordBytes = 8
	MaxPasswordBytes = 72
	MinBcryptCost    = 4
	MaxBcryptCost    = 15
)

// ParseUsername parses the name of a managed user: 1 to 128 letters, digits,
// '.', '_', '@', '+' and '-', beginning with a letter or digit.
func ParseUsername(s string) (string, error) {
	if !usernameRE.MatchString(s) {
		return "", Errorf(CodeInvalid, "invalid user name %q; use 1 to 128 letters, digits, . _ @ + and -, beginning with a letter or digit and ending with one or _", clip(s))
	}
	return s, nil
}

// CheckPassword returns why s cannot be the password of a managed user, or
// nil. The error never holds the password.
func CheckPassword(s string) error {
	switch {
	case len(s) < MinPasswordBytes:
		return Errorf(CodeInvalid, "the password is %d bytes long; at least %d are needed", len(s), MinPasswordBytes)
	case len(s) > MaxPasswordBytes:
		return Errorf(CodeInvalid, "the password is %d bytes long; bcrypt reads at most %d", len(s), MaxPasswordBytes)
	case !utf8.ValidString(s):
		return Errorf(CodeInvalid, "the password is not valid UTF-8")
	case strings.ContainsFunc(s, unicode.IsControl):
		return Errorf(CodeInvalid, "the password holds a control character, such as a line break; remove it")
	}
	return nil
}

// CheckPasswordHash returns why s cannot be the password hash of a user, or
// nil: a bcrypt hash ($2a$, $2b$ or $2y$, as htpasswd -B makes) whose cost the
// server can afford. The error never holds the hash.
func CheckPasswordHash(s string) error {
	cost, err := bcrypt.Cost([]byte(s))
	if err != nil || len(s) != 60 || !bcryptRE.MatchString(s) {
		return Errorf(CodeInvalid, "the password hash is not a bcrypt hash; make one with htpasswd -nBC 10 USER (it begins with $2y$, $2b$ or $2a$ and is 60 characters long)")
	}
	if cost < MinBcryptCost || cost > MaxBcryptCost {
		return Errorf(CodeInvalid, "the bcrypt cost of the password hash is %d; use %d to %d", cost, MinBcryptCost, MaxBcryptCost)
	}
	return nil
}

var bcryptRE = regexp.MustCompile(`^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)

// Limits of what is said about users, policies and repositories.
const (
	MaxDescriptionBytes = 1024
	MaxPoliciesPerUser  = 100
)

// CheckDescription returns why s cannot describe a user, policy or repository, or
// nil.
func CheckDescription(s string) error {
	switch {
	case len(s) > MaxDescriptionBytes:
		return Errorf(CodeInvalid, "the description is %d bytes long; at most %d are allowed", len(s), MaxDescriptionBytes)
	case !utf8.ValidString(s):
		return Errorf(CodeInvalid, "the description is not valid UTF-8")
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }):
		return Errorf(CodeInvalid, "the description holds a control character; remove it")
	}
	return nil
}
