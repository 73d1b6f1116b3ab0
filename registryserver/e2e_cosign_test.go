package main_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// cosign signs an image that is in the registry already, and verifies it with what the registry says refers to it. Its keys are its own:
// there is no transparency log and no timestamp.
func cosign() client {
	return client{
		name:     "cosign",
		programs: []string{"cosign", "crane"},
		version:  []string{"cosign", "version"},
		begin: func(t *testing.T, w *world) {
			w.run(t, "env", "COSIGN_PASSWORD=", "cosign", "generate-key-pair").ok(t)
			w.run(t, "cosign", "signing-config", "create", "--out", "signing.json").ok(t)
			other := []string{"env", "DOCKER_CONFIG=" + w.emptyDir(t, "pusher"), "SSL_CERT_FILE=" + w.ca, "crane"}
			w.runWith(t, adminPassword, append(other, "auth", "login", "--username", adminUser, "--password-stdin", registryHost)...).ok(t)
			for _, repo := range []string{"team", "other"} {
				w.run(t, append(other, "push", w.imageLayout, registryHost+"/"+repo+"/hello:1.0.0")...).ok(t)
			}
		},
		trust: func(t *testing.T, w *world) { w.env = append(w.env, "SSL_CERT_FILE="+filepath.Join(w.home, w.ca)) },
		login: func(t *testing.T, w *world, host, user, password string) outcome {
			return w.runWith(t, password, "cosign", "login", "--username", user, "--password-stdin", host)
		},
		push: func(t *testing.T, w *world, ref string) outcome {
			repo, _, _ := strings.Cut(ref, ":1.0.0")
			return w.run(t, "env", "COSIGN_PASSWORD=", "cosign", "sign", "--yes", "--key", "cosign.key", "--signing-config", "signing.json",
				repo+"@"+digestOf(t, w.image))
		},
		pull: func(t *testing.T, w *world, ref string) outcome {
			return w.run(t, "cosign", "verify", "--key", "cosign.pub", "--insecure-ignore-tlog", ref)
		},
		check: func(t *testing.T, w *world, ref string) {
			w.run(t, "cosign", "verify", "--key", "cosign.pub", "--insecure-ignore-tlog", ref).prints(t, digestOf(t, w.image))
		},
		says: errorTexts{
			plainHTTP: usualPlainHTTP, unknownCA: usualUnknownCA,
			anonymousPush: saysLogIn, anonymousPull: saysLogIn, wrongPassword: saysWrongPassword,
			denied: saysDenied, unknownTag: saysUnknownTag,
		},
		cases: []clientCase{
			{"found through referrers", func(t *testing.T, w *world) {
				// Without the API of referrers there would be tags of the form sha256-<digest>.
				w.need(t, "oras")
				subject := registryHost + "/team/hello@" + digestOf(t, w.image)
				if tags := w.run(t, "crane", "ls", registryHost+"/team/hello").ok(t); tags != "1.0.0" {
					t.Errorf("the tags are %q; a signature should be no tag", tags)
				}
				w.run(t, "oras", "discover", "--ca-file", w.ca, subject).prints(t, "application/vnd.dev.sigstore.bundle")
				w.run(t, "cosign", "tree", subject).prints(t, "https://sigstore.dev/cosign/sign/v1 artifacts via OCI referrer")
			}},
			{"another key", func(t *testing.T, w *world) {
				w.run(t, "env", "COSIGN_PASSWORD=", "cosign", "generate-key-pair", "--output-key-prefix", "other").ok(t)
				w.run(t, "cosign", "verify", "--key", "other.pub", "--insecure-ignore-tlog", registryHost+"/team/hello:1.0.0").refused(t, "no matching")
			}},
			{"an attestation", func(t *testing.T, w *world) {
				w.writeFile(t, "predicate.json", `{"builder": "example"}`)
				w.run(t, "env", "COSIGN_PASSWORD=", "cosign", "attest", "--yes", "--key", "cosign.key", "--signing-config", "signing.json",
					"--predicate", "predicate.json", registryHost+"/team/hello@"+digestOf(t, w.image)).ok(t)
				w.run(t, "cosign", "verify-attestation", "--key", "cosign.pub", "--insecure-ignore-tlog", registryHost+"/team/hello:1.0.0").ok(t)
			}},
			{"copied with its image", func(t *testing.T, w *world) {
				w.need(t, "oras")
				w.run(t, "oras", "cp", "--recursive", "--from-ca-file", w.ca, "--to-ca-file", w.ca,
					registryHost+"/team/hello:1.0.0", registryHost+"/copied/hello:1.0.0").ok(t)
				w.run(t, "cosign", "verify", "--key", "cosign.pub", "--insecure-ignore-tlog", registryHost+"/copied/hello:1.0.0").ok(t)
			}},
			{"delete", func(t *testing.T, w *world) {
				w.run(t, "cosign", "clean", "--force", registryHost+"/team/hello:1.0.0").ok(t)
				w.run(t, "cosign", "verify", "--key", "cosign.pub", "--insecure-ignore-tlog", registryHost+"/team/hello:1.0.0").refused(t, "no signatures found")
			}},
		},
	}
}
