package main_test

import (
	"path/filepath"
	"testing"
)

const debianStore = "Debian and Ubuntu: crane, regctl, oras, helm, cosign, curl, Terraform"

// crane takes the CA from the system's store.
func crane() client {
	return client{
		name:     "crane",
		programs: []string{"crane", "update-ca-certificates"},
		version:  []string{"crane", "version"},
		trust:    func(t *testing.T, w *world) { w.setUp(t, debianStore) },
		login: func(t *testing.T, w *world, host, user, password string) outcome {
			return w.runWith(t, password, "crane", "auth", "login", "--username", user, "--password-stdin", host)
		},
		logout: func(t *testing.T, w *world) outcome { return w.run(t, "crane", "auth", "logout", registryHost) },
		push:   func(t *testing.T, w *world, ref string) outcome { return w.run(t, "crane", "push", w.imageLayout, ref) },
		pull: func(t *testing.T, w *world, ref string) outcome {
			return w.run(t, "crane", "pull", "--format", "oci", ref, w.emptyDir(t, "pulled"))
		},
		check: func(t *testing.T, w *world, ref string) { sameAsLayout(t, filepath.Join(w.home, "pulled"), w.image) },
		list: func(t *testing.T, w *world, repo string) outcome {
			w.run(t, "crane", "catalog", registryHost).prints(t, repo)
			return w.run(t, "crane", "ls", registryHost+"/"+repo)
		},
		says: errorTexts{
			plainHTTP: usualPlainHTTP, unknownCA: usualUnknownCA,
			anonymousPush: saysLogIn, anonymousPull: saysLogIn, wrongPassword: saysWrongPassword,
			denied: saysDenied, unknownTag: saysUnknownTag, immutable: saysImmutable,
		},
		cases: []clientCase{
			{"multi-arch index", func(t *testing.T, w *world) {
				const first, second = registryHost + "/team/multi:1", registryHost + "/copied/multi:1"
				w.run(t, "crane", "push", w.indexLayout, first).ok(t)
				w.run(t, "crane", "copy", first, second).ok(t)
				w.run(t, "crane", "digest", second).prints(t, digestOf(t, w.index))
				w.run(t, "crane", "validate", "--remote", second).ok(t)
				w.run(t, "crane", "config", "--platform", "linux/arm64", second).prints(t, `"architecture":"arm64"`)
				w.run(t, "crane", "pull", "--format", "oci", second, w.emptyDir(t, "index")).ok(t)
				sameAsLayout(t, filepath.Join(w.home, "index"), w.index)
			}},
			{"a tarball of docker save", func(t *testing.T, w *world) {
				const ref = registryHost + "/saved/hello:3f2a9c1"
				w.run(t, "crane", "push", w.imageArchive, ref).ok(t)
				w.run(t, "crane", "pull", ref, "pulled.tar").ok(t)
				w.run(t, "crane", "validate", "--remote", ref, "--tarball", "pulled.tar").ok(t)
			}},
			{"delete", func(t *testing.T, w *world) {
				const repo = registryHost + "/saved/hello"
				w.run(t, "crane", "tag", repo+":3f2a9c1", "latest").ok(t)
				w.run(t, "crane", "delete", repo+":3f2a9c1").ok(t)
				w.run(t, "crane", "manifest", repo+":3f2a9c1").refused(t, "manifest 3f2a9c1 unknown in repository saved/hello")
				digest := w.run(t, "crane", "digest", repo+":latest").ok(t)
				w.run(t, "crane", "delete", repo+"@"+digest).ok(t)
				w.run(t, "crane", "manifest", repo+":latest").refused(t, "manifest latest unknown in repository saved/hello")
			}},
			{"a repository that is missing", func(t *testing.T, w *world) {
				w.run(t, "crane", "ls", registryHost+"/no/such").refused(t, "NAME_UNKNOWN", "repository no/such unknown")
			}},
			{"a registry that is read-only", func(t *testing.T, w *world) {
				const host = "registry.test:5002"
				w.serve(t, host, filesystemConfig(t.TempDir())+"  maintenance:\n    readonly:\n      enabled: true\n", w.secured...)
				w.runWith(t, adminPassword, "crane", "auth", "login", "--username", adminUser, "--password-stdin", host).ok(t)
				w.run(t, "crane", "push", w.imageLayout, host+"/hello:1").refused(t, "the registry is read-only for maintenance (storage.maintenance.readonly); try again later")
			}},
			{"a layer of 1 GiB", func(t *testing.T, w *world) {
				image, layout, _ := largeImage(t)
				w.run(t, "crane", "push", layout, registryHost+"/team/large:1").ok(t)
				w.run(t, "crane", "pull", "--format", "oci", registryHost+"/team/large:1", w.emptyDir(t, "large")).ok(t)
				sameAsLayout(t, filepath.Join(w.home, "large"), image)
			}},
		},
	}
}
