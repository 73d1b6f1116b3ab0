package image_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// probe writes to the console what can only be seen from within. User data brings it, as it brings a CA.
const probe = `exec >/dev/console 2>&1
cloud-init status --wait --long | sed 's/^/PROBE cloud-init /'
systemd-analyze security registry.service --no-pager | tail -n 1 | sed 's/^/PROBE security /'
ss -Hlntu | sed 's/^/PROBE listens /'
systemctl --failed --plain --no-legend | sed 's/^/PROBE failed /'
df --output=size --block-size=1M / | tail -n 1 | sed 's/^/PROBE root /'
sed 's/^/PROBE image /' /etc/registryserver-image
systemd-analyze | head -n 1 | sed 's/^/PROBE time /'
cat /proc/sys/kernel/random/boot_id /etc/machine-id | sed 's/^/PROBE id /'
echo PROBE done
`

// TestBoot boots the image as an instance of EC2, with the user data of the launch template that Terraform made, and uses the registry on it.
func TestBoot(t *testing.T) {
	t.Parallel()
	image, w := theImage(t), newWorld(t)
	userData := w.launch(t, map[string]string{
		"/etc/registry/probe.sh":                            probe,
		"/etc/systemd/system/registry.service.d/probe.conf": "[Unit]\nWants=probe.service\n",
		"/etc/systemd/system/probe.service":                 "[Unit]\nAfter=registry.service\n[Service]\nExecStart=/bin/sh /etc/registry/probe.sh\n",
	})
	metadata := w.metadata(t, userData)
	m := boot(t, image, w)

	took := m.wait(t, "/readyz answers", func() error {
		status, body, err := get(t.Context(), "http://127.0.0.1:"+m.port+"/readyz")
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("%d %s", status, body)
		}
		return err
	})
	t.Logf("the registry was ready %.0f s after the power was switched on (%s)", took.Seconds(), strings.Join(acceleration()[:2], " "))
	m.wait(t, "the group was told to go on", func() error { return w.toldToGoOn(t) })
	checkImages(t, "127.0.0.1:"+m.port)
	m.said(t, "PROBE done")
	checkProbe(t, m.read())
	checkConsole(t, m.read())
	if len(metadata.Refused()) > 0 || metadata.Answered("/latest/user-data") == 0 {
		t.Errorf("asked without a token: %v; user data was read %d times", metadata.Refused(), metadata.Answered("/latest/user-data"))
	}
}

// checkImages pushes an image as the admin whose password only Secrets Manager has, and pulls it by digest; layers come from the bucket.
func checkImages(t *testing.T, address string) {
	t.Helper()
	image, err := random.Image(256<<10, 3)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(address+"/team/app:v1", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	anonymous := remote.Write(tag, image, remote.WithContext(t.Context()))
	if anonymous == nil || !strings.Contains(anonymous.Error(), "UNAUTHORIZED") {
		t.Errorf("a push without a login: %v", anonymous)
	}
	login := []remote.Option{remote.WithContext(t.Context()), remote.WithAuth(&authn.Basic{Username: "root", Password: adminPassword})}
	if err := remote.Write(tag, image, login...); err != nil {
		t.Fatalf("push: %v", err)
	}
	back, err := remote.Image(tag.Context().Digest(digest.String()), login...)
	if err != nil {
		t.Fatalf("pull: %v", err)
	}
	if err := validate.Image(back); err != nil {
		t.Errorf("what was pulled is not what was pushed: %v", err)
	}
}

// maxExposure is what systemd may think of the unit, and enough is how large the root file system has to be on a disk of 4 GiB.
const (
	maxExposure = 2.0
	enough      = 3500
)

func checkProbe(t *testing.T, console string) {
	t.Helper()
	found := map[string][]string{}
	for _, match := range regexp.MustCompile(`PROBE ([a-z-]+) (.*?)\r?\n`).FindAllStringSubmatch(console, -1) {
		found[match[1]] = append(found[match[1]], strings.TrimSpace(match[2]))
	}
	if status := strings.Join(found["cloud-init"], "\n"); !strings.Contains(status, "status: done") || !strings.Contains(status, "errors: []") {
		t.Errorf("cloud-init: %s", status)
	}
	exposure := regexp.MustCompile(`[0-9]+\.[0-9]`).FindString(strings.Join(found["security"], " "))
	if value, err := strconv.ParseFloat(exposure, 64); err != nil || value >= maxExposure {
		t.Errorf("the unit's exposure: %s", found["security"])
	}
	if len(found["failed"]) > 0 {
		t.Errorf("units have failed: %s", strings.Join(found["failed"], ", "))
	}
	if size, err := strconv.Atoi(strings.Join(found["root"], "")); err != nil || size < enough {
		t.Errorf("the root file system has %s MiB", found["root"])
	}
	for _, socket := range found["listens"] {
		local := strings.Fields(socket)[4]
		if own := strings.HasSuffix(local, ":5000"); !own && !strings.HasPrefix(local, "127.0.0.5") && !strings.Contains(local, "%") && !strings.HasSuffix(local, ":68") && !strings.HasSuffix(local, ":546") {
			t.Errorf("something else than the registry listens: %s", socket)
		}
	}
	if len(found["listens"]) == 0 || len(found["id"]) != 2 || len(found["id"][1]) != 32 {
		t.Errorf("listening: %s; ids: %s", found["listens"], found["id"])
	}
	if !strings.Contains(strings.Join(found["image"], "\n"), "VERSION=1.2.3-test") {
		t.Errorf("/etc/registryserver-image: %s", found["image"])
	}
	t.Logf("%s; exposure of the unit: %s", strings.Join(found["time"], ""), exposure)
}

// checkConsole: what AWS keeps of the console is for everybody who may look at the instance.
func checkConsole(t *testing.T, console string) {
	t.Helper()
	for what, secret := range map[string]string{"HTTP secret": httpSecret, "admin's password": adminPassword, "key of the role": secretKey} {
		if strings.Contains(console, secret) {
			t.Errorf("the %s is on the console", what)
		}
	}
	if regexp.MustCompile(`(?m)^.*login: `).MatchString(console) {
		t.Error("the console asks for a login")
	}
}

// TestBootFails boots the image with a secret that is not there: the reason is on the console and in the bucket, and the machine switches itself off.
func TestBootFails(t *testing.T) {
	if testing.Short() {
		t.Skip("not in short form, which boots one image")
	}
	t.Parallel()
	image, w := theImage(t), newWorld(t)
	config := w.config()
	config["aws"].(map[string]any)["secrets"] = map[string]any{"http": "no-such-secret"}
	w.metadata(t, w.userData(t, config, map[string]string{}))
	m := boot(t, image, w)
	waitForEnd(t, m)
	const reason = "there is no secret no-such-secret in this region"
	if !strings.Contains(m.read(), "the instance could not start the server") || !strings.Contains(m.read(), reason) {
		t.Errorf("the console does not say why:\n%s", m.read())
	}
	checkConsole(t, m.read())
	report, err := w.bucket.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("registrykit/v1/boot/" + w.instanceID)})
	if err != nil {
		t.Fatalf("there is no boot report: %v", err)
	}
	defer report.Body.Close()
	text, err := io.ReadAll(report.Body)
	if err != nil || !strings.Contains(string(text), reason) {
		t.Errorf("the boot report: %q, %v", text, err)
	}
}

// TestBootWithoutUserData boots the image with user data that starts no server.
func TestBootWithoutUserData(t *testing.T) {
	if testing.Short() {
		t.Skip("not in short form, which boots one image")
	}
	t.Parallel()
	image, w := theImage(t), newWorld(t)
	w.metadata(t, []byte("#cloud-config\nhostname: nothing\n"))
	m := boot(t, image, w)
	waitForEnd(t, m)
	if !strings.Contains(m.read(), "has started no server") {
		t.Errorf("the console does not say why:\n%s", m.read())
	}
}

// waitForEnd waits until the machine has switched itself off.
func waitForEnd(t *testing.T, m *machine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bootTimeout)
	defer cancel()
	select {
	case err := <-m.ended:
		t.Logf("switched off after %.0f s (%v)", time.Since(m.started).Seconds(), err)
	case <-ctx.Done():
		t.Fatal("the machine goes on")
	}
}
