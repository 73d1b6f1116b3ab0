package main_test

import (
	"path/filepath"
	"testing"
)

// docker is Docker: its command line and a daemon of its own, which keeps its images in the world.
func docker() client {
	return client{
		name:     "docker",
		programs: []string{"docker", "dockerd"},
		version:  []string{"docker", "version", "--format", "{{.Client.Version}} with daemon {{.Server.Version}}"},
		root:     true,
		begin: func(t *testing.T, w *world) {
			daemon := w.start(t, nil, "dockerd", "--data-root", filepath.Join(w.home, "docker"), "--storage-driver", "vfs",
				"--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false")
			daemon.waitFor(t, "API listen on")
		},
		trust: func(t *testing.T, w *world) {
			expectLogin(t, w.setUp(t, "Docker Engine on Linux"), "docker login "+registryHost)
		},
		login: func(t *testing.T, w *world, host, user, password string) outcome {
			return w.runWith(t, password, "docker", "login", "--username", user, "--password-stdin", host)
		},
		logout: func(t *testing.T, w *world) outcome { return w.run(t, "docker", "logout", registryHost) },
		push: func(t *testing.T, w *world, ref string) outcome {
			w.run(t, "docker", "load", "--input", w.imageArchive).ok(t)
			w.run(t, "docker", "tag", "hello:1", ref).ok(t)
			return w.run(t, "docker", "push", ref)
		},
		pull: func(t *testing.T, w *world, ref string) outcome {
			w.run(t, "docker", "image", "rm", "--force", "hello:1", ref)
			return w.run(t, "docker", "pull", ref)
		},
		check: func(t *testing.T, w *world, ref string) {
			w.expectDockerImage(t, ref, configDigest(t, w.image))
		},
		says: errorTexts{
			plainHTTP: usualPlainHTTP, unknownCA: usualUnknownCA,
			anonymousPush: saysLogIn, anonymousPull: saysLogIn,
			wrongPassword: saysWrongPassword,
			denied:        saysDenied, unknownTag: saysUnknownTag, immutable: saysImmutable,
		},
		cases: []clientCase{
			{"multi-arch index", dockerIndex},
			{"docker save", dockerSave},
			{"an image built on one of the registry", dockerBuild},
			{"a layer of 1 GiB", func(t *testing.T, w *world) {
				const ref = registryHost + "/team/large:1"
				_, _, layer := largeImage(t)
				id := w.run(t, "docker", "import", layer, ref).ok(t)
				w.run(t, "docker", "push", ref).ok(t)
				w.run(t, "docker", "image", "rm", "--force", ref).ok(t)
				w.run(t, "docker", "pull", ref).ok(t)
				w.expectDockerImage(t, ref, id)
			}},
		},
	}
}

// expectDockerImage fails the test unless Docker has an image of that ID.
func (w *world) expectDockerImage(t *testing.T, ref, id string) {
	t.Helper()
	if got := w.run(t, "docker", "image", "inspect", "--format", "{{.Id}}", ref).ok(t); got != id {
		t.Errorf("%s has the ID %s; want %s", ref, got, id)
	}
}

// dockerIndex makes an index out of two images, and pulls what is not for this machine.
func dockerIndex(t *testing.T, w *world) {
	const ref = registryHost + "/team/multi:1"
	create := []string{"docker", "manifest", "create", ref}
	for _, architecture := range architectures {
		one := ref + "-" + architecture
		writeArchive(t, filepath.Join(w.home, "one.tar"), one, platformImage(t, indexSeed, architecture))
		w.run(t, "docker", "load", "--input", "one.tar").ok(t)
		w.run(t, "docker", "push", one).ok(t)
		w.run(t, "docker", "image", "rm", "--force", one).ok(t)
		create = append(create, one)
	}
	w.run(t, create...).ok(t)
	w.run(t, "docker", "manifest", "push", ref).ok(t)
	w.run(t, "docker", "pull", "--platform", "linux/arm64", ref).ok(t)
	w.run(t, "docker", "image", "inspect", "--format", "{{.Os}}/{{.Architecture}}", ref).prints(t, "linux/arm64")
}

// dockerSave keeps an image in a file named by a commit, as one does without a registry, and pushes it from there.
func dockerSave(t *testing.T, w *world) {
	w.need(t, "skopeo")
	const ref, pushed = registryHost + "/team/hello:1.0.0", registryHost + "/saved/hello:3f2a9c1"
	id := configDigest(t, w.image)
	w.run(t, "docker", "pull", ref).ok(t)
	w.run(t, "docker", "save", "--output", "3f2a9c1.tar", ref).ok(t)
	w.run(t, "docker", "image", "rm", "--force", ref).ok(t)
	w.run(t, "skopeo", "copy", "docker-archive:3f2a9c1.tar", "docker://"+pushed).ok(t) // it finds Docker's CA and login
	w.run(t, "docker", "pull", pushed).ok(t)
	w.expectDockerImage(t, pushed, id)

	w.run(t, "docker", "image", "rm", "--force", pushed).ok(t)
	w.run(t, "docker", "load", "--input", "3f2a9c1.tar").prints(t, ref)
	w.expectDockerImage(t, ref, id)
	w.run(t, "docker", "push", ref).ok(t)
}

// dockerBuild builds on an image of the registry. What the two have in common is not uploaded again.
func dockerBuild(t *testing.T, w *world) {
	const ref = registryHost + "/built/hello:1"
	w.writeFile(t, "build/Dockerfile", "FROM "+registryHost+"/team/hello:1.0.0\nCOPY Dockerfile /Dockerfile\n")
	w.run(t, "env", "DOCKER_BUILDKIT=0", "docker", "build", "--pull", "--tag", ref, "build").ok(t)
	w.run(t, "docker", "push", ref).prints(t, "Mounted from ") // the one repository or the other that has it
}
