package modules

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// TestInstall runs what fetches the server on a stock machine image, made by terraform from the module, against an S3 server that verifies
// signatures: only the program with the checksum is installed, and one that is there already is not fetched.
func TestInstall(t *testing.T) {
	t.Parallel()
	const program, old = "#!/bin/sh\necho new\n", "#!/bin/sh\necho old\n"
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(program)))
	w := newBootWorld(t, func(s3 string) string {
		return fmt.Sprintf(`{"config": {}, "install": {"bucket": "images", "key": "programs/registryserver", "sha256": %q, "region": "us-east-1", "endpoint": %q}}`, sum, s3)
	})
	installed := filepath.Join(w.dir, "registryserver")
	if err := os.WriteFile(installed, []byte(old), 0o700); err != nil {
		t.Fatal(err)
	}
	install := func() (string, error) {
		cmd := exec.CommandContext(t.Context(), filepath.Join(w.dir, "registry-install"))
		cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	expect := func(content string, mode fs.FileMode) {
		t.Helper()
		got, err := os.ReadFile(installed)
		info, statErr := os.Stat(installed)
		if err != nil || statErr != nil || string(got) != content || info.Mode().Perm() != mode {
			t.Errorf("the program is %q %v, %v %v; want %q %v", got, info.Mode().Perm(), err, statErr, content, mode)
		}
	}

	if out, err := install(); err == nil {
		t.Errorf("what is not in the bucket is installed: %s", out)
	}
	expect(old, 0o700)
	w.put("programs/registryserver", program+"# not the same\n")
	want := "programs/registryserver is not the program whose SHA-256 is " + sum + "; upload that one, or correct the checksum."
	if out, err := install(); err == nil || !strings.Contains(out, want) {
		t.Errorf("a program with another checksum: %v\n%s", err, out)
	}
	expect(old, 0o700)
	w.put("programs/registryserver", program)
	if out, err := install(); err != nil || out != "" {
		t.Errorf("install: %v\n%s", err, out)
	}
	expect(program, 0o755)
	w.stopS3()
	if out, err := install(); err != nil || out != "" {
		t.Errorf("with the program there already: %v\n%s", err, out)
	}
}

// put makes an object in the bucket.
func (w *bootWorld) put(key, text string) {
	w.Helper()
	if _, err := w.api.PutObject(w.Context(), &s3.PutObjectInput{Bucket: &w.bucket, Key: aws.String(key), Body: strings.NewReader(text)}); err != nil {
		w.Fatal(err)
	}
}
