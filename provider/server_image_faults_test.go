package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
)

// failing puts the faults of several operations in order.
func (s *ec2Server) failing(faults ...awsFault) func() {
	return func() {
		s.awsServer.mu.Lock()
		defer s.awsServer.mu.Unlock()
		s.faults = faults
	}
}

// A missing permission is named, with the action of IAM that it takes.
func TestServerImagePermissions(t *testing.T) {
	s, name, d := startEC2(t), newImageName(), someDisk(t, 1)
	config := s.config("%s", image(name, d, `copy_to_regions = ["eu-west-1"]`))
	denied := refuseEC2(403, "UnauthorizedOperation", "You are not authorized to perform this operation.")
	wrong := func(operation, permission string, f fault) resource.TestStep {
		return resource.TestStep{PreConfig: s.fail(operation, f), Config: config, ExpectError: says("The credentials lack " + permission)}
	}
	unitTest(t, testImageProvider(),
		wrong("StartSnapshot", "ebs:StartSnapshot", refuseJSON(403, "AccessDeniedException", "no")),
		wrong("PutSnapshotBlock", "ebs:PutSnapshotBlock", refuseJSON(403, "AccessDeniedException", "no")),
		wrong("CompleteSnapshot", "ebs:CompleteSnapshot", refuseJSON(403, "AccessDeniedException", "no")),
		wrong("RegisterImage", "ec2:RegisterImage", denied),
		wrong("CopyImage", "ec2:CopyImage", denied),
		wrong("DescribeImageAttribute", "ec2:DescribeImageAttribute", denied),
		resource.TestStep{PreConfig: s.fail("-"), Config: config, ConfigPlanChecks: expectAction(serverImage, replaceIt), ConfigStateChecks: []statecheck.StateCheck{s.published(d)}},
		resource.TestStep{PreConfig: s.fail("DeregisterImage", denied), Config: s.config("# nothing"), ExpectError: says("The credentials lack ec2:DeregisterImage")},
		resource.TestStep{PreConfig: s.fail("DeleteSnapshot", denied), Config: s.config("# nothing"), ExpectError: says("The credentials lack ec2:DeleteSnapshot")},
		resource.TestStep{PreConfig: s.fail("-"), Config: s.config("# nothing")},
	)
	s.nothingLeft(t)
	if n := s.count("StartSnapshot"); n != 2 { // the first was denied
		t.Errorf("%d snapshots were asked for", n)
	}
}

// What AWS refuses only for the moment is asked for again; what it did although
// its answer was lost is not done twice.
func TestServerImageFaults(t *testing.T) {
	s, name, d := startEC2(t), newImageName(), someDisk(t, 1)
	p := testProvider()
	p.uploadAttempts = 4
	config := s.config("%s", image(name, d, `copy_to_regions = ["eu-west-1"]`))
	throttle := refuseJSON(400, "RequestThrottledException", "slow down")
	limit := refuseEC2(503, "RequestLimitExceeded", "slow down")
	settled := s.settled(name, imageSettings{tags: map[string]string{}}, awsRegion, "eu-west-1")
	unitTest(t, p,
		resource.TestStep{
			PreConfig: s.failing(awsFault{"StartSnapshot", throttle}, awsFault{"PutSnapshotBlock", throttle}, awsFault{"PutSnapshotBlock", throttle}, awsFault{"PutSnapshotBlock", status(500)},
				awsFault{"PutSnapshotBlock", cut}, awsFault{"PutSnapshotBlock", lose}, awsFault{"CompleteSnapshot", lose}, awsFault{"RegisterImage", limit}, awsFault{"RegisterImage", lose}, awsFault{"CopyImage", limit}),
			Config: config, ConfigPlanChecks: expectAction(serverImage, create), ConfigStateChecks: []statecheck.StateCheck{s.published(d), settled},
		},
		resource.TestStep{ // an error of EC2 is not an absence
			PreConfig: s.failing(awsFault{"DescribeImages", refuseEC2(400, "InternalFailure", "")}), Config: config, ExpectError: says("Could not read the image ami-"),
		},
		resource.TestStep{
			PreConfig: s.failing(awsFault{"CreateTags", refuseEC2(400, "InvalidParameterValue", "")}), Config: s.config("%s", image(name, d, `copy_to_regions = ["eu-west-1"]`, `tags = { a = "b" }`)),
			ExpectError: says("Could not change the image ami-"),
		},
		resource.TestStep{PreConfig: s.failing(), Config: config, ConfigStateChecks: []statecheck.StateCheck{settled}},
		resource.TestStep{PreConfig: s.failing(awsFault{"DeleteSnapshot", refuseEC2(400, "InvalidSnapshot.InUse", "for a while")}), Config: s.config("# nothing")},
	)
	if left := s.left(); left > 0 {
		t.Errorf("%d faults did not happen", left)
	}
	s.nothingLeft(t)
	if len(s.images) != 0 || s.count("StartSnapshot") != 2 {
		t.Errorf("%d images, %d snapshots", len(s.images), s.count("StartSnapshot"))
	}
}

// The copy fails: the next creation goes on with the image, whichever order
// Terraform replaces in.
func TestServerImageCopyResume(t *testing.T) {
	for order, lifecycle := range map[string]string{"destroy before create": "", "create before destroy": "lifecycle {\n create_before_destroy = true\n }"} {
		t.Run(order, func(t *testing.T) {
			s, name, d := startEC2(t), newImageName(), someDisk(t, 1)
			config := s.config("%s", image(name, d, `copy_to_regions = ["eu-west-1", "us-east-1"]`, lifecycle))
			broken := refuseEC2(400, "ResourceLimitExceeded", "You have exceeded your quota of copies")
			unitTest(t, testImageProvider(),
				resource.TestStep{PreConfig: s.fail("CopyImage", pass, broken), Config: config, ExpectError: says("You have exceeded your quota of copies")},
				resource.TestStep{PreConfig: s.fail("CopyImage", broken), Config: config, ExpectError: says("You have exceeded your quota of copies")},
				resource.TestStep{PreConfig: s.fail("-"), Config: config, ConfigStateChecks: []statecheck.StateCheck{
					s.published(d), s.settled(name, imageSettings{tags: map[string]string{}}, awsRegion, "eu-west-1", "us-east-1"),
				}},
				resource.TestStep{Config: config, ConfigPlanChecks: expectAction(serverImage, noop)},
			)
			s.nothingLeft(t)
			if s.count("StartSnapshot") != 1 || s.count("RegisterImage") != 1 || s.count("PutSnapshotBlock") != len(d.blocks) || s.count("CopyImage") != 4 {
				t.Errorf("%v", s.requests)
			}
		})
	}
}

// What an upload that broke off has left goes with the resource, and with the
// file that it was of.
func TestServerImageAbandoned(t *testing.T) {
	s, name := startEC2(t), newImageName()
	file := filepath.Join(t.TempDir(), "disk.raw")
	content := func(seed uint64) func() disk {
		return func() disk { return newDisk(t, file, 3*512*1024, seed, 0, 2) }
	}
	one := content(1)()
	config := s.config("%s", image(name, one))
	interrupted := resource.TestStep{
		PreConfig: func() { content(1)(); s.fail("PutSnapshotBlock", pass, status(500))() },
		Config:    config, ExpectError: says("Could not create the image"),
	}
	left := func(n int) {
		t.Helper()
		if left := s.snapshotsLeft(t); len(left) != n {
			t.Errorf("the snapshots %v are left, want %d", left, n)
		}
	}
	unitTest(t, testImageProvider(),
		interrupted,
		resource.TestStep{PreConfig: func() { left(1) }, Config: s.config("# nothing")},
		resource.TestStep{PreConfig: func() { left(0) }, Config: s.config("# still nothing")},
		interrupted,
		resource.TestStep{ // of another file
			PreConfig: func() { content(2)(); s.fail("-")() }, Config: config, ConfigPlanChecks: expectAction(serverImage, replaceIt),
			ConfigStateChecks: []statecheck.StateCheck{s.published(content(2)())},
		},
		resource.TestStep{PreConfig: func() { left(1) }, Config: s.config("# nothing")},
		interrupted,
		resource.TestStep{ // as if Terraform had been killed
			Config: s.config("removed {\n from = %s\n lifecycle {\n destroy = false\n }\n}\n", serverImage),
		},
		resource.TestStep{
			PreConfig: func() { left(1) }, Config: config, ConfigPlanChecks: expectAction(serverImage, create),
			ConfigStateChecks: []statecheck.StateCheck{s.published(one)},
		},
		resource.TestStep{PreConfig: func() { left(1) }, Config: s.config("# nothing")},
	)
	s.nothingLeft(t)
}

// The file changes after the plan: nothing is made of a mixture.
func TestServerImageFileChanges(t *testing.T) {
	s, name := startEC2(t), newImageName()
	file := filepath.Join(t.TempDir(), "disk.raw")
	d := newDisk(t, file, 20*512*1024, 1, 0, 19)
	config := s.config("%s", image(name, d))
	meddle := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		newDisk(t, file, 20*512*1024, 2, 0, 3)
		next.ServeHTTP(w, r)
	}
	unitTest(t, testImageProvider(),
		resource.TestStep{PreConfig: s.fail("StartSnapshot", meddle), Config: config, ExpectError: says("is not what it was, or is said to be")},
		resource.TestStep{ // what it was, after all: the blocks of the other are put again
			PreConfig: func() { newDisk(t, file, 20*512*1024, 1, 0, 19) }, Config: config, ExpectError: says("the blocks are not those that were put"),
		},
		resource.TestStep{
			PreConfig: func() { newDisk(t, file, 20*512*1024, 2, 0, 3) }, Config: config, ConfigPlanChecks: expectAction(serverImage, replaceIt),
		},
		resource.TestStep{
			PreConfig: func() { newDisk(t, file, 20*512*1024, 1, 0, 19) }, Config: config, ConfigPlanChecks: expectAction(serverImage, replaceIt), ConfigStateChecks: []statecheck.StateCheck{s.published(d)},
		},
	)
	s.nothingLeft(t)
	if s.count("RegisterImage") != 2 {
		t.Errorf("%d images", s.count("RegisterImage"))
	}
}

// An upload ends with its context, and says where it was.
func TestServerImageCancel(t *testing.T) {
	t.Parallel()
	s, name := startEC2(t), newImageName()
	var indexes []int
	for i := range 3 * uploadParallel {
		indexes = append(indexes, i)
	}
	d := newDisk(t, filepath.Join(t.TempDir(), "disk.raw"), int64(len(indexes))*512*1024, 1, indexes...)
	ctx, cancel := context.WithCancel(t.Context())
	faults := append(times(uploadParallel, pass), func(http.ResponseWriter, *http.Request, http.Handler) {
		cancel()
		panic(http.ErrAbortHandler) // an empty answer would say that the block was taken
	})
	s.fail("PutSnapshotBlock", faults...)()
	begun := false
	err := s.work(name, d, d.sha256(t), imageSettings{tags: map[string]string{}}, "eu-west-1").create(ctx, d.path, func() { begun = true })
	if !errors.Is(err, context.Canceled) || !begun {
		t.Fatalf("begun %v, %v", begun, err)
	}
	puts := len(s.onlySnapshot(t).puts)
	p := s.work(name, d, d.sha256(t), imageSettings{tags: map[string]string{}}, "eu-west-1")
	if err := p.create(t.Context(), d.path, func() {}); err != nil {
		t.Fatal(err)
	}
	all := s.onlySnapshot(t).puts
	if repeated := len(all) - len(indexes); puts == 0 || len(all) == puts || repeated < 0 || repeated > uploadBuffers {
		t.Errorf("%d blocks were put at first, and %d in all, of %d", puts, len(all), len(indexes))
	}
	if err := p.removeAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.nothingLeft(t)
}

// A deletion leaves alone what a later creation has taken over, and every region
// is cleared.
func TestServerImageTakenOver(t *testing.T) {
	t.Parallel()
	s, name, d := startEC2(t), newImageName(), someDisk(t, 1)
	one := s.work(name, d, d.sha256(t), imageSettings{tags: map[string]string{}}, "eu-west-1")
	s.fail("CopyImage", refuseEC2(400, "ResourceLimitExceeded", ""))()
	if err := one.create(t.Context(), d.path, func() {}); awsCode(err) != "ResourceLimitExceeded" {
		t.Fatal(err)
	}
	two := s.work(name, d, d.sha256(t), imageSettings{tags: map[string]string{}}, "eu-west-1")
	two.creation = "another"
	if err := two.create(t.Context(), d.path, func() {}); err != nil {
		t.Fatal(err)
	}
	if err := one.removeAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(s.images) != 2 || len(s.snapshotsLeft(t)) != 1 {
		t.Errorf("%d images are left of 2, %d snapshots of 1", len(s.images), len(s.snapshotsLeft(t)))
	}
	if err := two.removeAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.nothingLeft(t)
}

// The name is taken by what is not ours.
func TestServerImageTaken(t *testing.T) {
	s, name, d := startEC2(t), newImageName(), someDisk(t, 1)
	foreign := imageRegion{"eu-west-1", s.overlay("eu-west-1")}
	id, err := foreign.register(t.Context(), imageSpec{Name: name}, "", "snap-00000000", map[string]string{"a": "b"})
	if err != nil {
		t.Fatal(err)
	}
	unitTest(t, testImageProvider(),
		resource.TestStep{Config: s.config("%s", image(name, d, `copy_to_regions = ["eu-west-1"]`)), ExpectError: says("The image " + id + " has it there")},
		resource.TestStep{Config: s.config("%s", image(name, d, `region = "eu-west-1"`)), ExpectError: says("terraform import registry_server_image.NAME " + id + "@eu-west-1")},
		resource.TestStep{Config: s.config("%s", image(name, d))},
	)
	if err := foreign.deregister(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	s.nothingLeft(t)
}

// An account that encrypts every snapshot says so.
func TestServerImageEncryptedByDefault(t *testing.T) {
	s, name, d := startEC2(t), newImageName(), someDisk(t, 1)
	encrypt := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		answer := &rewriting{ResponseWriter: w, change: func(body string) string {
			return strings.Replace(body, `{"SnapshotId"`, `{"KmsKeyArn": "`+someKey+`", "SnapshotId"`, 1)
		}}
		next.ServeHTTP(answer, r)
		answer.end()
	}
	unitTest(t, testImageProvider(),
		resource.TestStep{PreConfig: s.fail("StartSnapshot", encrypt), Config: s.config("%s", image(name, d)), ExpectError: says("set encrypted = true")},
		resource.TestStep{PreConfig: s.fail("-"), Config: s.config("%s", image(name, d, "encrypted = true")), ConfigStateChecks: []statecheck.StateCheck{is(serverImage, "encrypted", knownvalue.Bool(true))}},
	)
	s.nothingLeft(t)
}

// rewriting changes the body of an answer.
type rewriting struct {
	http.ResponseWriter
	change func(string) string
	code   int
	body   strings.Builder
}

func (r *rewriting) WriteHeader(code int)        { r.code = code }
func (r *rewriting) Write(p []byte) (int, error) { return r.body.Write(p) }
func (r *rewriting) end() {
	r.Header().Del("Content-Length")
	r.ResponseWriter.WriteHeader(r.code)
	_, _ = r.ResponseWriter.Write([]byte(r.change(r.body.String())))
}

// Files and arguments that are known only after apply.
func TestServerImageUnknown(t *testing.T) {
	s, name := startEC2(t), newImageName()
	file := filepath.Join(t.TempDir(), "disk.raw")
	config := func(value string) string {
		return s.config(`
resource "terraform_data" "known_later" {
  input = %s
}
locals { later = terraform_data.known_later.output }
`, value) + fmt.Sprintf(`
resource "registry_server_image" "server" {
  name               = local.later.name
  source_file        = local.later.file
  architecture       = local.later.architecture
  description        = local.later.name
  region             = local.later.region
  volume_size        = local.later.size
  encrypted          = local.later.yes
  kms_key_id         = local.later.key
  copy_to_regions    = [local.later.copy]
  copy_kms_key_ids   = { %q = local.later.key }
  launch_account_ids = [local.later.account]
  deprecation_time   = local.later.time
  tags               = { a = local.later.name }
  timeouts           = { create = local.later.timeout }
}
`, "eu-west-1")
	}
	value := func(file string) string {
		return fmt.Sprintf(`{ name = %q, file = %q, architecture = "arm64", region = %q, size = 2, yes = true, key = %q, copy = "eu-west-1", account = "210987654321", time = "2040-01-01T00:00:00Z", timeout = "1h" }`, name, file, awsRegion, someKey)
	}
	ready := newDisk(t, filepath.Join(t.TempDir(), "ready.raw"), 512*1024, 3, 0)
	d := disk{path: file}
	unitTest(t, testImageProvider(),
		resource.TestStep{Config: config(value(ready.path)), ConfigPlanChecks: expectAction(serverImage, create), ConfigStateChecks: []statecheck.StateCheck{s.published(ready)}},
		resource.TestStep{Config: s.config("# nothing")},
		resource.TestStep{Config: s.config("%s", image(name, d)), ExpectError: says("no such file or directory")},
		resource.TestStep{
			Config: s.config(`
resource "terraform_data" "build" {
  provisioner "local-exec" {
    command = "cp %s %s"
  }
}
`, ready.path, file) + image(name, d, "depends_on = [terraform_data.build]"),
			ConfigPlanChecks: expectAction(serverImage, create), ConfigStateChecks: []statecheck.StateCheck{s.published(ready)},
		},
		resource.TestStep{ // it is gone, and the image stays
			PreConfig: func() {
				if err := os.Remove(file); err != nil {
					t.Error(err)
				}
			},
			Config: s.config("%s", image(name, d)), ConfigPlanChecks: expectAction(serverImage, noop),
		},
		resource.TestStep{ // by its checksum
			Config: s.config("%s", image(name, d, fmt.Sprintf("source_sha256 = %q", ready.sha256(t)))), ConfigPlanChecks: expectAction(serverImage, noop),
		},
		resource.TestStep{
			Config: s.config("%s", image(name, d, fmt.Sprintf("source_sha256 = %q", strings.Repeat("0", 64)))), PlanOnly: true, ExpectNonEmptyPlan: true,
		},
		resource.TestStep{
			Config: s.config("%s", image(name, ready, fmt.Sprintf("source_sha256 = %q", strings.Repeat("0", 64)))), ExpectError: says("The SHA-256 of " + ready.path + " is " + ready.sha256(t)),
		},
		resource.TestStep{ // the provider is not known yet, and the image stays
			Config:           strings.Replace(s.config("%s", image(name, ready)), fmt.Sprintf("region     = %q", awsRegion), "region     = terraform_data.region.output", 1) + fmt.Sprintf("resource \"terraform_data\" \"region\" {\n input = %q\n}\n", awsRegion),
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(serverImage, update)}},
		},
	)
	s.nothingLeft(t)
}

func TestServerImageValidation(t *testing.T) {
	s, d := startEC2(t), someDisk(t, 1)
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	zeros := newDisk(t, filepath.Join(t.TempDir(), "zeros"), 1<<20, 1)
	big := newDisk(t, filepath.Join(t.TempDir(), "big"), 3<<30, 1)
	var steps []resource.TestStep
	wrong := func(d disk, complaint string, arguments ...string) {
		steps = append(steps, resource.TestStep{Config: s.config("%s", image("some-image", d, arguments...)), PlanOnly: true, ExpectError: says(complaint)})
	}
	for argument, complaint := range map[string]string{
		`architecture = "amd64"`:                    "value must be one of",
		`source_sha256 = "ABC"`:                     "must be 64 hexadecimal digits",
		`region = "Europe"`:                         "is not the name of a region",
		`copy_to_regions = ["Europe"]`:              "is not the name of a region",
		`copy_to_regions = ["` + awsRegion + `"]`:   "The image itself is in " + awsRegion,
		"volume_size = 0":                           "between 1 and 65536",
		`kms_key_id = "` + someKey + `"`:            "is for encrypted = true",
		`launch_account_ids = ["1"]`:                "must be the 12 digits of an account",
		`deprecation_time = "soon"`:                 "is not a time in whole minutes",
		`deprecation_time = "2040-01-01T00:00:01Z"`: "is not a time in whole minutes",
		`tags = { "registrykit:x" = "y" }`:          "which the resource keeps for itself",
		`tags = { "aws:x" = "y" }`:                  "begins with aws:",
		`timeouts = { create = "soon" }`:            "is not a duration",
	} {
		wrong(d, complaint, argument)
	}
	wrong(d, "is not 1 to 116 letters", `name_prefix = "a*"`)
	wrong(d, "when one (and only one) of", `name_prefix = "a"`, `name = "some-image"`)
	wrong(d, "EBS takes no aliases here", "encrypted = true", `kms_key_id = "arn:aws:kms:eu-central-1:123456789012:alias/x"`)
	wrong(d, "copy_to_regions does not have us-east-1", "encrypted = true", `copy_kms_key_ids = { "us-east-1" = "`+someKey+`" }`)
	wrong(disk{path: empty}, "is empty")
	wrong(disk{path: t.TempDir()}, "is not a regular file")
	wrong(big, "The file needs 3 GiB", "volume_size = 2")
	steps = append(steps, resource.TestStep{Config: s.config("%s", image("some-image-"+newImageName(), zeros)), ExpectError: says("holds nothing but zeros")},
		resource.TestStep{Config: s.config(`resource "registry_server_image" "server" {
  name         = "some-image"
  architecture = "arm64"
}
`), ExpectError: says("no source_file says of what")})
	unitTest(t, testImageProvider(), steps...)
	s.nothingLeft(t)
}

func TestParseProgress(t *testing.T) {
	p := &blockProgress{}
	for index := range 12 {
		p.begin(index)
		if index != 3 && index != 9 && index != 10 {
			p.end(index)
		}
	}
	if text := p.String(); text != "12 3 9 10" {
		t.Errorf("%q", text)
	}
	again, err := parseProgress(p.String())
	if err != nil {
		t.Fatal(err)
	}
	var there []int
	for index := range 20 {
		if again.has(index) {
			there = append(there, index)
		}
	}
	if want := []int{0, 1, 2, 4, 5, 6, 7, 8, 11}; !slices.Equal(there, want) {
		t.Errorf("%v are there, want %v", there, want)
	}
	for _, text := range []string{"", "x", "-1", "01", "3 3", "3 2 1", "3 1 1", "3  1", " 3", strings.Repeat("9", 300), "9999999999"} {
		if _, err := parseProgress(text); err == nil {
			t.Errorf("%q is no error", text)
		}
	}
}

func FuzzParseProgress(f *testing.F) {
	for _, text := range []string{"0", "12 3 9 10", "1 0", "x", "5 4 3"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseProgress(text)
		if err == nil && p.String() != text {
			t.Errorf("%q became %q", text, p)
		}
	})
}

func FuzzParseImageID(f *testing.F) {
	for _, text := range []string{"ami-0123456789abcdef0", "ami-0123456789abcdef0@eu-central-1", "ami-", "@", "ami-0123456789abcdef0@-"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, region, err := parseImageID(text)
		if err == nil && id != text && id+"@"+region != text {
			t.Errorf("%q became %q and %q", text, id, region)
		}
	})
}
