//go:build linux

package awstest

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"
	"time"
)

// TestMachine: a machine runs the user data of its metadata service, and what cannot start is switched off with the reason on the console.
func TestMachine(t *testing.T) {
	w := NewWorld(t)
	machines := NewMachines(t, w)
	var userData bytes.Buffer
	z := gzip.NewWriter(&userData)
	_, err := z.Write([]byte(`#cloud-config
write_files:
  - {path: /etc/greeting, content: hello}
runcmd:
  - [sh, -c, "getent ahosts s3.eu-west-1.amazonaws.com >/etc/found; touch /etc/done"]
`))
	if err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	i := testInstance()
	i.UserData = userData.Bytes()
	m, err := machines.Start(i)
	if err != nil {
		t.Fatal(err)
	}
	var found string
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if found, err = m.Run("sh", "-c", "test -e /etc/done && cat /etc/greeting /etc/found /proc/sys/kernel/hostname"); err == nil {
			break
		}
		if time.Now().After(deadline) {
			status, _ := m.Run("sh", "-c", "cloud-init status --long; cat /run/cloud-init/ds-identify.log; tail -n 40 /var/log/cloud-init.log; ip a; systemctl list-jobs; systemctl --failed")
			t.Fatalf("cloud-init did not end: %v\n%s\n%s\n%s", err, m.Console(), status, m.Metadata.Refused())
		}
	}
	t.Logf("cloud-init had run after %s: %q", time.Since(m.Started).Round(100*time.Millisecond), found)
	if !strings.HasPrefix(found, "hello") || !strings.Contains(found, apisAddress) {
		t.Errorf("found %q", found)
	}
	if out, err := m.Run("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "http://169.254.169.254/latest/user-data"); out != "401" {
		t.Errorf("without a token the metadata service answers %s, %v", out, err)
	}
	if _, err := m.Run("sh", "-c", "echo last words >/dev/console; systemctl poweroff --no-block"); err != nil {
		t.Error(err)
	}
	for deadline := time.Now().Add(30 * time.Second); m.Running(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the machine is not off")
		}
	}
	if console := m.Console(); !strings.Contains(console, "last words") {
		t.Errorf("the console has\n%s", console)
	}
	if err := m.Terminate(); err != nil {
		t.Error(err)
	}
}
