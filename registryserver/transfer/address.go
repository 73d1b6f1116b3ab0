package transfer

import (
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Address is where an image is: what people write, such as
// registry.example.com/team/app:1, with http:// or https:// before it or not.
type Address struct {
	Registry   name.Registry
	Repository string // "" for the registry itself
	Tag        oci.Tag
	Digest     oci.Digest
	plain      bool // without TLS
}

// ParseAddress parses an address. Without http:// it is spoken to over TLS, but
// on this machine, where either will do.
func ParseAddress(text string) (Address, error) {
	rest, scheme := text, ""
	if before, after, ok := strings.Cut(text, "://"); ok {
		scheme, rest = before, strings.TrimSuffix(after, "/")
	}
	if scheme != "" && scheme != "http" && scheme != "https" {
		return Address{}, fmt.Errorf("%q does not begin with https:// or http://, nor with the host of a registry", clip(text))
	}
	host, path, _ := strings.Cut(rest, "/")
	if scheme == "" && host != "localhost" && !strings.ContainsAny(host, ".:") {
		return Address{}, fmt.Errorf("%q does not begin with the host of a registry; write it before the name, such as registry.example.com/%s", clip(text), clip(text))
	}
	if host == "" {
		return Address{}, fmt.Errorf("%q has no host", clip(text))
	}
	if strings.Contains(host, "@") {
		return Address{}, fmt.Errorf("the address of a registry holds no user name or password; give them with --username and --password-file, or log in with docker login")
	}
	a := Address{plain: scheme == "http" || scheme == "" && loopback(host)}
	var options []name.Option
	if a.plain {
		options = append(options, name.Insecure)
	}
	var err error
	if a.Registry, err = name.NewRegistry(host, options...); err != nil {
		return a, fmt.Errorf("%q is no address of a registry: %w", clip(host), err)
	}
	if path == "" {
		return a, nil
	}
	return a, a.setImage(path)
}

// setImage parses NAME[:TAG][@DIGEST].
func (a *Address) setImage(text string) error {
	text, digest, byDigest := strings.Cut(text, "@")
	repository, tag, byTag := strings.Cut(text, ":")
	repo, err := oci.ParseRepository(repository)
	if err != nil {
		return err
	}
	// Docker Hub's own images are in library/.
	a.Repository = a.Registry.Repo(repo.String()).RepositoryStr()
	if byTag {
		if a.Tag, err = oci.ParseTag(tag); err != nil {
			return err
		}
	}
	if byDigest {
		a.Digest, err = oci.ParseDigest(digest)
	}
	return err
}

// String returns the address without a scheme.
func (a Address) String() string {
	text := a.Registry.RegistryStr()
	if a.Repository != "" {
		text += "/" + a.Repository
	}
	if !a.Tag.IsZero() {
		text += ":" + a.Tag.String()
	}
	if !a.Digest.IsZero() {
		text += "@" + a.Digest.String()
	}
	return text
}

// URL returns where the registry is.
func (a Address) URL() *url.URL {
	return &url.URL{Scheme: a.Registry.Scheme(), Host: a.Registry.RegistryStr()}
}

func loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func clip(s string) string {
	const most = 160
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
