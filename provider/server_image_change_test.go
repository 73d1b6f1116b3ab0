package provider

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
)

// settled expects the image of a name to have these settings in some regions,
// and to be in no other of those that the tests use.
func (s *ec2Server) settled(name string, want imageSettings, regions ...string) statecheck.StateCheck {
	return statecheckFunc(func(req statecheck.CheckStateRequest) error {
		ids, _ := stateOf(req, serverImage)["image_ids"].(map[string]any)
		for _, region := range []string{awsRegion, "eu-west-1", "us-east-1"} {
			r := imageRegion{region, s.overlay(region)}
			it, err := r.imageNamed(context.Background(), name)
			switch {
			case err != nil:
				return err
			case (it != nil) != slices.Contains(regions, region):
				return fmt.Errorf("the image is in %s: %v", region, it != nil)
			case it == nil:
				continue
			case ids[region] != *it.ImageId:
				return fmt.Errorf("the ids are %v, in %s it is %s", ids, region, *it.ImageId)
			}
			got, err := r.settings(context.Background(), it)
			if err != nil {
				return err
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(imageSettings{})); diff != "" {
				return fmt.Errorf("in %s: %s", region, diff)
			}
			if err := s.tagged(name, region, want.tags).(statecheckFunc)(req); err != nil {
				return err
			}
		}
		return nil
	})
}

// Every argument: the settings change in place, in all regions, and what makes
// an image what it is replaces it.
func TestServerImageUpdate(t *testing.T) {
	s, name, d := startEC2(t), newImageName(), someDisk(t, 1)
	want := imageSettings{tags: map[string]string{}}
	home, all := []string{awsRegion}, []string{awsRegion, "eu-west-1", "us-east-1"}
	step := func(action plancheck.ResourceActionType, regions []string, extra ...string) resource.TestStep {
		return resource.TestStep{
			Config: s.config("%s", image(name, d, extra...)), ConfigPlanChecks: expectAction(serverImage, action),
			ConfigStateChecks: []statecheck.StateCheck{s.settled(name, want, regions...)},
		}
	}
	steps := []resource.TestStep{step(create, home)}
	want.description = "a registry"
	steps = append(steps, step(update, home, `description = "a registry"`))
	want.tags = map[string]string{"app": "registry", "empty": ""}
	settings := []string{`description = "a registry"`, `tags = { app = "registry", empty = "" }`}
	steps = append(steps, step(update, home, settings...))
	settings = append(settings, `copy_to_regions = ["us-east-1", "eu-west-1"]`)
	steps = append(steps, step(update, all, settings...))
	want.accounts = []string{"210987654321", "321098765432"}
	settings = append(settings, `launch_account_ids = ["321098765432", "210987654321"]`)
	steps = append(steps, step(update, all, settings...))
	want.deprecationTime = "2040-01-01T10:00:00Z"
	steps = append(steps, step(update, all, append(settings, `deprecation_time = "2040-01-01T12:00:00+02:00"`)...))
	want.deprecationTime, want.accounts = "", []string{"210987654321"}
	settings[3] = `launch_account_ids = ["210987654321"]`
	steps = append(steps, step(update, all, settings...))
	settings[2] = `copy_to_regions = ["us-east-1"]`
	steps = append(steps, step(update, []string{awsRegion, "us-east-1"}, settings...))
	want = imageSettings{tags: map[string]string{}}
	moved := d
	moved.path = filepath.Join(t.TempDir(), "moved.raw")
	if err := os.Link(d.path, moved.path); err != nil {
		t.Fatal(err)
	}
	steps = append(steps, step(update, home),
		step(update, home, `timeouts = { create = "1h", update = "1h", delete = "1h" }`),
		resource.TestStep{Config: s.config("%s", image(name, moved)), ConfigPlanChecks: expectAction(serverImage, update)},
		step(update, home, fmt.Sprintf("source_sha256 = %q", d.sha256(t)), `timeouts = { create = "2h" }`),
		step(replaceIt, home, `architecture = "arm64"`),
		step(replaceIt, home, "volume_size = 2"),
		step(replaceIt, home, "encrypted = true"),
		step(replaceIt, home, "encrypted = true", fmt.Sprintf("kms_key_id = %q", someKey)),
		step(replaceIt, []string{awsRegion, "us-east-1"}, "encrypted = true", fmt.Sprintf("kms_key_id = %q", someKey), `copy_to_regions = ["us-east-1"]`,
			`copy_kms_key_ids = { "us-east-1" = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab" }`),
		step(replaceIt, []string{"us-east-1"}, `region = "us-east-1"`),
		step(noop, []string{"us-east-1"}), // the region stays where nothing is said
	)
	name += "-2"
	steps = append(steps, step(replaceIt, home))
	unitTest(t, testImageProvider(), steps...)
	s.nothingLeft(t)
}

// A changed file makes another image before the old one goes, or after.
func TestServerImageReplace(t *testing.T) {
	s, name := startEC2(t), newImageName()
	file := filepath.Join(t.TempDir(), "disk.raw")
	one := newDisk(t, file, 3*512*1024, 1, 0, 2)
	first := func() disk { return newDisk(t, file, 3*512*1024, 1, 0, 2) }
	second := func() disk { return newDisk(t, file, 3*512*1024, 2, 1) }
	const before = "lifecycle {\n create_before_destroy = true\n }"
	two := second()
	unitTest(t, testImageProvider(),
		resource.TestStep{PreConfig: func() { first() }, Config: s.config("%s", image(name, one)), ConfigPlanChecks: expectAction(serverImage, create), ConfigStateChecks: []statecheck.StateCheck{s.published(one)}},
		resource.TestStep{PreConfig: func() { second() }, Config: s.config("%s", image(name, one)), ConfigPlanChecks: expectAction(serverImage, replaceIt), ConfigStateChecks: []statecheck.StateCheck{s.published(two)}},
		resource.TestStep{ // two images of one name
			PreConfig: func() { first() }, Config: s.config("%s", image(name, one, before)),
			ExpectError: says("use name_prefix in place of name"),
		},
		resource.TestStep{ // the name makes room
			Config: s.config("%s", image("", one, before, fmt.Sprintf("name_prefix = %q", name+"-"))), ConfigPlanChecks: expectAction(serverImage, plancheck.ResourceActionCreateBeforeDestroy),
			ConfigStateChecks: []statecheck.StateCheck{s.published(one), is(serverImage, "name", knownvalue.StringRegexp(says(name+"-")))},
		},
		resource.TestStep{
			PreConfig: func() { second() }, Config: s.config("%s", image("", one, before, fmt.Sprintf("name_prefix = %q", name+"-"))),
			ConfigPlanChecks: expectAction(serverImage, plancheck.ResourceActionCreateBeforeDestroy), ConfigStateChecks: []statecheck.StateCheck{s.published(two)},
		},
	)
	s.nothingLeft(t)
}

// What somebody else changes shows, in whichever region, and is put right.
func TestServerImageDrift(t *testing.T) {
	s, name, d := startEC2(t), newImageName(), someDisk(t, 1)
	config := s.config("%s", image(name, d, `description = "d"`, `tags = { a = "b" }`, `copy_to_regions = ["eu-west-1"]`, `launch_account_ids = ["210987654321"]`, `deprecation_time = "2040-01-01T00:00:00Z"`))
	want := imageSettings{"d", map[string]string{"a": "b"}, "2040-01-01T00:00:00Z", []string{"210987654321"}}
	steps := []resource.TestStep{{Config: config}}
	for _, region := range []string{awsRegion, "eu-west-1"} {
		r := imageRegion{region, s.overlay(region)}
		id := func() string {
			it, err := r.imageNamed(context.Background(), name)
			if err != nil || it == nil {
				t.Fatalf("no image in %s, %v", region, err)
			}
			return *it.ImageId
		}
		for what, change := range map[string]func() error{
			"description": func() error {
				return r.configure(t.Context(), s.imageBy(t, r, id()), imageSettings{"x", want.tags, want.deprecationTime, want.accounts})
			},
			"tags":               func() error { return r.tag(t.Context(), map[string]string{"a": "x", "c": "d"}, id()) },
			"tags, none":         func() error { return r.untag(t.Context(), []string{"a"}, id()) },
			"deprecation":        func() error { return r.deprecate(t.Context(), id(), "", "2041-01-01T00:00:00Z") },
			"deprecation, never": func() error { return r.deprecate(t.Context(), id(), want.deprecationTime, "") },
			"accounts":           func() error { return r.share(t.Context(), id(), want.accounts, []string{"123456789012"}) },
			"accounts, none":     func() error { return r.share(t.Context(), id(), want.accounts, nil) },
		} {
			steps = append(steps, resource.TestStep{
				PreConfig: func() {
					t.Log(region, what)
					if err := change(); err != nil {
						t.Fatalf("%s in %s: %v", what, region, err)
					}
				},
				Config: config, ConfigPlanChecks: expectAction(serverImage, update), ConfigStateChecks: []statecheck.StateCheck{s.settled(name, want, awsRegion, "eu-west-1")},
			})
		}
	}
	steps = append(steps,
		resource.TestStep{ // of the snapshot
			PreConfig: func() {
				for id := range s.snapshots {
					if err := (imageRegion{awsRegion, s.overlay(awsRegion)}).untag(t.Context(), []string{"a"}, id); err != nil {
						t.Fatal(err)
					}
				}
			},
			Config: config, ConfigPlanChecks: expectAction(serverImage, update), ConfigStateChecks: []statecheck.StateCheck{s.settled(name, want, awsRegion, "eu-west-1")},
		},
		resource.TestStep{ // a copy, but not its snapshot
			PreConfig: func() { s.take(t, "eu-west-1", name, false) },
			Config:    config, ConfigPlanChecks: expectAction(serverImage, update), ConfigStateChecks: []statecheck.StateCheck{s.settled(name, want, awsRegion, "eu-west-1")},
		},
		resource.TestStep{ // a copy
			PreConfig: func() { s.take(t, "eu-west-1", name, true) },
			Config:    config, ConfigPlanChecks: expectAction(serverImage, update), ConfigStateChecks: []statecheck.StateCheck{s.settled(name, want, awsRegion, "eu-west-1")},
		},
	)
	unitTest(t, testImageProvider(), steps...)
	s.nothingLeft(t)
}

// take deregisters an image behind Terraform's back, on request with its
// snapshot.
func (s *ec2Server) take(t *testing.T, region, name string, snapshot bool) {
	t.Helper()
	r := imageRegion{region, s.overlay(region)}
	it, err := r.imageNamed(t.Context(), name)
	if err != nil || it == nil {
		t.Fatalf("no image in %s, %v", region, err)
	}
	if err := r.deregister(t.Context(), *it.ImageId); err != nil {
		t.Fatal(err)
	}
	if snapshot {
		if err := r.deleteSnapshot(t.Context(), snapshotOf(it)); err != nil {
			t.Fatal(err)
		}
	}
}

// An image that is gone is made again; where its snapshot is still there,
// without another upload.
func TestServerImageDisappears(t *testing.T) {
	s, name, d := startEC2(t), newImageName(), someDisk(t, 1)
	config := s.config("%s", image(name, d, `copy_to_regions = ["eu-west-1"]`))
	both := []statecheck.StateCheck{s.settled(name, imageSettings{tags: map[string]string{}}, awsRegion, "eu-west-1")}
	counts := func(starts, puts int) resource.TestStep {
		return resource.TestStep{
			PreConfig: func() {
				if s.count("StartSnapshot") != starts || s.count("PutSnapshotBlock") != puts {
					t.Errorf("%d snapshots and %d blocks, want %d and %d", s.count("StartSnapshot"), s.count("PutSnapshotBlock"), starts, puts)
				}
			},
			Config: config, ConfigPlanChecks: expectAction(serverImage, noop),
		}
	}
	n := len(d.blocks)
	unitTest(t, testImageProvider(),
		resource.TestStep{Config: config, ConfigStateChecks: both},
		resource.TestStep{PreConfig: func() { s.take(t, awsRegion, name, false) }, Config: config, ConfigPlanChecks: expectAction(serverImage, replaceIt), ConfigStateChecks: both},
		counts(1, n),
		resource.TestStep{PreConfig: func() { s.take(t, awsRegion, name, true) }, Config: config, ConfigPlanChecks: expectAction(serverImage, create), ConfigStateChecks: both},
		counts(2, 2*n),
	)
	s.nothingLeft(t)
}

func TestServerImageImport(t *testing.T) {
	s, name, d := startEC2(t), newImageName(), someDisk(t, 1)
	text := image(name, d, `description = "d"`, `tags = { a = "b" }`, `region = "eu-west-1"`, "encrypted = true", fmt.Sprintf("kms_key_id = %q", strings.ReplaceAll(someKey, awsRegion, "eu-west-1")), `deprecation_time = "2040-01-01T00:00:00Z"`, `launch_account_ids = ["210987654321"]`)
	config := s.config("%s", text)
	withRegion := func(state *terraform.State) (string, error) {
		return state.RootModule().Resources[serverImage].Primary.ID + "@eu-west-1", nil
	}
	foreign := imageRegion{awsRegion, s.client(awsRegion)}
	unknown, err := foreign.register(t.Context(), imageSpec{Name: newImageName()}, "", "snap-00000000", map[string]string{"a": "b"})
	if err != nil {
		t.Fatal(err)
	}
	wrong := func(id, complaint string) resource.TestStep {
		return resource.TestStep{ResourceName: serverImage, ImportState: true, ImportStateId: id, ExpectError: says(complaint)}
	}
	unitTest(t, testImageProvider(),
		resource.TestStep{Config: config},
		resource.TestStep{ResourceName: serverImage, ImportState: true, ImportStateIdFunc: withRegion, ImportStateVerify: true, ImportStateVerifyIgnore: []string{"source_file"}},
		wrong("server", "is not the id of an image"),
		wrong("ami-00000000000000000", "Cannot import non-existent remote object"),
		wrong(unknown, "a registry_server_image did not publish it"),
	)
	s.nothingLeft(t)
}

// What was published elsewhere is imported by a block, with its copy; a file of
// another content replaces it.
func TestServerImageImportBlock(t *testing.T) {
	s, name, d := startEC2(t), newImageName(), someDisk(t, 1)
	settings := imageSettings{description: "d", tags: map[string]string{"a": "b"}}
	id := s.publish(t, name, d, settings, "eu-west-1")
	config := s.config("%s", image(name, d, `description = "d"`, `tags = { a = "b" }`, `copy_to_regions = ["eu-west-1"]`))
	unitTest(t, testImageProvider(),
		resource.TestStep{Config: config, ExpectError: says("terraform import registry_server_image.NAME " + id + "@" + awsRegion)},
		resource.TestStep{
			Config: config + fmt.Sprintf("import {\n to = %s\n id = %q\n}\n", serverImage, id), ConfigPlanChecks: expectAction(serverImage, update),
			ConfigStateChecks: []statecheck.StateCheck{is(serverImage, "id", knownvalue.StringExact(id)), s.settled(name, settings, awsRegion, "eu-west-1")},
		},
	)
	s.nothingLeft(t)
	if s.count("StartSnapshot") != 1 || s.count("CopyImage") != 1 {
		t.Errorf("%d snapshots, %d copies", s.count("StartSnapshot"), s.count("CopyImage"))
	}
}

// work is a publication without Terraform.
func (s *ec2Server) work(name string, d disk, sum string, settings imageSettings, copies ...string) *publication {
	config := aws.Config{Region: awsRegion, Credentials: s.client(awsRegion).Options().Credentials}
	access := &awsAccess{settings: awsSettings{ebsEndpoint: s.url, ec2Endpoint: s.url}}
	return &publication{
		spec:     imageSpec{Name: name, SourceSHA256: sum, Architecture: "x86_64", Region: awsRegion, VolumeSize: gibibytes(d.size)},
		settings: settings, copies: copies, creation: "a creation of " + name, there: map[string]imageIDs{},
		ebs: access.ebsIn(config, awsRegion, 1),
		in:  func(region string) imageRegion { return imageRegion{region, access.ec2In(config, region)} },
	}
}

// publish makes an image and returns its id.
func (s *ec2Server) publish(t *testing.T, name string, d disk, settings imageSettings, copies ...string) string {
	t.Helper()
	p := s.work(name, d, d.sha256(t), settings, copies...)
	if err := p.create(t.Context(), d.path, func() {}); err != nil {
		t.Fatal(err)
	}
	return p.there[awsRegion].image
}

// imageBy describes an image.
func (s *ec2Server) imageBy(t *testing.T, r imageRegion, id string) *ec2types.Image {
	t.Helper()
	it, err := r.image(t.Context(), id)
	if err != nil || it == nil {
		t.Fatalf("no image %s, %v", id, err)
	}
	return it
}

// Terraform before 1.12 knows no identities, so this speaks the protocol
// itself: an import by identity, with and without the region.
func TestServerImageIdentity(t *testing.T) {
	t.Parallel()
	s, name, d := startEC2(t), newImageName(), someDisk(t, 1)
	id := s.publish(t, name, d, imageSettings{tags: map[string]string{}})
	provider := s.protocol(t)
	kind := tftypes.Object{AttributeTypes: map[string]tftypes.Type{"id": tftypes.String, "region": tftypes.String}}
	identity := func(id string, region any) map[string]tftypes.Value {
		return map[string]tftypes.Value{"id": tftypes.NewValue(tftypes.String, id), "region": tftypes.NewValue(tftypes.String, region)}
	}
	for _, it := range []struct {
		id     string
		region any
		there  bool
	}{{id, nil, true}, {id, awsRegion, true}, {id, "eu-west-1", false}, {"ami-00000000000000000", nil, false}} {
		imported, err := provider.ImportResourceState(t.Context(), &tfprotov6.ImportResourceStateRequest{
			TypeName: "registry_server_image", Identity: &tfprotov6.ResourceIdentityData{IdentityData: dynamic(t, kind, identity(it.id, it.region))},
		})
		if err != nil || len(imported.Diagnostics) > 0 || len(imported.ImportedResources) != 1 {
			t.Fatalf("%s: %v, %+v", it.id, err, imported)
		}
		found := imported.ImportedResources[0]
		read, err := provider.ReadResource(t.Context(), &tfprotov6.ReadResourceRequest{
			TypeName: "registry_server_image", CurrentState: found.State, CurrentIdentity: found.Identity, Private: found.Private,
		})
		if err != nil || len(read.Diagnostics) > 0 || read.NewIdentity == nil {
			t.Fatalf("%s: %v, %+v", it.id, err, read)
		}
		region := it.region
		if region == nil {
			region = awsRegion
		}
		if value, err := read.NewIdentity.IdentityData.Unmarshal(kind); err != nil || !value.Equal(tftypes.NewValue(kind, identity(it.id, region))) {
			t.Errorf("%s: the identity is %v, %v", it.id, value, err)
		}
		if gone, err := read.NewState.IsNull(); err != nil || gone == it.there {
			t.Errorf("%s: it is gone: %v, %v", it.id, gone, err)
		}
	}
	p := s.work(name, d, d.sha256(t), imageSettings{tags: map[string]string{}})
	if err := p.removeAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.nothingLeft(t)
}

// imageExampleDisks are the files that the examples name.
func imageExampleDisks(t *testing.T, text string) (string, disk) {
	t.Helper()
	folder := t.TempDir()
	d := newDisk(t, filepath.Join(folder, "registry-amd64.raw"), 2*512*1024, 1, 0)
	arm := newDisk(t, filepath.Join(folder, "registry-arm64.raw"), 2*512*1024, 2, 1)
	return strings.NewReplacer("${path.module}", folder, "54d626e08c1c802b305dad30b7e54a82f102390cc92c7d4db112048935236e9c", arm.sha256(t)).Replace(text), d
}

// The examples can be applied, and what the first makes can be imported as the
// documentation says.
func TestExamplesServerImage(t *testing.T) {
	const documented = "ami-0123456789abcdef0@" + awsRegion
	s := startEC2(t)
	text, _ := imageExampleDisks(t, example(t, "resources/registry_server_image/resource*.tf"))
	quiet := resource.ConfigPlanChecks{PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}}
	withImport, d := imageExampleDisks(t, importExample(t, serverImage, documented, "THE-IMAGE"))
	spec := s.work("registry-server-", d, d.sha256(t), imageSettings{}).spec
	id := s.publish(t, "registry-server-"+spec.fingerprint()[:suffixLength], d, imageSettings{tags: map[string]string{}})
	unitTestInOrder(t, testImageProvider(),
		resource.TestStep{Config: s.config("") + strings.ReplaceAll(withImport, "THE-IMAGE", id+"@"+awsRegion), ConfigPlanChecks: expectAction(serverImage, update)},
		resource.TestStep{Config: s.config("") + text, ConfigPlanChecks: quiet},
	)
	s.nothingLeft(t)
}
