package provider

import (
	"crypto/x509"
	"strings"
	"testing"
)

func TestDNSNames(t *testing.T) {
	long := strings.Repeat("a", 63)
	for name, complaint := range map[string]string{
		"registry.example.com":                  "",
		"localhost":                             "",
		"*.example.com":                         "",
		"my_service":                            "",
		"xn--mnchen-3ya.example":                "",
		"a-b.c--d.9":                            "",
		long + ".example":                       "",
		"":                                      "is empty",
		"https://registry.example.com":          "is a URL",
		"registry.example.com:5000":             `write "registry.example.com" without ":5000"`,
		"10.0.0.5":                              "belongs into ip_addresses",
		"2001:db8::1":                           "belongs into ip_addresses",
		"[::1]":                                 "belongs into ip_addresses",
		"*":                                     "at least two labels",
		"*.com":                                 "at least two labels",
		"a.*.com":                               "not the whole first label",
		"w*.example.com":                        "not the whole first label",
		"*.*.example.com":                       "not the whole first label",
		"example.com.":                          "empty label",
		".example.com":                          "empty label",
		"a..b":                                  "empty label",
		"-a.example":                            "invalid DNS name",
		"a-.example":                            "invalid DNS name",
		"münchen.example":                       "punycode",
		"a b":                                   "invalid DNS name",
		"a.example\n":                           "invalid DNS name",
		long + "a.example":                      "at most 63",
		strings.Repeat(long+".", 4) + "example": "at most 253",
		"user@example.com":                      "invalid DNS name",
	} {
		check(t, name, checkDNSName(name), complaint)
	}
}

func TestIPAddresses(t *testing.T) {
	for ip, complaint := range map[string]string{
		"10.0.0.5":       "",
		"::1":            "",
		"2001:db8::1":    "",
		"":               "not an IP address",
		"10.0.0.0/8":     "is a range",
		"10.0.0.5:5000":  "not an IP address",
		"[::1]":          "not an IP address",
		"fe80::1%eth0":   "has a zone",
		"10.0.0.05":      "not an IP address",
		"registry.local": "not an IP address",
	} {
		check(t, ip, checkIPAddress(ip), complaint)
	}
}

func TestSubjects(t *testing.T) {
	check(t, "one", subjectRule(64).check("x"), "")
	check(t, "none", subjectRule(64).check(""), "0 characters")
	check(t, "most", subjectRule(64).check(strings.Repeat("ü", 64)), "")
	check(t, "more", subjectRule(64).check(strings.Repeat("ü", 65)), "65 characters")
	check(t, "newline", subjectRule(64).check("a\nb"), "control character")
	check(t, "DE", countryRule().check("DE"), "")
	check(t, "de", countryRule().check("de"), "two capital letters")
	check(t, "Germany", countryRule().check("Germany"), "two capital letters")
}

// check expects an error that holds complaint, or none where that is empty.
func check(t *testing.T, what string, err error, complaint string) {
	t.Helper()
	switch {
	case err == nil && complaint != "":
		t.Errorf("%q: no error, want %q", what, complaint)
	case err != nil && (complaint == "" || !strings.Contains(err.Error(), complaint)):
		t.Errorf("%q: %v, want %q", what, err, complaint)
	}
}

// What passes as a DNS name is one for crypto/x509 too.
func FuzzDNSName(f *testing.F) {
	for _, seed := range []string{"registry.example.com", "*.example.com", "a_b", "*", "a:1", "[::1]", "ü", "1.2.3.4", "a..b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if checkDNSName(name) != nil {
			return
		}
		host := strings.Replace(name, "*", "any", 1)
		if err := (&x509.Certificate{DNSNames: []string{name}}).VerifyHostname(host); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	})
}
