package main_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// helm pushes and pulls charts.
func helm() client {
	var ca []string
	run := func(t *testing.T, w *world, args ...string) outcome {
		return w.run(t, slices.Concat([]string{"helm"}, args, ca)...)
	}
	split := func(ref string) (repo, version string) {
		i := strings.LastIndexByte(ref, ':')
		return "oci://" + ref[:i], ref[i+1:]
	}
	return client{
		name:     "helm",
		programs: []string{"helm"},
		version:  []string{"helm", "version"},
		begin: func(t *testing.T, w *world) {
			w.writeFile(t, "chart/Chart.yaml", "apiVersion: v2\nname: hello\nversion: 1.0.0\ndescription: says hello\n")
			w.writeFile(t, "chart/values.yaml", "greeting: hello\n")
			w.writeFile(t, "chart/templates/greeting.yaml",
				"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: greeting\ndata:\n  greeting: {{ .Values.greeting | quote }}\n")
			w.run(t, "helm", "package", "chart").ok(t)
		},
		trust: func(t *testing.T, w *world) { ca = []string{"--ca-file", w.ca} },
		login: func(t *testing.T, w *world, host, user, password string) outcome {
			return w.runWith(t, password, slices.Concat([]string{"helm", "registry", "login", "--username", user, "--password-stdin", host}, ca)...)
		},
		logout: func(t *testing.T, w *world) outcome { return w.run(t, "helm", "registry", "logout", registryHost) },
		push: func(t *testing.T, w *world, ref string) outcome {
			repo, _ := split(ref)
			return run(t, w, "push", "hello-1.0.0.tgz", strings.TrimSuffix(repo, "/hello"))
		},
		pull: func(t *testing.T, w *world, ref string) outcome {
			repo, version := split(ref)
			return run(t, w, "pull", repo, "--version", version, "--destination", w.emptyDir(t, "pulled"))
		},
		check: func(t *testing.T, w *world, ref string) {
			w.run(t, "cmp", "hello-1.0.0.tgz", "pulled/hello-1.0.0.tgz").ok(t)
		},
		says: errorTexts{
			plainHTTP: usualPlainHTTP, unknownCA: usualUnknownCA,
			anonymousPush: saysLogIn, anonymousPull: saysLogIn, wrongPassword: saysWrongPassword,
			denied: saysDenied, unknownTag: "not found", immutable: saysImmutable,
		},
		cases: []clientCase{
			{"a chart used from the registry", func(t *testing.T, w *world) {
				const chart = "oci://" + registryHost + "/team/hello"
				run(t, w, "show", "chart", chart).prints(t, "description: says hello", "version: 1.0.0")
				run(t, w, "template", "release", chart, "--set", "greeting=good morning").prints(t, `greeting: "good morning"`)
			}},
			{"the newest version", func(t *testing.T, w *world) { // found in the list of tags
				for _, version := range []string{"1.10.0", "1.9.0", "2.0.0-rc.1", "1.10.0+build.7"} {
					w.run(t, "helm", "package", "chart", "--version", version).ok(t)
					run(t, w, "push", "hello-"+version+".tgz", "oci://"+registryHost+"/versions").ok(t)
				}
				run(t, w, "show", "chart", "oci://"+registryHost+"/versions/hello").prints(t, "version: 1.10.0")
				run(t, w, "show", "chart", "oci://"+registryHost+"/versions/hello", "--version", "~1.9").prints(t, "version: 1.9.0")
			}},
			{"a dependency", func(t *testing.T, w *world) {
				w.env = append(w.env, "SSL_CERT_FILE="+filepath.Join(w.home, w.ca)) // helm dependency has no --ca-file
				w.writeFile(t, "parent/Chart.yaml", "apiVersion: v2\nname: parent\nversion: 1.0.0\n"+
					"dependencies:\n  - name: hello\n    version: 1.x.x\n    repository: oci://"+registryHost+"/team\n")
				w.run(t, "helm", "dependency", "update", "parent").ok(t)
				w.run(t, "cmp", "hello-1.0.0.tgz", "parent/charts/hello-1.0.0.tgz").ok(t)
			}},
		},
	}
}
