// Command terraform downloads one release of Terraform and checks it against the SHA256SUMS published beside it.
//
//	go run .ci/terraform.go -version 1.11.4 -into DIRECTORY
//
// It is Go and not shell because Go is the one thing that a machine which builds this repository surely has; curl and unzip are not.
// TERRAFORM_RELEASES_URL names a mirror that has the same layout as releases.hashicorp.com/terraform.
package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

const (
	releases = "https://releases.hashicorp.com/terraform"
	// maxDownload is some five times what a release weighs: enough for years, and no way to fill a disk.
	maxDownload = 256 << 20
	timeout     = 10 * time.Minute
)

func main() {
	version := flag.String("version", "", "the release, such as 1.11.4")
	into := flag.String("into", ".", "the directory that gets the program")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := download(ctx, *version, *into); err != nil {
		fmt.Fprintf(os.Stderr, "download terraform %s: %v\n", *version, err)
		fmt.Fprintln(os.Stderr, "Put a terraform on the PATH, or set TERRAFORM to one, or TERRAFORM_RELEASES_URL to a mirror.")
		os.Exit(1)
	}
}

func download(ctx context.Context, version, into string) error {
	base := releases
	if mirror := os.Getenv("TERRAFORM_RELEASES_URL"); mirror != "" {
		base = strings.TrimSuffix(mirror, "/")
	}
	release := base + "/" + version + "/"
	archive := fmt.Sprintf("terraform_%s_%s_%s.zip", version, runtime.GOOS, runtime.GOARCH)

	sums, err := get(ctx, release+fmt.Sprintf("terraform_%s_SHA256SUMS", version))
	if err != nil {
		return err
	}
	want, err := checksum(sums, archive)
	if err != nil {
		return err
	}
	body, err := get(ctx, release+archive)
	if err != nil {
		return err
	}
	if got := sha256.Sum256(body); hex.EncodeToString(got[:]) != want {
		return fmt.Errorf("%s has SHA-256 %x, but SHA256SUMS says %s", archive, got, want)
	}
	return unpack(body, into)
}

func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDownload+1))
	if err == nil && len(body) > maxDownload {
		err = fmt.Errorf("GET %s: more than %d bytes", url, maxDownload)
	}
	return body, err
}

// checksum finds a file's line in the output of sha256sum.
func checksum(sums []byte, file string) (string, error) {
	for line := range strings.Lines(string(sums)) {
		if sum, name, _ := strings.Cut(strings.TrimSpace(line), "  "); name == file {
			return sum, nil
		}
	}
	return "", fmt.Errorf("SHA256SUMS does not name %s", file)
}

// unpack writes the program, and nothing else that the archive holds, such as its licence.
func unpack(archive []byte, into string) error {
	program := "terraform"
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	reader, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return err
	}
	source, err := reader.Open(program)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(filepath.Join(into, program), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, source); err != nil {
		target.Close()
		return err
	}
	return target.Close()
}
