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
		t.Run("import", func(t *testing.T) { dockerImport(t, w, ref) })
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

// dockerImport is what people do who keep images as files named by a commit: what docker save writes goes into the registry, and comes back.
func dockerImport(t *testing.T, w *world, ref string) {
	const app, pushed = "app:3f2a9c1", registryHost + "/app:3f2a9c1"
	id := configDigest(t, w.image)
	program := "REGISTRYSERVER_USERNAME=" + adminUser + " REGISTRYSERVER_PASSWORD='" + adminPassword + "' " + buildServer(t) + " "
	w.run(t, "docker", "tag", ref, app).ok(t)
	w.run(t, "sh", "-ec", "docker save "+app+" | "+program+"import --ca ca.pem - "+registryHost+"/app").prints(t, pushed+"@sha256:")
	w.run(t, "sh", "-ec", "docker save "+app+" | gzip >3f2a9c1.tar.gz && "+program+"import --ca ca.pem 3f2a9c1.tar.gz "+registryHost+"/zipped/app").ok(t)
	w.run(t, "docker", "image", "rm", "--force", app, ref).ok(t)
	w.run(t, "sh", "-ec", program+"export --ca ca.pem "+pushed+" - | docker load").prints(t, "Loaded image: "+pushed)
	w.expectDockerImage(t, pushed, id)

	// Docker itself pulls what was imported, and finds the same image.
	c := docker()
	c.trust(t, w)
	c.login(t, w, registryHost, adminUser, adminPassword).ok(t)
	w.run(t, "docker", "image", "rm", "--force", pushed).ok(t)
	w.run(t, "docker", "pull", registryHost+"/zipped/app:3f2a9c1").ok(t)
	w.expectDockerImage(t, registryHost+"/zipped/app:3f2a9c1", id)
}
