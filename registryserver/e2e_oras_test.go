package main_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// oras takes the CA at every command.
func oras() client {
	var ca []string
	run := func(t *testing.T, w *world, args ...string) outcome {
		return w.run(t, slices.Concat([]string{"oras"}, args, ca)...)
	}
	return client{
		name:     "oras",
		programs: []string{"oras"},
		version:  []string{"oras", "version"},
		begin:    func(t *testing.T, w *world) { w.writeFile(t, "hello.txt", "hello\n") },
		trust:    func(t *testing.T, w *world) { ca = []string{"--ca-file", w.ca} },
		login: func(t *testing.T, w *world, host, user, password string) outcome {
			return w.runWith(t, password, slices.Concat([]string{"oras", "login", "--username", user, "--password-stdin", host}, ca)...)
		},
		logout: func(t *testing.T, w *world) outcome { return w.run(t, "oras", "logout", registryHost) },
		push: func(t *testing.T, w *world, ref string) outcome {
			return run(t, w, "push", "--artifact-type", "application/vnd.example.greeting", ref, "hello.txt:text/plain")
		},
		pull: func(t *testing.T, w *world, ref string) outcome {
			return run(t, w, "pull", "--output", w.emptyDir(t, "pulled"), ref)
		},
		check: func(t *testing.T, w *world, ref string) { w.run(t, "cmp", "hello.txt", "pulled/hello.txt").ok(t) },
		list: func(t *testing.T, w *world, repo string) outcome {
			run(t, w, "repo", "ls", registryHost).prints(t, repo)
			return run(t, w, "repo", "tags", registryHost+"/"+repo)
		},
		says: errorTexts{
			plainHTTP: usualPlainHTTP, unknownCA: usualUnknownCA,
			anonymousPush: saysLogIn, anonymousPull: saysLogIn, wrongPassword: saysWrongPassword,
			denied: saysDenied, unknownTag: "not found", immutable: saysImmutable,
		},
		cases: []clientCase{
			{"attachments", func(t *testing.T, w *world) {
				const ref, copied = registryHost + "/team/hello:1.0.0", registryHost + "/copied/hello:1.0.0"
				w.writeFile(t, "sbom.json", "{}\n")
				w.writeFile(t, "report.txt", "nothing found\n")
				run(t, w, "attach", "--artifact-type", "application/vnd.example.sbom", ref, "sbom.json:application/json").ok(t)
				run(t, w, "attach", "--artifact-type", "application/vnd.example.scan", "--annotation", "result=good", ref, "report.txt").ok(t)
				run(t, w, "discover", "--distribution-spec", "v1.1-referrers-api", ref).prints(t, "application/vnd.example.sbom", "application/vnd.example.scan")
				only := run(t, w, "discover", "--artifact-type", "application/vnd.example.scan", "--format", "json", ref).ok(t)
				if strings.Contains(only, "vnd.example.sbom") || !strings.Contains(only, "vnd.example.scan") {
					t.Errorf("discover of one type printed\n%s", only)
				}
				if tags := run(t, w, "repo", "tags", registryHost+"/team/hello").ok(t); tags != "1.0.0" {
					t.Errorf("the tags are %q; attachments should be none", tags)
				}
				fromAndTo := []string{"oras", "cp", "--recursive", "--from-ca-file", w.ca, "--to-ca-file", w.ca}
				w.run(t, append(fromAndTo, ref, copied)...).ok(t)
				run(t, w, "discover", copied).prints(t, "application/vnd.example.sbom", "application/vnd.example.scan")
			}},
			{"multi-arch index", func(t *testing.T, w *world) {
				const ref = registryHost + "/team/multi:1"
				w.run(t, "oras", "cp", "--from-oci-layout", "--to-ca-file", w.ca, w.indexLayout+":app", ref).ok(t)
				run(t, w, "manifest", "fetch-config", "--platform", "linux/arm64", ref).prints(t, "arm64")
				w.run(t, "oras", "cp", "--to-oci-layout", "--from-ca-file", w.ca, ref, w.emptyDir(t, "index")+":app").ok(t)
				sameAsLayout(t, filepath.Join(w.home, "index"), w.index)
			}},
			{"delete", func(t *testing.T, w *world) {
				const ref = registryHost + "/copied/hello:1.0.0"
				run(t, w, "manifest", "delete", "--force", ref).ok(t)
				run(t, w, "manifest", "fetch", ref).refused(t, "not found")
				run(t, w, "repo", "tags", registryHost+"/no/such").refused(t, "repository no/such unknown")
			}},
			{"a file of 1 GiB", func(t *testing.T, w *world) {
				const ref = registryHost + "/team/large:1"
				_, _, file := largeImage(t)
				run(t, w, "push", "--disable-path-validation", ref, file).ok(t)
				run(t, w, "pull", "--allow-path-traversal", "--output", w.emptyDir(t, "large"), ref).ok(t)
			}},
		},
	}
}
