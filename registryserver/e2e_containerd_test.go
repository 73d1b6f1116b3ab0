package main_test

import (
	"path/filepath"
	"testing"
)

// containerd is what most Kubernetes nodes pull with. Its own command line remembers no login: it takes the password at every command.
func containerd() client {
	var credentials []string
	const noCRI = "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n"
	args := func(words ...string) []string {
		return append(append([]string{"ctr", "images"}, words...), append([]string{"--hosts-dir", "/etc/containerd/certs.d"}, credentials...)...)
	}
	return client{
		name:     "containerd",
		programs: []string{"containerd", "ctr", "tar"},
		version:  []string{"containerd", "--version"},
		begin: func(t *testing.T, w *world) {
			w.writeFile(t, "containerd.toml", noCRI)
			daemon := w.start(t, nil, "containerd", "--config", "containerd.toml", "--root", filepath.Join(w.home, "containerd"), "--state", "/run/containerd")
			daemon.waitFor(t, "containerd successfully booted")
		},
		trust: func(t *testing.T, w *world) { w.setUp(t, "containerd") },
		login: func(t *testing.T, w *world, host, user, password string) outcome {
			credentials = []string{"--user", user + ":" + password}
			return outcome{}
		},
		logout: func(*testing.T, *world) outcome {
			credentials = nil
			return outcome{}
		},
		push: func(t *testing.T, w *world, ref string) outcome {
			w.run(t, "tar", "-C", w.imageLayout, "-cf", "image.tar", ".").ok(t)
			w.run(t, "ctr", "images", "import", "--no-unpack", "--base-name", "hello", "image.tar").ok(t)
			w.run(t, "ctr", "images", "tag", "--force", "hello:app", ref).ok(t)
			return w.run(t, append(args("push"), ref)...)
		},
		pull: func(t *testing.T, w *world, ref string) outcome {
			w.run(t, "ctr", "images", "rm", "--sync", ref, "hello:app")
			return w.run(t, append(args("pull", "--snapshotter", "native"), ref)...)
		},
		check: func(t *testing.T, w *world, ref string) {
			w.run(t, "ctr", "images", "list", "name=="+ref).prints(t, digestOf(t, w.image))
		},
		says: errorTexts{
			plainHTTP: usualPlainHTTP, unknownCA: usualUnknownCA,
			anonymousPush: "401 Unauthorized", anonymousPull: "401 Unauthorized", wrongPassword: "401 Unauthorized",
			denied: "403 Forbidden", unknownTag: "not found", immutable: "403 Forbidden",
		},
		cases: []clientCase{{"multi-arch index", func(t *testing.T, w *world) {
			const ref = registryHost + "/team/multi:1"
			w.run(t, "tar", "-C", w.indexLayout, "-cf", "index.tar", ".").ok(t)
			w.run(t, "ctr", "images", "import", "--no-unpack", "--all-platforms", "--base-name", "multi", "index.tar").ok(t)
			w.run(t, "ctr", "images", "tag", "multi:app", ref).ok(t)
			w.run(t, append(args("push"), ref)...).ok(t)
			w.run(t, "ctr", "images", "rm", "--sync", ref, "multi:app").ok(t)
			w.run(t, append(args("pull", "--snapshotter", "native", "--platform", "linux/arm64"), ref)...).ok(t)
			w.run(t, "ctr", "images", "list", "name=="+ref).prints(t, digestOf(t, w.index))
			w.run(t, "ctr", "content", "get", configDigest(t, platformImage(t, indexSeed, "arm64"))).prints(t, `"architecture":"arm64"`)
		}}},
	}
}
