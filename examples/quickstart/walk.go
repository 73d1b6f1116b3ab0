package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// walk pushes an image as the CI user, pulls it as the reader, and checks what
// neither the reader nor a stranger may do.
func walk(ctx context.Context, r *registry, u users, program string) error {
	ref, err := name.ParseReference(r.host+"/team/hello:1.0", name.Insecure)
	if err != nil {
		return err
	}
	step("Building an image without Docker and pushing it as " + u.ci.name)
	image, err := buildImage(program)
	if err != nil {
		return err
	}
	pushed, err := image.Digest()
	if err != nil {
		return err
	}
	if err := remote.Write(ref, image, u.ci.option(), remote.WithContext(ctx)); err != nil {
		return fmt.Errorf("push as %s: %w", u.ci.name, err)
	}
	done("pushed %s", ref)
	done("digest %s", pushed)

	step("Pulling it back as " + u.reader.name)
	if err := pullBack(ctx, ref, u.reader.option(), pushed); err != nil {
		return err
	}
	done("digest %s, every layer verified", pushed)

	step("What may not be done")
	// Another tag: a client does not push what it sees is there already.
	mine, err := name.ParseReference(r.host+"/team/hello:mine", name.Insecure)
	if err != nil {
		return err
	}
	elsewhere, err := name.ParseReference(r.host+"/other/hello:1.0", name.Insecure)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		what   string
		do     func() error
		status int
	}{
		{u.reader.name + " may not push", func() error { return remote.Write(mine, image, u.reader.option(), remote.WithContext(ctx)) }, http.StatusForbidden},
		{u.ci.name + " may not push outside of team/*", func() error { return remote.Write(elsewhere, image, u.ci.option(), remote.WithContext(ctx)) }, http.StatusForbidden},
		{"a stranger may not pull", func() error {
			_, err := remote.Get(ref, remote.WithAuth(authn.Anonymous), remote.WithContext(ctx))
			return err
		}, http.StatusUnauthorized},
	} {
		if err := refused(c.do(), c.status); err != nil {
			return fmt.Errorf("%s: %w", c.what, err)
		}
		done("%s: %d %s", c.what, c.status, http.StatusText(c.status))
	}
	step("The certificate that Terraform made")
	return checkCertificate(u)
}

func (a account) option() remote.Option {
	return remote.WithAuth(&authn.Basic{Username: a.name, Password: a.password})
}

// refused checks that err is the registry's answer of the status.
func refused(err error, status int) error {
	var answer *transport.Error
	switch {
	case err == nil:
		return errors.New("it was allowed")
	case !errors.As(err, &answer) || answer.StatusCode != status:
		return fmt.Errorf("want status %d: %w", status, err)
	}
	return nil
}

// buildImage makes an image of one layer that holds the program.
func buildImage(program string) (v1.Image, error) {
	content, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	var layer bytes.Buffer
	archive := tar.NewWriter(&layer)
	if err := archive.WriteHeader(&tar.Header{Name: "hello", Mode: 0o755, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
		return nil, err
	}
	if _, err := archive.Write(content); err != nil {
		return nil, err
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	files, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil })
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, files)
	if err != nil {
		return nil, err
	}
	return mutate.ConfigFile(image, &v1.ConfigFile{
		OS: "linux", Architecture: runtime.GOARCH,
		Config: v1.Config{Entrypoint: []string{"/hello"}},
		RootFS: must(image.ConfigFile()).RootFS,
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // an image in memory has a configuration
	}
	return v
}

// pullBack pulls the image and reads its layers; go-containerregistry checks
// each digest as it reads.
func pullBack(ctx context.Context, ref name.Reference, auth remote.Option, want v1.Hash) error {
	image, err := remote.Image(ref, auth, remote.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("pull: %w", err)
	}
	got, err := image.Digest()
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("pulled digest %s, pushed %s", got, want)
	}
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	for _, layer := range layers {
		content, err := layer.Compressed()
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, content)
		if err := errors.Join(err, content.Close()); err != nil {
			return fmt.Errorf("pull a layer: %w", err)
		}
	}
	return nil
}

// checkCertificate verifies the server's certificate against the CA, as a
// client of the registry would.
func checkCertificate(u users) error {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(u.ca)) {
		return errors.New("the CA is not in PEM form")
	}
	block, _ := pem.Decode([]byte(u.cert))
	if block == nil {
		return errors.New("the server's certificate is not in PEM form")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "localhost"}); err != nil {
		return err
	}
	done("for %v, signed by %s, until %s", leaf.DNSNames, leaf.Issuer.CommonName, leaf.NotAfter.Format("2006-01-02"))
	return nil
}
