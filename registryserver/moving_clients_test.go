package main_test

import (
	"os"
	"path/filepath"
	"testing"
)

// TestArchivesOfClients: what the registry streams as an archive, Docker, podman and skopeo load, on a machine that has no login.
func TestArchivesOfClients(t *testing.T) {
	archiveURL := "https://" + registryHost + "/api/v1/archives/team/hello:1.0.0"
	// fetch is how a script gets an archive: with curl, and a password that is nowhere else.
	fetch := "curl --silent --show-error --fail --cacert ca.pem --user '" + adminUser + ":" + adminPassword + "' " + archiveURL
	const ref = registryHost + "/team/hello:1.0.0"
	fill := func(t *testing.T, w *world) {
		t.Helper()
		c := crane()
		for _, name := range append(c.programs, "curl") {
			w.need(t, name)
		}
		c.trust(t, w)
		c.login(t, w, registryHost, adminUser, adminPassword).ok(t)
		c.push(t, w, ref).ok(t)
		c.logout(t, w).ok(t)
	}
	t.Run("docker", func(t *testing.T) {
		t.Parallel()
		c := docker()
		if os.Geteuid() != 0 {
			t.Skip("docker needs root here")
		}
		w := newWorld(t, c.programs)
		c.begin(t, w)
		fill(t, w)
		w.run(t, "sh", "-ec", fetch+" | docker load").prints(t, "Loaded image: "+ref)
		w.expectDockerImage(t, ref, configDigest(t, w.image))
	})
	t.Run("podman", func(t *testing.T) {
		t.Parallel()
		if os.Geteuid() != 0 {
			t.Skip("podman needs root here")
		}
		w := newWorld(t, []string{"podman"})
		fill(t, w)
		w.run(t, "sh", "-ec", fetch+" | podman load").prints(t, ref)
		w.run(t, "podman", "image", "inspect", "--format", "{{.Id}}", ref).prints(t, configDigest(t, w.image)[len("sha256:"):])
	})
	t.Run("skopeo", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, []string{"skopeo"})
		fill(t, w)
		w.run(t, "sh", "-ec", fetch+" >saved.tar").ok(t)
		for _, kind := range []string{"docker-archive", "oci-archive"} {
			w.run(t, "skopeo", "copy", kind+":saved.tar", "oci:"+w.emptyDir(t, kind)+":app").ok(t)
		}
		sameAsLayout(t, filepath.Join(w.home, "oci-archive"), w.image)
	})
}
