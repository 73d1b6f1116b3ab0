package provider

import (
	"context"
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
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"
)

// whole expects the tag to point at the digest, and everything that it leads to
// to be there and to be what its digest says.
func (s *testServer) whole(tag, digest string) statecheck.StateCheck {
	return serverCheck(func() error {
		if err := s.pointsAt(tag, digest); err != nil {
			return err
		}
		ref, err := name.ParseReference(s.host() + "/" + tag)
		if err != nil {
			return err
		}
		got, err := remote.Get(ref, behindTheBack()...)
		if err != nil {
			return err
		}
		if !got.MediaType.IsIndex() {
			image, err := got.Image()
			if err != nil {
				return err
			}
			return validate.Image(image)
		}
		index, err := got.ImageIndex()
		if err != nil {
			return err
		}
		return validate.Index(index)
	})
}

func digestIs(digest string) statecheck.StateCheck {
	return is(imageApp, "digest", knownvalue.StringExact(digest))
}

// An image and an index come over as they are; a tag that moves at the source is
// copied anew, and only where the copy lies decides whether it is another one.
func TestImageUpdate(t *testing.T) {
	s, from := startServer(t), startServer(t)
	image, index := randomImage(t, "linux/arm/v7"), randomIndex(t, "linux/amd64", "linux/arm64")
	one := from.push(t, image, "team/app:1")
	two := from.push(t, index, "team/app:2")
	source := func(tag string) string { return from.host() + "/team/app:" + tag }
	step := func(action plancheck.ResourceActionType, digest, config string) resource.TestStep {
		return resource.TestStep{Config: s.config("%s", config), ConfigPlanChecks: expectAction(imageApp, action), ConfigStateChecks: []statecheck.StateCheck{
			s.whole("mirror/app:v1", digest), digestIs(digest), is(imageApp, "source_digest", knownvalue.StringExact(digest)),
		}}
	}
	facts, err := (content{image: image}).facts()
	if err != nil {
		t.Fatal(err)
	}
	first := step(create, one, app(source("1"), sourceLogin))
	first.ConfigStateChecks = append(first.ConfigStateChecks,
		is(imageApp, "platforms_copied", texts("linux/arm/v7")), is(imageApp, "size_bytes", knownvalue.Int64Exact(facts.size)),
		is(imageApp, "on_destroy", knownvalue.StringExact("untag")), is(imageApp, "parallel", knownvalue.Int64Exact(4)), is(imageApp, "source_insecure", knownvalue.Bool(false)))
	moved := step(update, two, app(source("1"), sourceLogin))
	moved.PreConfig = func() { from.push(t, index, "team/app:1") }
	other := step(update, two, app(source("1"), sourceLogin, "parallel = 1", `on_destroy = "keep"`, `timeouts = { create = "5m", update = "5m" }`, "source_insecure = true"))
	other.PreConfig = s.forget // nothing of it is copied again
	pinned := step(update, one, app(from.host()+"/team/app@"+one, sourceLogin))
	pinned.ConfigPlanChecks.PreApply = append(pinned.ConfigPlanChecks.PreApply, plancheck.ExpectKnownValue(imageApp, tfjsonpath.New("digest"), knownvalue.StringExact(one)))
	renamed := step(replace, one, strings.Replace(app(source("v"), sourceLogin), `"v1"`, `"v2"`, 1))
	renamed.PreConfig = func() { from.push(t, image, "team/app:v") }
	renamed.ConfigStateChecks = []statecheck.StateCheck{s.points("mirror/app:v1", ""), s.whole("mirror/app:v2", one)}
	elsewhere := step(replace, one, strings.Replace(app(source("v"), sourceLogin), `mirror/app`, `mirror/other`, 1))
	elsewhere.ConfigStateChecks = []statecheck.StateCheck{s.points("mirror/app:v2", ""), s.whole("mirror/other:v1", one)}
	unitTest(t, testProvider(), first, step(noop, one, app(source("1"), sourceLogin)), moved, other,
		resource.TestStep{Config: s.config("%s", app(source("1"), sourceLogin, "parallel = 1")), Check: s.sentNoBlob(t)},
		pinned, renamed, elsewhere)
	if err := s.pointsAt("mirror/other:v1", ""); err != nil {
		t.Error(err)
	}
}

// forget forgets which requests there were.
func (s *testServer) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

// sentNoBlob expects that since forget nothing was uploaded.
func (s *testServer) sentNoBlob(t *testing.T) resource.TestCheckFunc {
	return func(*terraform.State) error {
		t.Helper()
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, r := range s.requests {
			if strings.Contains(r.path, "/blobs/uploads/") && r.body != 0 {
				return fmt.Errorf("%s %s sent %d bytes", r.method, r.path, r.body)
			}
		}
		return nil
	}
}

// Of an index, only the platforms that are asked for, with their attestations.
func TestImagePlatforms(t *testing.T) {
	s, from := startServer(t), startServer(t)
	index := randomIndex(t, "linux/amd64", "linux/arm/v6", "linux/arm/v7", "windows/amd64")
	whole := from.push(t, index, "team/app:1")
	from.push(t, randomImage(t, "linux/amd64"), "team/app:single")
	source := from.host() + "/team/app:1"
	step := func(action plancheck.ResourceActionType, platforms string, has ...string) resource.TestStep {
		return resource.TestStep{
			Config: s.config("%s", app(source, sourceLogin, platforms)), ConfigPlanChecks: expectAction(imageApp, action),
			ConfigStateChecks: []statecheck.StateCheck{is(imageApp, "platforms_copied", texts(has...)), is(imageApp, "source_digest", knownvalue.StringExact(whole)), s.hasManifests(2 * len(has))},
		}
	}
	wrong := func(source, platforms, complaint string) resource.TestStep {
		return resource.TestStep{Config: s.config("%s", app(source, sourceLogin, platforms)), ExpectError: says(complaint)}
	}
	all := step(update, `platforms = ["linux/amd64", "linux/arm", "windows/amd64"]`, "linux/amd64", "linux/arm/v6", "linux/arm/v7", "windows/amd64")
	all.ConfigStateChecks = append(all.ConfigStateChecks, digestIs(whole)) // nothing was left out
	unitTest(t, testProvider(),
		wrong(source, `platforms = ["linux/s390x"]`, "there is no image for linux/s390x in the index; it has linux/amd64"),
		wrong(from.host()+"/team/app:single", `platforms = ["linux/arm64"]`, "it is a single image, for linux/amd64"),
		step(create, `platforms = ["linux/amd64"]`, "linux/amd64"),
		step(update, `platforms = ["linux/arm/v7", "linux/amd64"]`, "linux/amd64", "linux/arm/v7"),
		step(noop, `platforms = ["linux/amd64", "linux/arm/v7"]`, "linux/amd64", "linux/arm/v7"),
		step(update, `platforms = ["linux/arm"]`, "linux/arm/v6", "linux/arm/v7"),
		all,
		step(update, "", "linux/amd64", "linux/arm/v6", "linux/arm/v7", "windows/amd64"),
	)
}

// hasManifests expects mirror/app:v1 to be an index of so many manifests, all
// whole.
func (s *testServer) hasManifests(n int) statecheck.StateCheck {
	return statecheckFunc(func(req statecheck.CheckStateRequest) error {
		digest, _ := stateOf(req, imageApp)["digest"].(string)
		var response statecheck.CheckStateResponse
		s.whole("mirror/app:v1", digest).CheckState(context.Background(), req, &response)
		if response.Error != nil {
			return response.Error
		}
		ref, err := name.ParseReference(s.host() + "/mirror/app:v1")
		if err != nil {
			return err
		}
		index, err := remote.Index(ref, behindTheBack()...)
		if err != nil {
			return err
		}
		manifest, err := index.IndexManifest()
		if err == nil && len(manifest.Manifests) != n {
			err = fmt.Errorf("there are %d manifests, want %d", len(manifest.Manifests), n)
		}
		return err
	})
}

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

// What another repository of this registry has is mounted, and no byte sent.
func TestImageMount(t *testing.T) {
	s := startServer(t)
	image, index := s.push(t, randomImage(t, "linux/amd64"), "team/app:1"), s.push(t, randomIndex(t, "linux/amd64", "linux/arm64"), "team/app:2")
	step := func(tag, digest string) resource.TestStep {
		return resource.TestStep{
			PreConfig: s.forget, Config: s.config("%s", app(s.host()+"/team/app:"+tag)),
			Check: s.sentNoBlob(t), ConfigStateChecks: []statecheck.StateCheck{s.whole("mirror/app:v1", digest)},
		}
	}
	unitTest(t, testProvider(), step("1", image), step("2", index))
}

// Somebody else moves the tag here, or removes it.
func TestImageDrift(t *testing.T) {
	s, from := startServer(t), startServer(t)
	one := from.push(t, randomImage(t, "linux/amd64"), "team/app:1")
	other := s.push(t, randomIndex(t, "linux/arm64", "linux/s390x"), "mirror/app:other")
	config := s.config("%s", app(from.host()+"/team/app:1", sourceLogin))
	fine := []statecheck.StateCheck{s.whole("mirror/app:v1", one), digestIs(one), is(imageApp, "platforms_copied", texts("linux/amd64"))}
	unitTest(t, testProvider(),
		resource.TestStep{Config: config, ConfigStateChecks: fine},
		resource.TestStep{
			PreConfig: s.retag(t, "mirror/app:v1", other), RefreshState: true, ExpectNonEmptyPlan: true,
			Check: resource.TestCheckResourceAttr(imageApp, "digest", other),
		},
		resource.TestStep{Config: config, ConfigPlanChecks: expectAction(imageApp, update), ConfigStateChecks: fine},
		resource.TestStep{ // also to an index without images
			PreConfig: func() { s.pushIndex(t, "mirror/app", "empty", "v1") },
			Config:    config, ConfigPlanChecks: expectAction(imageApp, update), ConfigStateChecks: fine,
		},
		resource.TestStep{PreConfig: s.untag(t, "mirror/app:v1"), Config: config, ConfigPlanChecks: expectAction(imageApp, create), ConfigStateChecks: fine},
		resource.TestStep{PreConfig: s.fail(s.on(http.MethodDelete, first(s.untag(t, "mirror/app:v1")))), Config: config, Destroy: true},
	)
}

// What a destroy leaves.
func TestImageDestroy(t *testing.T) {
	for how, left := range map[string][2]bool{"untag": {false, true}, "keep": {true, true}, "delete_manifest": {false, false}} {
		t.Run(how, func(t *testing.T) {
			s, from := startServer(t), startServer(t)
			one := from.push(t, randomImage(t, "linux/amd64"), "team/app:1")
			unitTest(t, testProvider(),
				resource.TestStep{Config: s.config("%s", app(from.host()+"/team/app:1", sourceLogin, fmt.Sprintf("on_destroy = %q", how)))},
				resource.TestStep{PreConfig: s.retag(t, "mirror/app:shared", one), Config: s.config("# nothing")},
			)
			for tag, there := range map[string]bool{"mirror/app:v1": left[0], "mirror/app:shared": left[1]} {
				want := ""
				if there {
					want = one
				}
				if err := s.pointsAt(tag, want); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// A tag that was there before is not taken over; imported, the next apply copies
// to it.
func TestImageExistsAndImport(t *testing.T) {
	s, from := startServer(t), startServer(t)
	one := from.push(t, randomImage(t, "linux/amd64"), "team/app:1")
	s.push(t, randomImage(t, "linux/amd64"), "mirror/app:v1")
	config := s.config("%s", app(from.host()+"/team/app:1", sourceLogin))
	block := "import {\n to = registry_image.app\n id = \"mirror/app:v1\"\n}\n"
	unitTest(t, testProvider(),
		resource.TestStep{Config: config, ExpectError: says("terraform import registry_image.NAME mirror/app:v1")},
		resource.TestStep{Config: config + block, ConfigPlanChecks: expectAction(imageApp, update), ConfigStateChecks: []statecheck.StateCheck{s.whole("mirror/app:v1", one)}},
		resource.TestStep{
			ResourceName: imageApp, ImportState: true, ImportStateId: "mirror/app:v1", ImportStateVerify: true, ImportStateVerifyIdentifierAttribute: "tag",
			ImportStateVerifyIgnore: []string{"source", "source_digest", "source_auth", "source_insecure", "on_destroy", "parallel"}, // only the configuration has them
		},
		resource.TestStep{ResourceName: imageApp, ImportState: true, ImportStateId: "mirror/app:v9", ExpectError: says("Cannot import non-existent remote object")},
		resource.TestStep{ResourceName: imageApp, ImportState: true, ImportStateId: "mirror/app", ExpectError: says("does not name a tag")},
	)
}

// A server that fails in the middle: apply again converges, and what is there
// is not lost for it.
func TestImageFaults(t *testing.T) {
	s, from := startServer(t), startServer(t)
	one := from.push(t, randomImage(t, "linux/amd64"), "team/app:1")
	two := from.push(t, randomImage(t, "linux/amd64"), "team/app:2")
	config, changed := s.config("%s", app(from.host()+"/team/app:1", sourceLogin)), s.config("%s", app(from.host()+"/team/app:2", sourceLogin))
	wrong := func(complaint, config string, faults ...fault) resource.TestStep {
		return resource.TestStep{PreConfig: s.fail(faults...), Config: config, ExpectError: says(complaint)}
	}
	made := func(config string, action plancheck.ResourceActionType, digest string, faults ...fault) resource.TestStep {
		return resource.TestStep{PreConfig: s.fail(faults...), Config: config, ConfigPlanChecks: expectAction(imageApp, action), ConfigStateChecks: []statecheck.StateCheck{s.whole("mirror/app:v1", digest)}}
	}
	hang := func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		select {
		case <-r.Context().Done():
		case <-t.Context().Done():
		}
	}
	broken := times(40, s.on(http.MethodPatch, status(500)))
	unitTest(t, testProvider(),
		wrong("Could not copy", config, broken...),
		wrong("Could not copy", config, times(20, s.on(http.MethodPost, status(403)))...),
		wrong("timeouts allows for more time", s.config("%s", app(from.host()+"/team/app:1", sourceLogin, `timeouts = { create = "3s" }`)), times(40, s.on(http.MethodPatch, hang))...),
		made(config, create, one, s.on(http.MethodPatch, status(503)), s.on(http.MethodPatch, cut), s.on(http.MethodPut, status(503)), s.on(http.MethodPut, lose)),
		wrong(`Could not read the image "mirror/app:v1"`, config, times(3, s.on(http.MethodGet, status(500)))...),
		wrong("Could not copy", changed, broken...),
		made(changed, update, two),
		wrong(`Could not delete the image "mirror/app:v1"`, s.config("# nothing"), s.on(http.MethodDelete, status(500))),
		resource.TestStep{PreConfig: s.fail(s.on(http.MethodDelete, lose)), Config: s.config("# nothing")},
	)
	if err := s.pointsAt("mirror/app:v1", ""); err != nil {
		t.Error(err)
	}
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
			if _, password, _ := r.BasicAuth(); password != adminPassword {
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

func TestImageValidation(t *testing.T) {
	s := &testServer{url: "http://127.0.0.1:1"}
	wrong := func(config, complaint string) resource.TestStep {
		return resource.TestStep{Config: s.config("%s", config), PlanOnly: true, ExpectError: says(complaint)}
	}
	const nginx = "docker.io/library/nginx:1.27"
	unitTest(t, testProvider(),
		wrong(app("https://registry.example.com/app"), "is a URL"),
		wrong(app("Nginx"), "is not an image reference"),
		wrong(app("oci:"), "here is no path"),
		wrong(app("docker-archive::v1"), "here is no path"),
		wrong(app(nginx, `platforms = ["amd64"]`), "Invalid platform"),
		wrong(app(nginx, `platforms = []`), "at least 1 elements"),
		wrong(app(nginx, `platforms = [null]`), "contains a null value"),
		wrong(app(nginx, "parallel = 0"), "between 1 and 16"),
		wrong(app(nginx, `on_destroy = "burn"`), "on_destroy"),
		wrong(app(nginx, `source_auth = { username = "u" }`), "password_wo"),
		wrong(app(nginx, `timeouts = { create = "soon" }`), "Time Duration"),
		wrong(strings.Replace(app(nginx), "mirror/app", "Mirror", 1), "Invalid repository name"),
		wrong(strings.Replace(app(nginx), `"v1"`, `"-"`, 1), "Invalid tag"),
	)
}

func TestImageUnknownInputs(t *testing.T) {
	s, from := startServer(t), startServer(t)
	one := from.push(t, randomIndex(t, "linux/amd64", "linux/arm64"), "team/app:1")
	unitTest(t, testProvider(), resource.TestStep{
		Config: s.config(`
resource "terraform_data" "all" {
  input = { source = %q, repository = "mirror/app", tag = "v1", platforms = ["linux/amd64", "linux/arm64"], username = "admin", parallel = 2 }
}
resource "registry_image" "app" {
  source      = terraform_data.all.output.source
  repository  = terraform_data.all.output.repository
  tag         = terraform_data.all.output.tag
  platforms   = terraform_data.all.output.platforms
  parallel    = terraform_data.all.output.parallel
  source_auth = { username = terraform_data.all.output.username, password_wo = %q }
}
`, from.host()+"/team/app:1", adminPassword),
		ConfigPlanChecks: expectAction(imageApp, create), ConfigStateChecks: []statecheck.StateCheck{s.whole("mirror/app:v1", one)},
	})
}
