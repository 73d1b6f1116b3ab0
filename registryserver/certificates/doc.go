// Package certificates keeps the certificates that a server does not read from
// files: those that it gets by itself over ACME, and those that an admin has
// installed. Both lie in the registry's storage, so that every server on it
// shows the same ones. Which of them a client is shown is decided in package
// server.
package certificates

import (
	"crypto/x509"
	"strings"
	"time"
)

// Expiry says until when a certificate can be used.
type Expiry struct {
	Source string // "file", "acme" or "installed"
	Name   string // path, host or name
	// WarnFrom is when somebody should look: a healthy certificate was replaced
	// before that, one over ACME days before.
	WarnFrom  time.Time
	NotBefore time.Time
	NotAfter  time.Time
}

// ExpiryOf returns the Expiry of a certificate: it is warned of from 30 days
// before its end, or for the last third of a shorter life.
func ExpiryOf(source, name string, leaf *x509.Certificate) Expiry {
	return Expiry{
		Source: source, Name: name, NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
		WarnFrom: leaf.NotAfter.Add(-warnBefore(leaf)),
	}
}

// warnBefore is how long before its end a certificate is warned of. It is also
// when autocert would renew one.
func warnBefore(leaf *x509.Certificate) time.Duration {
	return min(30*24*time.Hour, leaf.NotAfter.Sub(leaf.NotBefore)/3)
}

// normalName is a server name of a client as names are kept here.
func normalName(s string) string {
	return strings.ToLower(strings.TrimSuffix(s, "."))
}
