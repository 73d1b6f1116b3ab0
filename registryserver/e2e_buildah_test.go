package main_test

import (
	"strings"
	"testing"
)

// buildah builds the image that it pushes.
func buildah() client {
	var built string // the image's ID
	return client{
		name:     "buildah",
		programs: []string{"buildah"},
		version:  []string{"buildah", "--version"},
		root:     true,
		begin: func(t *testing.T, w *world) {
			w.writeFile(t, "context/hello", "hello\n")
			w.writeFile(t, "context/Containerfile", "FROM scratch\nCOPY hello /hello\nCMD [\"/hello\"]\n")
		},
		trust:  trustContainers,
		login:  loginContainers("buildah"),
		logout: logoutContainers("buildah"),
		push: func(t *testing.T, w *world, ref string) outcome {
			id := w.run(t, "buildah", "build", "--quiet", "--isolation", "chroot", "--timestamp", "0", "--tag", ref, "context").ok(t)
			built = strings.TrimPrefix(id, "sha256:")
			return w.run(t, "buildah", "push", ref)
		},
		pull: func(t *testing.T, w *world, ref string) outcome {
			w.run(t, "buildah", "rmi", "--force", ref)
			return w.run(t, "buildah", "pull", ref)
		},
		check: func(t *testing.T, w *world, ref string) {
			if id := w.run(t, "buildah", "inspect", "--type", "image", "--format", "{{.FromImageID}}", ref).ok(t); id != built {
				t.Errorf("pulled %s, pushed %s", id, built)
			}
		},
		says: containersSay,
		cases: []clientCase{
			{"multi-arch index", func(t *testing.T, w *world) {
				const ref = registryHost + "/team/multi:1"
				w.run(t, "buildah", "build", "--isolation", "chroot", "--platform", "linux/amd64,linux/arm64", "--manifest", "multi", "context").ok(t)
				w.run(t, "buildah", "manifest", "push", "--all", "multi", "docker://"+ref).ok(t)
				w.run(t, "buildah", "pull", "--arch", "arm64", ref).ok(t)
				w.run(t, "buildah", "inspect", "--type", "image", "--format", "{{.OCIv1.Architecture}}", ref).prints(t, "arm64")
			}},
			{"an image built on one of the registry", func(t *testing.T, w *world) {
				w.writeFile(t, "build/Containerfile", "FROM "+registryHost+"/team/hello:1.0.0\nCOPY Containerfile /Containerfile\n")
				w.run(t, "buildah", "rmi", "--all", "--force").ok(t)
				w.run(t, "buildah", "build", "--isolation", "chroot", "--tag", registryHost+"/built/hello:1", "build").ok(t)
				w.run(t, "buildah", "push", registryHost+"/built/hello:1").ok(t)
				w.run(t, "buildah", "rmi", "--all", "--force").ok(t)
				w.run(t, "buildah", "pull", registryHost+"/built/hello:1").ok(t)
			}},
		},
	}
}
