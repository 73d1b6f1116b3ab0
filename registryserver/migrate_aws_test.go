package main_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/registrykit/terraform-provider-registry/modules/awstest"
)

// TestTakeOverBucket does to the bucket of a predecessor what examples/migrate-from-registry2 does: Terraform imports it as it stands and
// plans nothing but changes in place; no object changes; ours serves what was there, and the predecessor what ours added.
func TestTakeOverBucket(t *testing.T) {
	if testing.Short() {
		t.Skip("NOT TESTED with -short: Terraform waits for a minute until S3's lifecycle rules have settled")
	}
	t.Parallel()
	tf := awstest.NewTerraform(t)
	for _, theirs := range predecessors {
		t.Run(theirs.name, func(t *testing.T) {
			t.Parallel()
			binary := tool(t, theirs.tool)
			e := awstest.Start(t, awstest.Options{})
			bucket := oldBucket(t, e)
			config := fmt.Sprintf(`version: 0.1
storage:
  s3: {accesskey: test, secretkey: test, region: %s, regionendpoint: %q, forcepathstyle: true, secure: false, bucket: %s, rootdirectory: /old/place}
  delete: {enabled: true}
  redirect: {disable: true}
`, awstest.Region, e.URL, bucket.name)

			shelf := newShelf(t)
			writer := startRegistry(t, binary, config)
			pushShelf(t, writer, shelf)
			writer.stop(t)
			before := bucket.objects(t)

			takeOver(t, tf, e, bucket.name)
			if after := bucket.objects(t); !maps.Equal(before, after) {
				t.Errorf("objects changed: there were %d, and are %d", len(before), len(after))
			}

			ours := startServer(t, config)
			checkShelf(t, ours, shelf)
			shelf.tags["after"] = map[string]artifact{"v1": ociImage(t, 50)}
			push(t, ours, "after", "v1", shelf.tags["after"]["v1"])
			ours.stop(t)

			checkShelf(t, startRegistry(t, binary, config), shelf) // the way back
		})
	}
}

// awsBucket is a bucket as somebody made it by hand, years ago.
type awsBucket struct {
	api  *s3.Client
	name string
}

// oldBucket makes one, with settings of all kinds that the module takes over, and some that are not as the module wants them.
func oldBucket(t *testing.T, e *awstest.Emulator) awsBucket {
	t.Helper()
	b := awsBucket{s3.NewFromConfig(e.Config(), func(o *s3.Options) { o.UsePathStyle = true }), "old-images"}
	name := aws.String(b.name)
	location := &s3types.CreateBucketConfiguration{LocationConstraint: awstest.Region}
	_, err := b.api.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: name, CreateBucketConfiguration: location})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.api.PutBucketTagging(t.Context(), &s3.PutBucketTaggingInput{Bucket: name, Tagging: &s3types.Tagging{
		TagSet: []s3types.Tag{{Key: aws.String("owner"), Value: aws.String("somebody who left")}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.api.PutPublicAccessBlock(t.Context(), &s3.PutPublicAccessBlockInput{Bucket: name, PublicAccessBlockConfiguration: &s3types.PublicAccessBlockConfiguration{
		BlockPublicAcls: aws.Bool(true), IgnorePublicAcls: aws.Bool(true), BlockPublicPolicy: aws.Bool(false), RestrictPublicBuckets: aws.Bool(false),
	}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.api.PutBucketOwnershipControls(t.Context(), &s3.PutBucketOwnershipControlsInput{Bucket: name, OwnershipControls: &s3types.OwnershipControls{
		Rules: []s3types.OwnershipControlsRule{{ObjectOwnership: s3types.ObjectOwnershipBucketOwnerPreferred}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	// S3 itself gives every bucket this.
	_, err = b.api.PutBucketEncryption(t.Context(), &s3.PutBucketEncryptionInput{Bucket: name, ServerSideEncryptionConfiguration: &s3types.ServerSideEncryptionConfiguration{
		Rules: []s3types.ServerSideEncryptionRule{{ApplyServerSideEncryptionByDefault: &s3types.ServerSideEncryptionByDefault{SSEAlgorithm: s3types.ServerSideEncryptionAes256}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.api.PutBucketLifecycleConfiguration(t.Context(), &s3.PutBucketLifecycleConfigurationInput{Bucket: name, LifecycleConfiguration: &s3types.BucketLifecycleConfiguration{
		Rules: []s3types.LifecycleRule{{
			ID: aws.String("parts"), Status: s3types.ExpirationStatusEnabled, Filter: &s3types.LifecycleRuleFilter{Prefix: aws.String("")},
			AbortIncompleteMultipartUpload: &s3types.AbortIncompleteMultipartUpload{DaysAfterInitiation: aws.Int32(30)},
		}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// objects are the keys in the bucket and what they hold, by S3's own checksum.
func (b awsBucket) objects(t *testing.T) map[string]string {
	t.Helper()
	objects := map[string]string{}
	pages := s3.NewListObjectsV2Paginator(b.api, &s3.ListObjectsV2Input{Bucket: &b.name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range page.Contents {
			objects[*object.Key] = *object.ETag
		}
	}
	if len(objects) == 0 {
		t.Fatal("the bucket is empty")
	}
	return objects
}

// takeOver applies what the example says of the bucket, and checks the plans before and after.
func takeOver(t *testing.T, tf *awstest.Terraform, e *awstest.Emulator, bucket string) {
	t.Helper()
	w := tf.Workspace(t, "examples/migrate-from-registry2", e)
	// The emulator does not look at the condition of the policy, and would refuse everything.
	w.Write("emulator_override.tf", "module \"registry\" {\n  storage = { bucket = var.bucket, root_directory = var.root_directory, deny_insecure_transport = false }\n}\n")
	w.Variables(map[string]any{
		"region": awstest.Region, "domain": "registry.example.com", "zone_id": "Z0123456789ABCDEFGHIJ", "bucket": bucket, "root_directory": "/old/place",
		"image": map[string]any{"ami_ids": map[string]string{"arm64": "ami-0123456789abcdef0"}, "install": map[string]any{}}, "name_exists": false,
		"bucket_has": map[string]any{"lifecycle_rules": true},
	})
	const timeout = 5 * time.Minute
	run := func(args ...string) string {
		t.Helper()
		said, err := w.Run(timeout, args...)
		if err != nil {
			t.Fatalf("terraform %s: %v\n%s", args[0], err, said)
		}
		return said
	}
	// The cluster is another matter: it is made, and not taken over.
	const target = "-target=module.registry.module.storage"
	run("plan", "-input=false", target, "-out=planned")
	var plan struct {
		Changes []struct {
			Address string
			Mode    string
			Change  struct {
				Actions   []string
				Importing *struct{ ID string }
			}
		} `json:"resource_changes"`
	}
	if err := json.Unmarshal([]byte(run("show", "-json", "planned")), &plan); err != nil {
		t.Fatal(err)
	}
	imported := 0
	for _, c := range plan.Changes {
		if c.Mode != "managed" {
			continue
		}
		if c.Change.Importing == nil || c.Change.Importing.ID != bucket {
			t.Errorf("%s is not imported", c.Address)
		}
		if action := strings.Join(c.Change.Actions, "/"); action != "no-op" && action != "update" {
			t.Errorf("the plan would %s %s", action, c.Address)
		}
		imported++
	}
	if imported != 6 {
		t.Errorf("%d resources are imported, want the bucket and its versioning, encryption, ownership, public access block and lifecycle rules", imported)
	}
	run("apply", "-input=false", "planned")
	if said, err := w.Run(timeout, "plan", "-input=false", "-detailed-exitcode", target); err != nil {
		t.Errorf("the second plan is not empty: %v\n%s", err, said)
	}
	if state := strings.Fields(run("state", "list")); !slices.Contains(state, "module.registry.module.storage.aws_s3_bucket.this") {
		t.Errorf("the state holds %v", state)
	}
}
