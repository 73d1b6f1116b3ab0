package main_test

import (
	"path/filepath"
	"strings"
	"testing"
)

func skopeo() client {
	return client{
		name:     "skopeo",
		programs: []string{"skopeo"},
		version:  []string{"skopeo", "--version"},
		trust:    trustContainers,
		login:    loginContainers("skopeo"),
		logout:   logoutContainers("skopeo"),
		push: func(t *testing.T, w *world, ref string) outcome {
			return w.run(t, "skopeo", "copy", "oci:"+w.imageLayout+":app", "docker://"+ref)
		},
		pull: func(t *testing.T, w *world, ref string) outcome {
			return w.run(t, "skopeo", "copy", "docker://"+ref, "oci:"+w.emptyDir(t, "pulled")+":app")
		},
		check: func(t *testing.T, w *world, ref string) { sameAsLayout(t, filepath.Join(w.home, "pulled"), w.image) },
		list: func(t *testing.T, w *world, repo string) outcome {
			return w.run(t, "skopeo", "list-tags", "docker://"+registryHost+"/"+repo)
		},
		says: containersSay,
		cases: []clientCase{
			{"multi-arch index", func(t *testing.T, w *world) {
				first, second := "docker://"+registryHost+"/team/multi:1", "docker://"+registryHost+"/copied/multi:1"
				w.run(t, "skopeo", "copy", "--all", "oci:"+w.indexLayout+":app", first).ok(t)
				w.run(t, "skopeo", "copy", "--all", first, second).ok(t)
				w.run(t, "skopeo", "inspect", "--override-arch", "arm64", second).prints(t, `"Architecture": "arm64"`)
				w.run(t, "skopeo", "copy", "--all", second, "oci:"+w.emptyDir(t, "index")+":app").ok(t)
				// Old versions write an index anew when they push it, but what they copy stays the same.
				raw := w.run(t, "skopeo", "inspect", "--raw", first).ok(t)
				w.run(t, "skopeo", "inspect", "--raw", second).prints(t, raw)
				for _, architecture := range architectures {
					if digest := digestOf(t, platformImage(t, indexSeed, architecture)); !strings.Contains(raw, digest) {
						t.Errorf("the index lacks %s for %s", digest, architecture)
					}
				}
			}},
			{"a tarball of docker save", func(t *testing.T, w *world) {
				const ref = "docker://" + registryHost + "/saved/hello:3f2a9c1"
				w.run(t, "skopeo", "copy", "docker-archive:"+w.imageArchive, ref).ok(t)
				w.run(t, "skopeo", "copy", ref, "docker-archive:pulled.tar:hello:1").ok(t)
				w.run(t, "skopeo", "inspect", "--raw", ref).prints(t, configDigest(t, w.image))
			}},
			{"sync", func(t *testing.T, w *world) {
				w.run(t, "skopeo", "sync", "--src", "docker", "--dest", "docker", registryHost+"/team/hello", registryHost+"/mirror").ok(t)
				w.run(t, "skopeo", "list-tags", "docker://"+registryHost+"/mirror/hello").prints(t, "1.0.0")
			}},
			{"delete", func(t *testing.T, w *world) {
				const ref = "docker://" + registryHost + "/mirror/hello:1.0.0"
				w.run(t, "skopeo", "delete", ref).ok(t)
				w.run(t, "skopeo", "inspect", ref).refused(t, "manifest 1.0.0 unknown in repository mirror/hello")
			}},
			{"a layer of 1 GiB", func(t *testing.T, w *world) {
				image, layout, _ := largeImage(t)
				w.run(t, "skopeo", "copy", "oci:"+layout+":app", "docker://"+registryHost+"/team/large:1").ok(t)
				w.run(t, "skopeo", "copy", "docker://"+registryHost+"/team/large:1", "oci:"+w.emptyDir(t, "large")+":app").ok(t)
				sameAsLayout(t, filepath.Join(w.home, "large"), image)
			}},
		},
	}
}
