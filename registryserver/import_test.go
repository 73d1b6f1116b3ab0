package main_test

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// command is our program as it runs beside a server, in an environment that has nothing of the user's.
type command struct {
	env   []string
	stdin []byte
}

// run runs the program, and returns what it printed where.
func (c command) run(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, buildServer(t), args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "REGISTRY") || strings.HasPrefix(v, "AWS_") || strings.HasPrefix(v, "DOCKER_")
	})
	cmd.Env = append(append(cmd.Env, "HOME="+t.TempDir()), c.env...)
	cmd.Stdin, cmd.WaitDelay = bytes.NewReader(c.stdin), 10*time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// ok runs the program, which must do its work, and returns its output.
func (c command) ok(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, err := c.run(t, args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(args, " "), err, stdout, stderr)
	}
	return stdout
}

// refused runs the program, which must fail and say why.
func (c command) refused(t *testing.T, want string, args ...string) {
	t.Helper()
	stdout, stderr, err := c.run(t, args...)
	if err == nil || !strings.Contains(stderr, want) {
		t.Errorf("%s: %v; want %q\n%s%s", strings.Join(args, " "), err, want, stdout, stderr)
	}
}

// asAdmin is the environment that logs in to a server of adminEnv.
var asAdmin = []string{"REGISTRYSERVER_USERNAME=" + adminUser, "REGISTRYSERVER_PASSWORD=" + adminPassword}

var adminEnv = []string{"REGISTRY_ADMIN_USERNAME=" + adminUser, "REGISTRY_ADMIN_PASSWORD=" + adminPassword}

func TestImportAndExport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := newFixtures(t, filepath.Join(dir, "fixtures"))
	server := startServer(t, filesystemConfig(t.TempDir()), adminEnv...)
	saved, err := os.ReadFile(f.imageArchive)
	if err != nil {
		t.Fatal(err)
	}
	c := command{env: asAdmin}
	piped := command{env: asAdmin, stdin: saved}

	t.Run("standard input", func(t *testing.T) {
		if got := piped.ok(t, "import", "-", server.Host+"/piped/app"); !strings.HasPrefix(got, server.Host+"/piped/app:1@sha256:") {
			t.Errorf("printed %q", got)
		}
		// Again: nothing is sent, and the digest is the same.
		_, said, err := piped.run(t, "import", "-", server.Host+"/piped/app")
		if err != nil || !strings.Contains(said, "0 manifests and 0 blobs (0 B) copied") {
			t.Errorf("%v: %s", err, said)
		}
	})
	t.Run("an OCI layout keeps its digest", func(t *testing.T) {
		got := c.ok(t, "import", f.indexLayout, "http://"+server.Host+"/multi:v1")
		if want := server.Host + "/multi:v1@" + digestOf(t, f.index) + "\n"; got != want {
			t.Errorf("printed %q, want %q", got, want)
		}
	})
	t.Run("names of the archive", func(t *testing.T) {
		if got := c.ok(t, "import", f.imageArchive, server.Host); !strings.HasPrefix(got, server.Host+"/hello:1@") {
			t.Errorf("printed %q", got)
		}
	})
	t.Run("there and back", func(t *testing.T) {
		for _, platform := range []string{"linux/arm64", "all"} {
			file := filepath.Join(dir, "multi.tar")
			c.ok(t, "export", "--platform", platform, server.Host+"/multi:v1", file)
			got := c.ok(t, "import", file, server.Host+"/again:"+strings.ReplaceAll(platform, "/", "-"))
			want := digestOf(t, f.index)
			if platform != "all" {
				want = digestOf(t, platformImage(t, indexSeed, "arm64"))
			}
			if !strings.HasSuffix(got, want+"\n") {
				t.Errorf("%s: printed %q, want %s", platform, got, want)
			}
		}
		stdout := c.ok(t, "export", server.Host+"/multi@"+digestOf(t, f.index), "-")
		amd := command{env: asAdmin, stdin: []byte(stdout)}
		if got := amd.ok(t, "import", "-", server.Host+"/again:amd64"); !strings.HasSuffix(got, digestOf(t, platformImage(t, indexSeed, "amd64"))+"\n") {
			t.Errorf("printed %q", got)
		}
	})
	t.Run("refused", func(t *testing.T) {
		anonymous := command{stdin: saved}
		anonymous.refused(t, "authentication required", "import", "-", server.Host+"/x")
		wrong := command{stdin: saved, env: []string{"REGISTRYSERVER_USERNAME=admin", "REGISTRYSERVER_PASSWORD=wrong"}}
		wrong.refused(t, "wrong user name or password", "import", "-", server.Host+"/x")
		piped.refused(t, "the password cannot", "import", "--password-stdin", "-", server.Host+"/x")
		piped.refused(t, "does not begin with the host", "import", "-", "team/app")
		piped.refused(t, "holds no user name or password", "import", "-", "http://admin:secret@"+server.Host+"/x")
		c.refused(t, "gives the image", "import", f.indexLayout, server.Host)
		c.refused(t, "there is no image nothing in the archive; it has hello:1", "import", "--image", "nothing", f.imageArchive, server.Host+"/x")
		c.refused(t, "no such file", "import", filepath.Join(dir, "nothing.tar"), server.Host+"/x")
		c.refused(t, "nothing came", "import", "-", server.Host+"/x")
		c.refused(t, "has no tag 9", "export", server.Host+"/multi:9", filepath.Join(dir, "x.tar"))
		c.refused(t, "choose one of linux/amd64, linux/arm64", "export", "--platform", "linux/s390x", server.Host+"/multi:v1", filepath.Join(dir, "x.tar"))
		if left, err := filepath.Glob(filepath.Join(dir, ".registryserver-*")); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
	t.Run("a password file", func(t *testing.T) {
		file := filepath.Join(dir, "password")
		if err := os.WriteFile(file, []byte(adminPassword+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		command{}.ok(t, "import", "--username", adminUser, "--password-file", file, f.imageArchive, server.Host+"/by/file")
	})
	t.Run("what docker login keeps", func(t *testing.T) {
		home := t.TempDir()
		config := `{"auths":{"` + server.Host + `":{"username":"` + adminUser + `","password":"` + adminPassword + `"}}}`
		if err := os.WriteFile(filepath.Join(home, "config.json"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		command{env: []string{"DOCKER_CONFIG=" + home}}.ok(t, "import", f.imageArchive, server.Host+"/by/login")
	})
}

// An immutable tag is what it is on this way, too.
func TestImportRespectsImmutableTags(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	config := writeConfig(t, filesystemConfig(root))
	server := startServer(t, filesystemConfig(root), adminEnv...)
	f := newFixtures(t, filepath.Join(t.TempDir(), "fixtures"))
	c := command{env: asAdmin}
	server.login(adminUser, adminPassword)
	if resp, body := do(t, http.MethodPost, server.URL+"/api/v1/repositories", []byte(`{"name":"fixed","immutable_tag_patterns":["v*"]}`), "Content-Type", "application/json"); resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s %s", resp.Status, body)
	}
	c.ok(t, "import", f.imageArchive, server.Host+"/fixed:v1")
	c.ok(t, "import", f.imageArchive, server.Host+"/fixed:v1") // the same
	c.refused(t, "immutable", "import", f.indexLayout, server.Host+"/fixed:v1")
	c.refused(t, "immutable", "import", "--config", config, f.indexLayout, "fixed:v1")
}

// The storage of a configuration takes and gives images with a server on it and
// without; objects in a bucket are archives.
func TestImportIntoStorage(t *testing.T) {
	t.Parallel()
	bucket := startS3(t)
	f := newFixtures(t, filepath.Join(t.TempDir(), "fixtures"))
	saved, err := os.ReadFile(f.imageArchive)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.api().PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(s3Bucket), Key: aws.String("saved/3f2a9c1.tar"), Body: bytes.NewReader(saved)}); err != nil {
		t.Fatal(err)
	}
	c := command{env: []string{"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test-secret", "AWS_REGION=us-east-1", "AWS_ENDPOINT_URL_S3=" + bucket.url}}
	for name, text := range map[string]string{"directory": filesystemConfig(t.TempDir()), "bucket": bucket.config()} {
		t.Run(name, func(t *testing.T) {
			config := writeConfig(t, text)
			c.ok(t, "import", "--config", config, "s3://"+s3Bucket+"/saved/3f2a9c1.tar", "app:3f2a9c1")
			server := startServer(t, text)
			c.ok(t, "import", "--config", config, f.indexLayout, "multi:v1") // while the server runs
			if got := c.ok(t, "export", "--platform", "all", server.Host+"/multi:v1", "s3://"+s3Bucket+"/out/"+name+".tar"); !strings.Contains(got, digestOf(t, f.index)) {
				t.Errorf("printed %q", got)
			}
			if got := c.ok(t, "import", "s3://"+s3Bucket+"/out/"+name+".tar", server.Host+"/again"); !strings.HasSuffix(got, "/again:v1@"+digestOf(t, f.index)+"\n") {
				t.Errorf("printed %q", got)
			}
			file := filepath.Join(t.TempDir(), "app.tar")
			c.ok(t, "export", "--config", config, "app:3f2a9c1", file)
			c.ok(t, "import", file, server.Host)
			c.ok(t, "fsck", config)
		})
	}
	c.refused(t, "get s3://"+s3Bucket+"/nothing", "import", "--config", writeConfig(t, filesystemConfig(t.TempDir())), "s3://"+s3Bucket+"/nothing", "app")
}
