package main_test

import (
	"strings"
	"testing"
)

// trustContainers does what podman, buildah and skopeo need: they share their folders, and the login.
func trustContainers(t *testing.T, w *world) {
	expectLogin(t, w.setUp(t, "podman, buildah and skopeo"), "podman login "+registryHost)
}

// loginContainers logs in with one of them.
func loginContainers(program string) func(*testing.T, *world, string, string, string) outcome {
	return func(t *testing.T, w *world, host, user, password string) outcome {
		return w.runWith(t, password, program, "login", "--username", user, "--password-stdin", host)
	}
}

func logoutContainers(program string) func(*testing.T, *world) outcome {
	return func(t *testing.T, w *world) outcome { return w.run(t, program, "logout", registryHost) }
}

var containersSay = errorTexts{
	plainHTTP: usualPlainHTTP, unknownCA: usualUnknownCA,
	anonymousPush: saysLogIn, anonymousPull: saysLogIn, wrongPassword: "invalid username/password",
	denied: saysDenied, unknownTag: saysUnknownTag, immutable: saysImmutable,
}

func podman() client {
	return client{
		name:     "podman",
		programs: []string{"podman"},
		version:  []string{"podman", "--version"},
		root:     true,
		trust:    trustContainers,
		login:    loginContainers("podman"),
		logout:   logoutContainers("podman"),
		push: func(t *testing.T, w *world, ref string) outcome {
			w.run(t, "podman", "load", "--quiet", "--input", w.imageArchive).ok(t)
			w.run(t, "podman", "tag", "hello:1", ref).ok(t)
			return w.run(t, "podman", "push", ref)
		},
		pull: func(t *testing.T, w *world, ref string) outcome {
			w.run(t, "podman", "rmi", "--force", ref, "hello:1")
			return w.run(t, "podman", "pull", ref)
		},
		check: func(t *testing.T, w *world, ref string) {
			id := w.run(t, "podman", "image", "inspect", "--format", "{{.Id}}", ref).ok(t)
			if want := configDigest(t, w.image); "sha256:"+id != want {
				t.Errorf("pulled %s, pushed %s", id, want)
			}
		},
		list: func(t *testing.T, w *world, repo string) outcome {
			w.run(t, "podman", "search", registryHost+"/").prints(t, repo)
			return w.run(t, "podman", "search", "--list-tags", registryHost+"/"+repo)
		},
		says: containersSay,
		cases: []clientCase{
			{"multi-arch index", func(t *testing.T, w *world) {
				const ref = registryHost + "/team/multi:1"
				w.run(t, "podman", "manifest", "create", "multi").ok(t)
				w.run(t, "podman", "manifest", "add", "--all", "multi", "oci:"+w.indexLayout+":app").ok(t)
				w.run(t, "podman", "manifest", "push", "--all", "multi", "docker://"+ref).ok(t)
				w.run(t, "podman", "manifest", "inspect", ref).prints(t, "arm64", "amd64")
				w.run(t, "podman", "pull", "--arch", "arm64", ref).ok(t)
				w.run(t, "podman", "image", "inspect", "--format", "{{.Architecture}}", ref).prints(t, "arm64")
			}},
			{"podman save", func(t *testing.T, w *world) {
				const ref, pushed = registryHost + "/team/hello:1.0.0", registryHost + "/saved/hello:3f2a9c1"
				w.run(t, "podman", "save", "--format", "docker-archive", "--output", "3f2a9c1.tar", ref).ok(t)
				w.run(t, "podman", "rmi", "--force", ref).ok(t)
				w.run(t, "podman", "load", "--input", "3f2a9c1.tar").ok(t)
				w.run(t, "podman", "tag", ref, pushed).ok(t)
				w.run(t, "podman", "push", pushed).ok(t)
				w.run(t, "podman", "rmi", "--force", ref, pushed).ok(t)
				w.run(t, "podman", "pull", pushed).prints(t, strings.TrimPrefix(configDigest(t, w.image), "sha256:"))
			}},
			{"a layer of 1 GiB", func(t *testing.T, w *world) {
				const ref = registryHost + "/team/large:1"
				image, layout, _ := largeImage(t)
				w.run(t, "podman", "pull", "oci:"+layout+":app").ok(t)
				id := strings.TrimPrefix(configDigest(t, image), "sha256:")
				w.run(t, "podman", "push", id, ref).ok(t)
				w.run(t, "podman", "rmi", "--force", id).ok(t)
				w.run(t, "podman", "pull", ref).prints(t, id)
			}},
		},
	}
}
