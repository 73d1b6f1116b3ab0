package provider

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

var (
	hostLabelRE = regexp.MustCompile(`^[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?$`)
	countryRE   = regexp.MustCompile(`^[A-Z]{2}$`)
)

// checkDNSName returns why s cannot be a DNS name in a certificate, or nil.
// A wildcard is the whole first label, with at least two labels behind it:
// OpenSSL and browsers ignore any other.
func checkDNSName(s string) error {
	switch {
	case s == "":
		return errors.New("a DNS name is empty")
	case len(s) > 253:
		return fmt.Errorf("the DNS name has %d characters; at most 253 are allowed", len(s))
	case strings.Contains(s, "://"):
		return fmt.Errorf("%q is a URL; write the host name alone", s)
	}
	if _, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return fmt.Errorf("%q is an IP address; it belongs into ip_addresses, since clients look for addresses there only", s)
	}
	if host, port, found := strings.Cut(s, ":"); found {
		return fmt.Errorf("%q has a port; a certificate is for a host, so write %q without %q", s, host, ":"+port)
	}
	labels := strings.Split(s, ".")
	if labels[0] == "*" {
		if len(labels) < 3 {
			return fmt.Errorf("the wildcard %q covers a whole top-level domain; clients ignore it unless at least two labels follow the *", s)
		}
		labels = labels[1:]
	}
	for _, label := range labels {
		if err := checkDNSLabel(s, label); err != nil {
			return err
		}
	}
	return nil
}

func checkDNSLabel(name, label string) error {
	switch {
	case label == "":
		return fmt.Errorf("the DNS name %q has an empty label; write it without leading, trailing or double dots", name)
	case len(label) > 63:
		return fmt.Errorf("the label %q of a DNS name has %d characters; at most 63 are allowed", label, len(label))
	case strings.Contains(label, "*"):
		return fmt.Errorf("the wildcard in %q is not the whole first label; write for example *.example.com", name)
	case strings.ContainsFunc(label, func(r rune) bool { return r > 127 }):
		return fmt.Errorf("the DNS name %q is not ASCII; write it in punycode (xn--…)", name)
	case !hostLabelRE.MatchString(label):
		return fmt.Errorf("invalid DNS name %q; use letters, digits and dashes in labels separated by dots", name)
	}
	return nil
}

// checkIPAddress returns why s cannot be an IP address in a certificate, or
// nil.
func checkIPAddress(s string) error {
	addr, err := netip.ParseAddr(s)
	switch {
	case err != nil && strings.Contains(s, "/"):
		return fmt.Errorf("%q is a range; a certificate holds single addresses", s)
	case err != nil:
		return fmt.Errorf("%q is not an IP address; write for example 10.0.0.5 or 2001:db8::1, without port or brackets", s)
	case addr.Zone() != "":
		return fmt.Errorf("%q has a zone, which a certificate cannot hold", s)
	}
	return nil
}

func dnsNameRule() stringRule {
	return stringRule{"must be a DNS name, which may begin with `*.`", "Invalid DNS name", checkDNSName}
}

func ipAddressRule() stringRule {
	return stringRule{"must be an IP address", "Invalid IP address", checkIPAddress}
}

func countryRule() stringRule {
	return stringRule{"must be two capital letters (ISO 3166-1 alpha-2)", "Invalid country", func(s string) error {
		if !countryRE.MatchString(s) {
			return fmt.Errorf("the country is %q; write the two capital letters of ISO 3166-1, such as DE or US", s)
		}
		return nil
	}}
}

// subjectRule holds a part of the subject to the upper bounds of X.520, which
// OpenSSL enforces too.
func subjectRule(most int) stringRule {
	description := fmt.Sprintf("must have 1 to %d characters", most)
	return stringRule{description, "Invalid subject", func(s string) error {
		if n := len([]rune(s)); n == 0 || n > most {
			return fmt.Errorf("this part of the subject has %d characters; 1 to %d are allowed (a longer host name goes into dns_names)", n, most)
		}
		if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '�' }) {
			return errors.New("this part of the subject holds a control character or is not valid UTF-8")
		}
		return nil
	}}
}
