package provider

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ebs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"
)

const (
	serverImage = "registry_server_image.server"
	replaceIt   = plancheck.ResourceActionDestroyBeforeCreate
)

// disk is a raw image for a test, most of it a hole.
type disk struct {
	path   string
	size   int64
	blocks map[int][]byte // those that are not zero, padded
}

// newDisk makes a file of so many bytes with random content in some blocks; the
// last one may be cut short.
func newDisk(t *testing.T, path string, size int64, seed uint64, indexes ...int) disk {
	t.Helper()
	d := disk{path, size, map[int][]byte{}}
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(size); err != nil {
		t.Fatal(err)
	}
	random := rand.NewChaCha8([32]byte{byte(seed)})
	for _, index := range indexes {
		block := make([]byte, 512*1024)
		at := int64(index) * 512 * 1024
		_, _ = random.Read(block[:min(size-at, 512*1024)])
		if _, err := file.WriteAt(block[:min(size-at, 512*1024)], at); err != nil {
			t.Fatal(err)
		}
		d.blocks[index] = block
	}
	return d
}

// someDisk is a small one: 9 of its 21 blocks are not zero.
func someDisk(t *testing.T, seed uint64) disk {
	t.Helper()
	return newDisk(t, filepath.Join(t.TempDir(), "disk.raw"), 20*512*1024+1000, seed, 0, 1, 2, 5, 6, 7, 11, 12, 20)
}

func (d disk) sha256(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(d.path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func (d disk) indexes() []int {
	var all []int
	for index := range d.blocks {
		all = append(all, index)
	}
	slices.Sort(all)
	return all
}

func newImageName() string { return "server-" + uuid.NewString() }

// image is a configuration of an image of a disk.
func image(name string, d disk, extra ...string) string {
	all := strings.Join(extra, "\n  ")
	if !strings.Contains(all, "architecture") {
		all += "\n  architecture = \"x86_64\""
	}
	if !strings.Contains(all, "name_prefix") {
		all += fmt.Sprintf("\n  name = %q", name)
	}
	return fmt.Sprintf("resource \"registry_server_image\" \"server\" {\n  source_file = %q\n  %s\n}\n", d.path, all)
}

// testImageProvider gives up a request of an upload at once.
func testImageProvider() *registryProvider {
	p := testProvider()
	p.uploadAttempts = 1
	return p
}

// published expects the snapshot in the state to hold the disk, sealed as EBS
// wants it.
func (s *ec2Server) published(d disk) statecheck.StateCheck {
	return statecheckFunc(func(req statecheck.CheckStateRequest) error {
		id, _ := stateOf(req, serverImage)["snapshot_id"].(string)
		s.mu.Lock()
		known := s.snapshots[id]
		s.mu.Unlock()
		if known == nil {
			return fmt.Errorf("there is no snapshot %q", id)
		}
		aggregate := sha256.New()
		api := ebs.New(ebs.Options{BaseEndpoint: aws.String(theMoto.url.String()), Region: awsRegion, Credentials: s.client(awsRegion).Options().Credentials})
		for _, index := range d.indexes() {
			sum := sha256.Sum256(d.blocks[index])
			aggregate.Write(sum[:])
			out, err := api.GetSnapshotBlock(context.Background(), &ebs.GetSnapshotBlockInput{SnapshotId: &id, BlockIndex: aws.Int32(int32(index)), BlockToken: aws.String("x")})
			if err != nil {
				return err
			}
			var got bytes.Buffer
			_, _ = got.ReadFrom(out.BlockData)
			_ = out.BlockData.Close()
			if !bytes.Equal(got.Bytes(), d.blocks[index]) {
				return fmt.Errorf("block %d is not that of the disk", index)
			}
		}
		want := map[string]string{
			"X-Amz-Changedblockscount": fmt.Sprint(len(d.blocks)), "X-Amz-Checksum": base64.StdEncoding.EncodeToString(aggregate.Sum(nil)),
			"X-Amz-Checksum-Algorithm": "SHA256", "X-Amz-Checksum-Aggregation-Method": "LINEAR",
		}
		got := map[string]string{}
		for key := range want {
			got[key] = known.complete.Get(key)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("CompleteSnapshot: %s", diff)
		}
		if len(known.blocks) != len(d.blocks) {
			return fmt.Errorf("%d blocks were put, want %d", len(known.blocks), len(d.blocks))
		}
		return nil
	})
}

// request is what RegisterImage was told for the image of the state.
func (s *ec2Server) request(req statecheck.CheckStateRequest) url.Values {
	id, _ := stateOf(req, serverImage)["id"].(string)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.images[id] == nil {
		return nil
	}
	return s.images[id].request
}

func TestServerImageBasic(t *testing.T) {
	s, name, d := startEC2(t), newImageName(), someDisk(t, 1)
	registered := statecheckFunc(func(req statecheck.CheckStateRequest) error {
		state := stateOf(req, serverImage)
		snapshot, _ := state["snapshot_id"].(string)
		form := s.request(req)
		want := map[string]string{
			"Action": "RegisterImage", "Name": name, "Architecture": "arm64", "Description": "a registry", "BootMode": "uefi", "EnaSupport": "true", "ImdsSupport": "v2.0",
			"VirtualizationType": "hvm", "RootDeviceName": "/dev/xvda",
			"BlockDeviceMapping.1.DeviceName": "/dev/xvda", "BlockDeviceMapping.1.Ebs.SnapshotId": snapshot, "BlockDeviceMapping.1.Ebs.VolumeType": "gp3",
			"BlockDeviceMapping.1.Ebs.VolumeSize": "3", "BlockDeviceMapping.1.Ebs.DeleteOnTermination": "true",
			"TagSpecification.1.ResourceType": "image",
		}
		for key := range form {
			if strings.HasPrefix(key, "TagSpecification.1.Tag.") || key == "Version" {
				delete(form, key)
			}
		}
		got := map[string]string{}
		for key := range form {
			got[key] = form.Get(key)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("RegisterImage: %s", diff)
		}
		var start map[string]any
		s.mu.Lock()
		defer s.mu.Unlock()
		if err := json.Unmarshal([]byte(s.snapshots[snapshot].start), &start); err != nil {
			return err
		}
		if start["VolumeSize"] != 3.0 || start["Timeout"] != 1440.0 || start["Encrypted"] != nil || start["ParentSnapshotId"] != nil || start["ClientToken"] == "" {
			return fmt.Errorf("StartSnapshot was told %v", start)
		}
		if puts := slices.Sorted(slices.Values(s.snapshots[snapshot].puts)); !slices.Equal(puts, d.indexes()) {
			return fmt.Errorf("the blocks %v were put, want %v", puts, d.indexes())
		}
		return nil
	})
	unitTest(t, testImageProvider(), resource.TestStep{
		Config: s.config("%s", image(name, d, `architecture = "arm64"`, `description = "a registry"`, "volume_size = 3", `tags = { app = "registry", Name = "server" }`)),
		ConfigPlanChecks: resource.ConfigPlanChecks{
			PreApply: []plancheck.PlanCheck{
				plancheck.ExpectResourceAction(serverImage, create),
				plancheck.ExpectKnownValue(serverImage, tfjsonpath.New("source_sha256"), knownvalue.StringExact(d.sha256(t))),
			},
			PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()},
		},
		ConfigStateChecks: []statecheck.StateCheck{
			s.published(d), registered,
			is(serverImage, "region", knownvalue.StringExact(awsRegion)),
			is(serverImage, "volume_size", knownvalue.Int64Exact(3)),
			is(serverImage, "encrypted", knownvalue.Bool(false)),
			statecheckFunc(func(req statecheck.CheckStateRequest) error {
				state := stateOf(req, serverImage)
				if want := fmt.Sprintf("arn:aws:ec2:%s::image/%s", awsRegion, state["id"]); state["arn"] != want {
					return fmt.Errorf("the ARN is %v, want %s", state["arn"], want)
				}
				ids, _ := state["image_ids"].(map[string]any)
				snapshots, _ := state["snapshot_ids"].(map[string]any)
				if len(ids) != 1 || ids[awsRegion] != state["id"] || snapshots[awsRegion] != state["snapshot_id"] {
					return fmt.Errorf("the ids are %v and %v", ids, snapshots)
				}
				return nil
			}),
			s.tagged(name, awsRegion, map[string]string{"app": "registry", "Name": "server"}),
		},
	})
	s.nothingLeft(t)
}

// tagged expects these tags of the user on the image and its snapshot, and that
// nothing of it is unfinished.
func (s *ec2Server) tagged(name, region string, want map[string]string) statecheck.StateCheck {
	return statecheckFunc(func(statecheck.CheckStateRequest) error {
		r := imageRegion{region, s.client(region)}
		it, err := r.imageNamed(context.Background(), name)
		if err != nil || it == nil {
			return fmt.Errorf("there is no image %s in %s, %w", name, region, err)
		}
		s.mu.Lock()
		id := s.images[*it.ImageId].snapshot
		s.mu.Unlock()
		snapshot, err := r.snapshot(context.Background(), id)
		if err != nil {
			return err
		}
		if diff := cmp.Diff([]map[string]string{want, want}, []map[string]string{userTags(it.Tags), userTags(snapshot.Tags)}); diff != "" {
			return fmt.Errorf("tags in %s: %s", region, diff)
		}
		for _, tags := range [][]string{{tagOf(it.Tags, tagSHA256), tagOf(it.Tags, tagCreation)}, {tagOf(snapshot.Tags, tagSHA256), tagOf(snapshot.Tags, tagCreation)}} {
			if len(tags[0]) != 64 || tags[1] == "" {
				return fmt.Errorf("our tags in %s are %v", region, tags)
			}
		}
		if isUnfinished(it.Tags) || isUnfinished(snapshot.Tags) {
			return fmt.Errorf("the image in %s is marked as unfinished", region)
		}
		return nil
	})
}

// The upload breaks off and is gone on with, whichever order Terraform replaces
// in.
func TestServerImageResume(t *testing.T) {
	for order, lifecycle := range map[string]string{"destroy before create": "", "create before destroy": "lifecycle {\n create_before_destroy = true\n }"} {
		t.Run(order, func(t *testing.T) {
			s, name, d := startEC2(t), newImageName(), someDisk(t, 1)
			config := s.config("%s", image(name, d, lifecycle))
			var before []int
			action := replaceIt
			if lifecycle != "" {
				action = plancheck.ResourceActionCreateBeforeDestroy
			}
			unitTest(t, testImageProvider(),
				resource.TestStep{
					PreConfig: s.fail("PutSnapshotBlock", pass, pass, pass, status(500), status(500), status(500)), Config: config,
					ExpectError: says("Could not create the image " + name),
				},
				resource.TestStep{ // and once more
					PreConfig: func() {
						before = s.onlySnapshot(t).puts
						if len(before) < 3 || len(before) >= len(d.blocks) {
							t.Errorf("%v were put at first", before)
						}
						s.fail("PutSnapshotBlock", pass, status(500), status(500))()
					},
					Config: config, ExpectError: says("Put block"),
				},
				resource.TestStep{
					PreConfig: func() {
						if more := s.onlySnapshot(t).puts; len(more) <= len(before) {
							t.Errorf("nothing was put the second time: %v", more)
						}
						s.fail("PutSnapshotBlock")()
					},
					Config: config, ConfigPlanChecks: expectAction(serverImage, action),
					ConfigStateChecks: []statecheck.StateCheck{s.published(d), statecheckFunc(func(statecheck.CheckStateRequest) error {
						if puts := slices.Sorted(slices.Values(s.onlySnapshot(t).puts)); !slices.Equal(puts, d.indexes()) {
							return fmt.Errorf("the blocks %v were put in all, each of %v is to be put once", puts, d.indexes())
						}
						return nil
					})},
				},
			)
			s.nothingLeft(t)
			if s.count("StartSnapshot") != 1 || s.count("RegisterImage") != 1 {
				t.Errorf("%d snapshots, %d images", s.count("StartSnapshot"), s.count("RegisterImage"))
			}
		})
	}
}

// pass is no fault.
func pass(w http.ResponseWriter, r *http.Request, next http.Handler) { next.ServeHTTP(w, r) }

// onlySnapshot is the one that was started.
func (s *ec2Server) onlySnapshot(t *testing.T) knownSnapshot {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.snapshots) != 1 {
		t.Errorf("%d snapshots were started", len(s.snapshots))
	}
	for _, known := range s.snapshots {
		return knownSnapshot{puts: slices.Clone(known.puts)}
	}
	return knownSnapshot{}
}
