package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const clientSetupUsage = `Usage:
  registryserver client-setup HOST [--ca ca.pem]

Prints what each client needs to trust a private CA and to log in. HOST is the
registry's name as clients write it, such as registry.example.com or
registry.example.com:5000. --ca names the file with the CA's certificate.
`

// clientSetup prints the steps of every client for one registry.
func clientSetup(args []string, stdout, stderr io.Writer) error {
	host, file, err := clientSetupArgs(args, stderr)
	if err != nil {
		return err
	}
	name, err := checkRegistryHost(host)
	if err != nil {
		return fmt.Errorf("HOST %q: %w", host, err)
	}
	about := "# ca.pem stands for the file with the CA's certificate; for a self-signed one, that is the registry's certificate itself.\n"
	if file == "" {
		file = "ca.pem"
	} else if about, err = describeCA(file, time.Now()); err != nil {
		return err
	}
	_, err = strings.NewReplacer(
		"{{about}}\n", about,
		"{{host}}", host,
		"{{name}}", name,
		"{{ca}}", quoteFor(file, `'\''`),
		"{{powershell-ca}}", quoteFor(file, `''`),
	).WriteString(stdout, clientSetupText)
	return err
}

// clientSetupArgs takes options before and after HOST.
func clientSetupArgs(args []string, stderr io.Writer) (host, file string, err error) {
	flags := flag.NewFlagSet("client-setup", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, clientSetupUsage) }
	flags.StringVar(&file, "ca", "", "")
	var hosts []string
	for len(args) > 0 {
		if err := flags.Parse(args); err != nil {
			return "", "", flag.ErrHelp // what is wrong has been printed
		}
		if args = flags.Args(); len(args) > 0 {
			hosts, args = append(hosts, args[0]), args[1:]
		}
	}
	if len(hosts) != 1 {
		flags.Usage()
		return "", "", flag.ErrHelp
	}
	return hosts[0], file, nil
}

// dnsName is a host name in the grammar of image references.
var dnsName = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)*$`)

// checkRegistryHost returns the name in host[:port], or says why no client would take it for a registry.
func checkRegistryHost(host string) (string, error) {
	example := "write it as in an image's name, for example registry.example.com:5000"
	switch {
	case strings.Contains(host, "://"):
		return "", errors.New("that is a URL; leave out the scheme and " + example)
	case strings.Contains(host, "/"):
		return "", errors.New("that is more than the host; leave out what follows the slash and " + example)
	}
	name, port := host, ""
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		name, port = host[:i], host[i+1:]
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "", fmt.Errorf("%q is no port; a port is a number from 1 to 65535", port)
		}
	}
	if literal, ok := strings.CutPrefix(name, "["); ok {
		address, err := netip.ParseAddr(strings.TrimSuffix(literal, "]"))
		if err != nil || !address.Is6() || address.Zone() != "" {
			return "", fmt.Errorf("%s is no IPv6 address", name)
		}
		return strings.ReplaceAll(address.String(), ":", "-"), nil
	}
	switch {
	case strings.Contains(name, ":"):
		return "", errors.New("an IPv6 address belongs in brackets, for example [2001:db8::1]:5000")
	case !dnsName.MatchString(name):
		return "", errors.New("that is no host name; " + example)
	case port == "" && name != "localhost" && !strings.Contains(name, "."):
		// In "hub/app" clients see a user of Docker Hub.
		return "", fmt.Errorf("clients take a name without a dot for a user of Docker Hub; write %s:443, or a name with a domain", name)
	}
	return name, nil
}

// describeCA says what the file holds, as comments. A file that no client could use is an error, and so is a private key.
func describeCA(file string, now time.Time) (string, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the CA's certificate: %w", err)
	}
	var about strings.Builder
	var others []string
	for rest := content; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return "", fmt.Errorf("%s holds a private key, which belongs on the server only; give the certificate alone", file)
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return "", fmt.Errorf("%s: %w", file, err)
		}
		if !certificate.IsCA && certificate.CheckSignature(certificate.SignatureAlgorithm, certificate.RawTBSCertificate, certificate.Signature) != nil {
			others = append(others, fmt.Sprintf("%s, signed by %s", certificate.Subject, certificate.Issuer))
			continue
		}
		if now.After(certificate.NotAfter) {
			return "", fmt.Errorf("%s: the certificate of %s expired on %s; no client will trust it", file, certificate.Subject, certificate.NotAfter.Format(time.DateOnly))
		}
		fmt.Fprintf(&about, "# %s: %s, valid until %s,\n#   SHA-256 fingerprint %X\n", file, certificate.Subject,
			certificate.NotAfter.Format(time.DateOnly), sha256.Sum256(certificate.Raw))
	}
	switch {
	case about.Len() > 0:
		return about.String(), nil
	case len(others) > 0:
		return "", fmt.Errorf("%s holds the certificate of %s: clients need the certificate of the CA that signed it", file, strings.Join(others, "; "))
	}
	return "", fmt.Errorf("%s holds no certificate; it must be a PEM file, with a line -----BEGIN CERTIFICATE-----", file)
}

var needsNoQuotes = regexp.MustCompile(`^[a-zA-Z0-9_./:\\-][a-zA-Z0-9_./:-]*$`)

// quoteFor quotes a file name for a shell in which a quote within quotes is written so.
func quoteFor(file, quote string) string {
	if strings.HasPrefix(file, "-") {
		file = "./" + file
	}
	if needsNoQuotes.MatchString(file) {
		return file
	}
	return "'" + strings.ReplaceAll(file, "'", quote) + "'"
}
