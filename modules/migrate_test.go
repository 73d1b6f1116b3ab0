package modules

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/registrykit/terraform-provider-registry/modules/awstest"
)

// TestMigrationPlan: where a registry has a bucket and a name already, the example changes both in place. Everything else is new, and nothing
// is destroyed or replaced. That the bucket is good afterwards is tested with the server, in TestTakeOverBucket.
func TestMigrationPlan(t *testing.T) {
	t.Parallel()
	tf := awstest.NewTerraform(t)
	e := awstest.Start(t, awstest.Options{})
	zone := e.HostedZone(t, "example.com")
	bucket := oldRegistry(t, e, zone)
	w := tf.Workspace(t, "examples/migrate-from-registry2", e)
	w.Write("htpasswd", oldUsers)
	w.Variables(map[string]any{
		"region": awstest.Region, "domain": "registry.example.com", "zone_id": zone, "bucket": bucket,
		"image":      map[string]any{"ami_ids": map[string]string{"arm64": e.AMI(t, "debian", "arm64")}, "install": map[string]any{}},
		"bucket_has": map[string]bool{"public_access_block": false, "ownership_controls": false}, "htpasswd_file": "htpasswd", "pushers": []string{"jenkins"},
	})
	changes, said := w.Plan()
	var inPlace, users []string
	for _, c := range changes {
		switch action := strings.Join(c.Change.Actions, "/"); {
		case action == "update":
			inPlace = append(inPlace, c.Address)
		case action != "create":
			t.Errorf("the plan would %s", c)
		case strings.HasPrefix(c.Address, "registry_user."):
			users = append(users, c.Address)
		}
	}
	slices.Sort(inPlace)
	slices.Sort(users)
	want := []string{
		`module.registry.module.dns.aws_route53_record.alias["A"]`, "module.registry.module.storage.aws_s3_bucket.this", "module.registry.module.storage.aws_s3_bucket_versioning.this",
	}
	if !slices.Equal(inPlace, want) {
		t.Errorf("in place change %v, want %v\n%s", inPlace, want, said)
	}
	if want := []string{`registry_user.migrated["alice"]`, `registry_user.migrated["jenkins"]`}; !slices.Equal(users, want) {
		t.Errorf("users are %v, want %v", users, want)
	}
}

// oldUsers are the lines of a registry's htpasswd file.
const oldUsers = "alice:$2y$10$cTW9HgYNt.xcUCgwKvIXnOPtOQMgMFiookwDgCHy7Qz7Bfx344HWK\njenkins:$2y$10$cTW9HgYNt.xcUCgwKvIXnOPtOQMgMFiookwDgCHy7Qz7Bfx344HWK\n"

// oldRegistry makes what somebody has who runs a registry on one machine: a name that leads to it, and a bucket, which it returns.
func oldRegistry(t *testing.T, e *awstest.Emulator, zone string) (bucket string) {
	t.Helper()
	bucket = "old-images"
	addRecord(t, e, zone)
	_, err := e.S3().CreateBucket(t.Context(), &s3.CreateBucketInput{
		Bucket: &bucket, CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: awstest.Region},
	})
	if err != nil {
		t.Fatal(err)
	}
	// S3 itself gives every bucket this.
	_, err = e.S3().PutBucketEncryption(t.Context(), &s3.PutBucketEncryptionInput{Bucket: &bucket, ServerSideEncryptionConfiguration: &types.ServerSideEncryptionConfiguration{
		Rules: []types.ServerSideEncryptionRule{{ApplyServerSideEncryptionByDefault: &types.ServerSideEncryptionByDefault{SSEAlgorithm: types.ServerSideEncryptionAes256}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return bucket
}

// addRecord lets the name lead to a machine, as it does for somebody who has a registry.
func addRecord(t *testing.T, e *awstest.Emulator, zone string) {
	t.Helper()
	body := `<ChangeResourceRecordSetsRequest xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><ChangeBatch><Changes><Change><Action>CREATE</Action>
<ResourceRecordSet><Name>registry.example.com</Name><Type>A</Type><TTL>300</TTL><ResourceRecords><ResourceRecord><Value>198.51.100.7</Value></ResourceRecord></ResourceRecords></ResourceRecordSet>
</Change></Changes></ChangeBatch></ChangeResourceRecordSetsRequest>`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.URL+"/2013-04-01/hostedzone/"+zone+"/rrset/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/route53/aws4_request, SignedHeaders=host, Signature=0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("ChangeResourceRecordSets: %s", resp.Status)
	}
}
