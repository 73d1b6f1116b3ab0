package main_test

import (
	"path/filepath"
	"testing"
)

// regctl keeps the CA in its own configuration.
func regctl() client {
	return client{
		name:     "regctl",
		programs: []string{"regctl"},
		version:  []string{"regctl", "version"},
		trust: func(t *testing.T, w *world) {
			expectLogin(t, w.setUp(t, "One program only: regctl"), "regctl registry login "+registryHost)
		},
		login: func(t *testing.T, w *world, host, user, password string) outcome {
			return w.runWith(t, password, "regctl", "registry", "login", "--user", user, "--pass-stdin", host)
		},
		logout: func(t *testing.T, w *world) outcome { return w.run(t, "regctl", "registry", "logout", registryHost) },
		push: func(t *testing.T, w *world, ref string) outcome {
			return w.run(t, "regctl", "image", "copy", "ocidir://"+w.imageLayout+":app", ref)
		},
		pull: func(t *testing.T, w *world, ref string) outcome {
			return w.run(t, "regctl", "image", "copy", ref, "ocidir://"+w.emptyDir(t, "pulled")+":app")
		},
		check: func(t *testing.T, w *world, ref string) { sameAsLayout(t, filepath.Join(w.home, "pulled"), w.image) },
		list: func(t *testing.T, w *world, repo string) outcome {
			w.run(t, "regctl", "repo", "ls", registryHost).prints(t, repo)
			return w.run(t, "regctl", "tag", "ls", registryHost+"/"+repo)
		},
		says: errorTexts{
			plainHTTP: usualPlainHTTP, unknownCA: usualUnknownCA,
			anonymousPush: "unauthorized", anonymousPull: "unauthorized", wrongPassword: "unauthorized",
			denied: saysDenied, unknownTag: saysUnknownTag, immutable: saysImmutable,
		},
		cases: []clientCase{
			{"multi-arch index", func(t *testing.T, w *world) {
				const first, second = registryHost + "/team/multi:1", registryHost + "/copied/multi:1"
				w.run(t, "regctl", "image", "copy", "ocidir://"+w.indexLayout+":app", first).ok(t)
				w.run(t, "regctl", "image", "copy", first, second).ok(t)
				w.run(t, "regctl", "image", "inspect", "--platform", "linux/arm64", second).prints(t, `"architecture": "arm64"`)
				w.run(t, "regctl", "image", "digest", second).prints(t, digestOf(t, w.index))
				w.run(t, "regctl", "image", "copy", second, "ocidir://"+w.emptyDir(t, "index")+":app").ok(t)
				sameAsLayout(t, filepath.Join(w.home, "index"), w.index)
			}},
			{"an artifact that refers to an image", func(t *testing.T, w *world) {
				const ref, copied = registryHost + "/team/hello:1.0.0", registryHost + "/copied/hello:1.0.0"
				w.runWith(t, "{}", "regctl", "artifact", "put", "--artifact-type", "application/spdx+json", "--subject", ref).ok(t)
				w.run(t, "regctl", "artifact", "list", ref).prints(t, "application/spdx+json")
				w.run(t, "regctl", "image", "copy", "--referrers", ref, copied).ok(t)
				w.run(t, "regctl", "artifact", "get", "--subject", copied, "--filter-artifact-type", "application/spdx+json").prints(t, "{}")
			}},
			{"delete", func(t *testing.T, w *world) {
				const ref = registryHost + "/copied/hello:1.0.0"
				w.run(t, "regctl", "image", "copy", ref, registryHost+"/copied/hello:other").ok(t)
				w.run(t, "regctl", "tag", "delete", ref).ok(t)
				if tags := w.run(t, "regctl", "tag", "ls", registryHost+"/copied/hello").ok(t); tags != "other" {
					t.Errorf("the tags are %q; only 1.0.0 was deleted", tags)
				}
				digest := digestOf(t, w.image)
				w.run(t, "regctl", "manifest", "delete", registryHost+"/copied/hello@"+digest).ok(t)
				w.run(t, "regctl", "manifest", "get", registryHost+"/copied/hello@"+digest).refused(t, "unknown in repository copied/hello")
			}},
			{"a manifest without its layers", func(t *testing.T, w *world) {
				manifest := w.run(t, "regctl", "manifest", "get", "--format", "raw-body", registryHost+"/team/hello:1.0.0").ok(t)
				w.runWith(t, manifest, "regctl", "manifest", "put", registryHost+"/nothing/here:1").refused(t,
					configDigest(t, w.image)+", which repository nothing/here does not have; push it first")
			}},
			{"a layer of 1 GiB", func(t *testing.T, w *world) {
				image, layout, _ := largeImage(t)
				w.run(t, "regctl", "image", "copy", "ocidir://"+layout+":app", registryHost+"/team/large:1").ok(t)
				w.run(t, "regctl", "image", "copy", registryHost+"/team/large:1", "ocidir://"+w.emptyDir(t, "large")+":app").ok(t)
				sameAsLayout(t, filepath.Join(w.home, "large"), image)
			}},
		},
	}
}
