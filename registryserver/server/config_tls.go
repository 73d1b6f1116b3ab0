package server

import (
	"crypto/tls"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// finishTLS settles on plain HTTP or on a complete TLSConfig.
func (l *configLoader) finishTLS() {
	c := l.config.HTTP.TLS
	l.finishLetsEncrypt(c)
	switch {
	case c.Managed && l.config.HTTP.Secret == "" && l.config.AWS.Secrets.HTTP == "":
		l.failAt("http.secret", "is missing; http.tls.managed needs it, to encrypt private keys")
	case c.Certificate == "" && c.Key == "" && (c.Managed || len(c.LetsEncrypt.Hosts) > 0):
	case c.Certificate == "" && c.Key == "":
		if len(c.ClientCAs) > 0 {
			l.warnAt("http.tls.clientcas", "has no effect without http.tls.certificate: clients are not asked for certificates")
		}
		l.config.HTTP.TLS = nil
		return
	case c.Certificate == "":
		l.failAt("http.tls.certificate", "is missing beside http.tls.key; write both or neither")
	case c.Key == "":
		l.failAt("http.tls.key", "is missing beside http.tls.certificate; write both or neither")
	}
	if c.MinVersion < tls.VersionTLS12 {
		l.warnAt("http.tls.minimumtls", "allows versions of TLS that are broken; use tls1.2 or tls1.3")
	}
	l.finishCiphers(c)
	switch {
	case len(c.ClientCAs) == 0 && c.ClientAuth != tls.NoClientCert:
		l.warnAt("http.tls.clientauth", "has no effect without http.tls.clientcas, as in distribution")
		c.ClientAuth = tls.NoClientCert
	case len(c.ClientCAs) > 0 && c.ClientAuth == tls.NoClientCert:
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
}

// finishLetsEncrypt reports what cannot work. In distribution cachefile is what
// turns ACME on; here any of the keys does.
func (l *configLoader) finishLetsEncrypt(c *TLSConfig) {
	const key = "http.tls.letsencrypt"
	cacheFile := l.root.at(key + ".cachefile")
	if cacheFile.text != "" {
		l.warn(key+".cachefile", cacheFile, "has no effect: account and certificates are kept in the registry's storage; remove it")
	}
	switch {
	case len(c.LetsEncrypt.Hosts) == 0 && c.LetsEncrypt.Email+c.LetsEncrypt.DirectoryURL+cacheFile.text == "":
		return // if there are hosts that are none, that has been reported
	case len(c.LetsEncrypt.Hosts) == 0 && len(l.root.at(key+".hosts").items) == 0:
		l.failAt(key+".hosts", "is missing; write the DNS names of this registry")
	case c.Certificate != "" || c.Key != "":
		l.failAt(key+".hosts", "is written beside http.tls.certificate; write one of them")
	case l.config.HTTP.Net != "tcp":
		l.failAt(key+".hosts", "needs http.net tcp: an ACME server cannot connect to a socket file")
	}
	if u, err := url.Parse(c.LetsEncrypt.DirectoryURL); c.LetsEncrypt.DirectoryURL != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil) {
		l.failAt(key+".directoryurl", "is not the https URL of an ACME server's directory; write it without user name, or nothing for Let's Encrypt")
	}
}

// asDNSName is a name that an ACME server can check over TLS: not a wildcard,
// not an address.
func asDNSName() scalar[string] {
	return scalar[string]{
		tag: "!!str", want: "a DNS name with a dot, such as registry.example.com (xn--… for one that is not ASCII)",
		parse: func(s string) (string, bool) {
			_, err := netip.ParseAddr(s)
			return strings.ToLower(s), err != nil && len(s) <= 253 && dnsNameRE.MatchString(s)
		},
		format: strings.Clone,
	}
}

var dnsNameRE = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)+$`)

func (l *configLoader) finishCiphers(c *TLSConfig) {
	const key = "http.tls.ciphersuites"
	if len(c.CipherSuites) > 0 && c.MinVersion >= tls.VersionTLS13 {
		l.warnAt(key, "has no effect with http.tls.minimumtls tls1.3, whose cipher suites cannot be chosen")
		c.CipherSuites = nil
	}
	for _, s := range tls.InsecureCipherSuites() {
		if slices.Contains(c.CipherSuites, s.ID) {
			l.warnAt(key, "%s is insecure; remove it", s.Name)
		}
	}
}
