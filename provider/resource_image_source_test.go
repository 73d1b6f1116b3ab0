package provider

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"
)

// Folders and files on this machine.
func TestImageFromDisk(t *testing.T) {
	s := startServer(t)
	dir := t.TempDir()
	image, index := randomImage(t, "linux/amd64"), randomIndex(t, "linux/amd64", "linux/arm64")
	names := func(name string) v1.Descriptor {
		return v1.Descriptor{Annotations: map[string]string{refNameAnnotation: name}}
	}
	write := func(folder string, adds ...mutate.IndexAddendum) {
		t.Helper()
		if _, err := layout.Write(filepath.Join(dir, folder), mutate.AppendManifests(empty.Index, adds...)); err != nil {
			t.Fatal(err)
		}
	}
	write("one", mutate.IndexAddendum{Add: index})
	write("two", mutate.IndexAddendum{Add: index, Descriptor: names("multi")}, mutate.IndexAddendum{Add: image, Descriptor: names("single")})
	save := func(file string, images map[string]v1.Image) {
		t.Helper()
		tagged := map[name.Tag]v1.Image{}
		for tag, image := range images {
			parsed, err := name.NewTag(tag)
			if err != nil {
				t.Fatal(err)
			}
			tagged[parsed] = image
		}
		if err := tarball.MultiWriteToFile(filepath.Join(dir, file), tagged); err != nil {
			t.Fatal(err)
		}
	}
	save("one.tar", map[string]v1.Image{"app:v1": image})
	save("two.tar", map[string]v1.Image{"app:v1": image, "app:v2": randomImage(t, "linux/arm64")})
	id, err := image.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	at := func(kind, path string) string { return kind + filepath.Join(dir, path) }
	step := func(action plancheck.ResourceActionType, source, sourceDigest, digest string) resource.TestStep {
		return resource.TestStep{Config: s.config("%s", app(source)), ConfigPlanChecks: expectAction(imageApp, action), ConfigStateChecks: []statecheck.StateCheck{
			is(imageApp, "source_digest", knownvalue.StringExact(sourceDigest)), s.whole("mirror/app:v1", digest),
		}}
	}
	wrong := func(source, complaint string) resource.TestStep {
		return resource.TestStep{Config: s.config("%s", app(source)), ExpectError: says(complaint)}
	}
	multi, single := digestOf(t, index), digestOf(t, image)
	rebuilt := step(update, at("oci:", "one"), single, single)
	rebuilt.PreConfig = func() { write("one", mutate.IndexAddendum{Add: image}) }
	unitTest(t, testProvider(),
		wrong(at("oci:", "none"), "no such file"),
		wrong(at("docker-archive:", "none"), "no such file"),
		wrong(at("oci:", "two"), "there are 2 images in it"),
		wrong(at("oci:", "two:other"), "there is not exactly one image called"),
		wrong(at("docker-archive:", "two.tar"), "there are 2 images in it"),
		wrong(at("docker-archive:", "two.tar:app:v3"), "app:v"),
		step(create, at("oci:", "one"), multi, multi),
		step(update, at("oci:", "two:single"), single, single),
		step(update, at("oci:", "two:multi"), multi, multi),
		step(update, at("docker-archive:", "one.tar"), id.String(), single),
		step(update, at("docker-archive:", "two.tar:app:v1"), id.String(), single),
		step(update, at("oci:", "one"), multi, multi),
		rebuilt,
	)
}

// A source that does not answer is a warning in a plan, and nothing changes for
// it; only a copy needs it.
func TestImageSourceUnreachable(t *testing.T) {
	s, from := startServer(t), startServer(t)
	one := from.push(t, randomImage(t, "linux/amd64"), "team/app:1")
	config := s.config("%s", app(from.host()+"/team/app:1", sourceLogin))
	dead := s.config("%s", app("127.0.0.1:1/team/app:1"))
	unitTest(t, testProvider(),
		resource.TestStep{Config: dead, PlanOnly: true, ExpectNonEmptyPlan: true},
		resource.TestStep{Config: dead, ExpectError: says("Could not read the source of the image")},
		resource.TestStep{Config: s.config("%s", app(from.host()+"/team/app:none", sourceLogin)), ExpectError: says("There is no such image")},
		resource.TestStep{Config: s.config("%s", app(from.host()+"/team/app:1")), ExpectError: says("it takes a login: set source_auth")},
		resource.TestStep{Config: config, ConfigStateChecks: []statecheck.StateCheck{s.whole("mirror/app:v1", one)}},
		resource.TestStep{PreConfig: from.fail(times(20, cut)...), Config: config, ConfigPlanChecks: expectAction(imageApp, noop)},
		resource.TestStep{PreConfig: from.fail(times(20, status(500))...), Config: config, ConfigPlanChecks: expectAction(imageApp, noop)},
		resource.TestStep{PreConfig: from.fail(), Config: config, ConfigPlanChecks: expectAction(imageApp, noop)},
	)
}

// The credentials of the source go to its registry and nowhere else, also where
// that sends somebody on to another host.
func TestImageSourceCredentials(t *testing.T) {
	s, from := startServer(t), startServer(t)
	one := from.push(t, randomImage(t, "linux/amd64"), "team/app:1")
	var mu sync.Mutex
	var elsewhere []string // what the other host was shown
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		elsewhere = append(elsewhere, r.Header.Get("Authorization"))
		mu.Unlock()
		r.SetBasicAuth("admin", adminPassword) // as a presigned URL would
		from.handler.ServeHTTP(w, r)
	}))
	t.Cleanup(store.Close)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			if r.Header.Get("Authorization") == "" {
				t.Error("the registry does not see the credentials")
			}
			http.Redirect(w, r, strings.Replace(store.URL, "127.0.0.1", "localhost", 1)+r.URL.Path, http.StatusTemporaryRedirect)
			return
		}
		from.handler.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	unitTest(t, testProvider(), resource.TestStep{
		Config:            s.config("%s", app(strings.TrimPrefix(front.URL, "http://")+"/team/app:1", sourceLogin)),
		ConfigStateChecks: []statecheck.StateCheck{s.whole("mirror/app:v1", one), is(imageApp, "source_auth", knownvalue.ObjectPartial(map[string]knownvalue.Check{"password_wo": knownvalue.Null()}))},
	})
	if len(elsewhere) < 3 {
		t.Errorf("the other host saw %d requests", len(elsewhere))
	}
	for _, seen := range elsewhere {
		if seen != "" {
			t.Error("another host was shown credentials")
		}
	}
}

// The tag at the source moves once more between plan and apply: what is there
// then is copied, and Terraform does not complain about the plan.
func TestImageSourceMovesDuringApply(t *testing.T) {
	s, from := startServer(t), startServer(t)
	images := []v1.Image{randomImage(t, "linux/amd64"), randomImage(t, "linux/amd64"), randomImage(t, "linux/amd64")}
	from.push(t, images[0], "team/app:1")
	last := digestOf(t, images[2])
	config := s.config("%s", app(from.host()+"/team/app:1", sourceLogin))
	var looks int
	count := func(w http.ResponseWriter, r *http.Request, server http.Handler) {
		if r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/manifests/") {
			if looks++; looks == 2 { // that of the apply
				from.push(t, images[2], "team/app:1")
			}
		}
		server.ServeHTTP(w, r)
	}
	unitTest(t, testProvider(),
		resource.TestStep{Config: config},
		resource.TestStep{
			PreConfig: func() {
				from.push(t, images[1], "team/app:1")
				from.fail(times(100, count)...)()
			},
			Config: config, ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
				plancheck.ExpectResourceAction(imageApp, update), plancheck.ExpectUnknownValue(imageApp, tfjsonpath.New("source_digest")),
			}},
			ConfigStateChecks: []statecheck.StateCheck{s.whole("mirror/app:v1", last), digestIs(last)},
		},
	)
	if looks < 2 {
		t.Errorf("the source was looked at %d times", looks)
	}
}

// A server below a path of its host.
func TestImageBelowPath(t *testing.T) {
	s, from := newServerWith(t, `{addr: "127.0.0.1:0", prefix: /registry/}`), startServer(t)
	s.start(t, "/registry")
	one := from.push(t, randomIndex(t, "linux/amd64", "linux/arm64"), "team/app:1")
	unitTest(t, testProvider(),
		resource.TestStep{
			Config: s.config("%s", app(from.host()+"/team/app:1", sourceLogin, `on_destroy = "delete_manifest"`)+
				"data \"registry_image\" \"this\" {\n repository = registry_image.app.repository\n digest = registry_image.app.digest\n}\n"),
			ConfigStateChecks: []statecheck.StateCheck{s.points("mirror/app:v1", one), is(imageThis, "platforms", stringList("linux/amd64", "linux/arm64"))},
		},
	)
	if err := s.pointsAt("mirror/app:v1", ""); err != nil {
		t.Error(err)
	}
}

// A source over TLS with its own CA, and one that has none.
func TestImageSourceTLS(t *testing.T) {
	s, from := startServer(t), startServer(t)
	one := from.push(t, randomImage(t, "linux/amd64"), "team/app:1")
	secure := httptest.NewTLSServer(from)
	t.Cleanup(secure.Close)
	source := strings.TrimPrefix(secure.URL, "https://") + "/team/app:1"
	ca := fmt.Sprintf("source_ca_certificate = %q", encodePEM("CERTIFICATE", secure.Certificate().Raw))
	fine := []statecheck.StateCheck{s.whole("mirror/app:v1", one)}
	unitTest(t, testProvider(),
		resource.TestStep{Config: s.config("%s", app(source, sourceLogin)), ExpectError: says("Set source_ca_certificate")},
		resource.TestStep{Config: s.config("%s", app(source, sourceLogin, `source_ca_certificate = "x"`)), ExpectError: says("here is no certificate in PEM")},
		resource.TestStep{Config: s.config("%s", app(source, sourceLogin, ca)), ConfigStateChecks: fine, ConfigPlanChecks: expectAction(imageApp, create)},
		resource.TestStep{Config: s.config("%s", app(source, sourceLogin, "source_insecure = true")), ConfigStateChecks: fine, ConfigPlanChecks: expectAction(imageApp, update)},
	)
}
