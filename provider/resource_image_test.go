package provider

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
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

// No more is on its way at a time than parallel says, also of an index.
func TestImageParallel(t *testing.T) {
	s, from := startServer(t), startServer(t)
	source := from.host() + "/team/app:1"
	from.push(t, randomIndex(t, "linux/amd64", "linux/arm64", "linux/s390x"), "team/app:1")
	var mu sync.Mutex
	var now, most int
	watch := func(w http.ResponseWriter, r *http.Request, server http.Handler) {
		if r.Method == http.MethodPatch {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(20 * time.Millisecond) // for others to come in between
			defer func() {
				mu.Lock()
				now--
				mu.Unlock()
			}()
		}
		server.ServeHTTP(w, r)
	}
	step := func(parallel int) resource.TestStep {
		return resource.TestStep{
			PreConfig: func() {
				most = 0
				s.fail(times(1000, watch)...)()
			},
			Config: s.config("%s", strings.Replace(app(source, sourceLogin, fmt.Sprintf("parallel = %d", parallel)), "mirror/app", fmt.Sprintf("mirror/app-%d", parallel), 1)),
			Check: func(*terraform.State) error {
				if most < 1 || most > parallel {
					return fmt.Errorf("%d blobs were on their way at once, want 1 to %d", most, parallel)
				}
				return nil
			},
		}
	}
	unitTest(t, testProvider(), step(1), step(2))
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
