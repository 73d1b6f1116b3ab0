package provider

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/registrykit/terraform-provider-registry/registryserver/server"
)

const s3Blobs = "registry_s3_storage.blobs"

func newBucketName() string { return "blobs-" + uuid.NewString() }

// blobs is a bucket with extra arguments, which may stand in for the defaults
// here: moto ignores the condition of the policy and would deny everything.
func blobs(name string, extra ...string) string {
	all := strings.Join(extra, "\n  ")
	if !regexp.MustCompile(`(?m)^\s*deny_insecure_transport `).MatchString(all) {
		all += "\n  deny_insecure_transport = false"
	}
	return fmt.Sprintf("resource \"registry_s3_storage\" \"blobs\" {\n  bucket = %q\n  %s\n}\n", name, all)
}

// has expects the bucket to have these settings.
func (s *awsServer) has(name string, change func(*bucketSettings)) statecheck.StateCheck {
	return serverCheck(func() error {
		want := bucketSettings{
			publicAccessBlocked: true, ownership: ownerEnforced, encryption: bucketEncryption{algorithm: algorithmAES256},
			lifecycle: bucketLifecycle{abortDays: 8, noncurrentDays: 30}, tags: map[string]string{},
		}
		change(&want)
		got, err := s.bucket(name).read(context.Background())
		if err != nil {
			return err
		}
		if names := want.differences(got); len(names) > 0 {
			return fmt.Errorf("%v: the bucket has %+v, want %+v", names, got, want)
		}
		return nil
	})
}

const someKey = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"

func TestS3StorageBasic(t *testing.T) {
	s, name := startAWS(t), newBucketName()
	arn := "arn:aws:s3:::" + name
	policy := newPolicy(serverAccess{partition: "aws", bucket: name}.statements()...).String()
	unitTest(t, testProvider(), resource.TestStep{
		Config: s.config("%s", blobs(name)),
		ConfigPlanChecks: resource.ConfigPlanChecks{
			PreApply: []plancheck.PlanCheck{
				plancheck.ExpectResourceAction(s3Blobs, create),
				plancheck.ExpectKnownValue(s3Blobs, tfjsonpath.New("arn"), knownvalue.StringExact(arn)), // before it exists
				plancheck.ExpectKnownValue(s3Blobs, tfjsonpath.New("iam_policy_json"), knownvalue.StringExact(policy)),
			},
			PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()},
		},
		ConfigStateChecks: []statecheck.StateCheck{
			s.has(name, func(*bucketSettings) {}),
			is(s3Blobs, "region", knownvalue.StringExact(awsRegion)),
			is(s3Blobs, "regional_domain_name", knownvalue.StringExact(name+".s3.eu-central-1.amazonaws.com")),
			is(s3Blobs, "policy_json", knownvalue.StringExact("")),
			is(s3Blobs, "public_access_blocked", knownvalue.Bool(true)),
			is(s3Blobs, "force_destroy", knownvalue.Bool(false)),
			is(s3Blobs, "environment", knownvalue.MapExact(map[string]knownvalue.Check{
				"REGISTRY_STORAGE": knownvalue.StringExact("s3"), "REGISTRY_STORAGE_S3_BUCKET": knownvalue.StringExact(name),
				"REGISTRY_STORAGE_S3_REGION":         knownvalue.StringExact(awsRegion),
				"REGISTRY_STORAGE_S3_REGIONENDPOINT": knownvalue.StringExact(s.url), "REGISTRY_STORAGE_S3_FORCEPATHSTYLE": knownvalue.StringExact("true"),
			})),
		},
	})
	s.noBucket(t, name)
}

// Every argument, changed in place; the name and the region replace.
func TestS3StorageUpdate(t *testing.T) {
	s, name, other := startAWS(t), newBucketName(), newBucketName()
	const role = "arn:aws:iam::123456789012:role/registry"
	step := func(action plancheck.ResourceActionType, name string, change func(*bucketSettings), extra ...string) resource.TestStep {
		return resource.TestStep{
			Config: s.config("%s", blobs(name, extra...)), ConfigPlanChecks: expectAction(s3Blobs, action),
			ConfigStateChecks: []statecheck.StateCheck{s.has(name, change)},
		}
	}
	plain := func(*bucketSettings) {}
	access := serverAccess{partition: "aws", bucket: name}
	unitTest(t, testProvider(),
		step(create, name, plain),
		step(update, name, func(b *bucketSettings) { b.versioning = true }, "versioning = true"),
		step(update, name, func(b *bucketSettings) { b.encryption = bucketEncryption{algorithmKMS, "", true} }, `encryption = { algorithm = "aws:kms" }`),
		step(update, name, func(b *bucketSettings) { b.encryption = bucketEncryption{algorithmKMS, someKey, true} },
			fmt.Sprintf("encryption = {\n algorithm = \"aws:kms\"\n kms_key_id = %q\n }", someKey)),
		step(update, name, func(b *bucketSettings) { b.encryption = bucketEncryption{algorithmKMS, someKey, false} },
			fmt.Sprintf("encryption = {\n algorithm = \"aws:kms\"\n kms_key_id = %q\n bucket_key_enabled = false\n }", someKey)),
		step(update, name, func(b *bucketSettings) { b.lifecycle = bucketLifecycle{abortDays: 9} },
			"abort_incomplete_multipart_days = 9", "noncurrent_version_expiration_days = 0"),
		step(update, name, func(b *bucketSettings) { b.lifecycle.noncurrentDays = 1 }, "noncurrent_version_expiration_days = 1"),
		step(update, name, func(b *bucketSettings) { b.tags = map[string]string{"app": "registry", "team a": ""} }, `tags = { app = "registry", "team a" = "" }`),
		step(update, name, func(b *bucketSettings) { b.policy = bucketPolicy(access, true, nil).String() }, "deny_insecure_transport = true"),
		step(update, name, func(b *bucketSettings) { b.policy = bucketPolicy(access, true, []string{role}).String() },
			"deny_insecure_transport = true", fmt.Sprintf("allowed_principal_arns = [%q]", role)),
		step(update, name, plain, `root_directory = "registry"`),
		step(update, name, plain, "force_destroy = true"),
		step(update, name, plain, "verify = true"),
		step(update, name, plain, `timeouts = { delete = "5m" }`),
		step(plancheck.ResourceActionDestroyBeforeCreate, other, plain),
		resource.TestStep{
			Config:           s.config("%s", blobs(other, `region = "us-east-1"`)),
			ConfigPlanChecks: expectAction(s3Blobs, plancheck.ResourceActionDestroyBeforeCreate),
			ConfigStateChecks: []statecheck.StateCheck{
				is(s3Blobs, "region", knownvalue.StringExact("us-east-1")), s.has(other, plain),
			},
		},
		step(noop, other, plain), // the region stays where nothing is said
	)
	s.noBucket(t, name, other)
}

// Whatever somebody else changes shows, and is put right in place.
func TestS3StorageDrift(t *testing.T) {
	s, name := startAWS(t), newBucketName()
	api, ctx := s.s3(), context.Background()
	const principal = "arn:aws:iam::123456789012:role/registry"
	config := s.config("%s", blobs(name, "versioning = true", "deny_insecure_transport = true", `tags = { a = "b" }`, fmt.Sprintf("allowed_principal_arns = [%q]", principal)))
	want := func(b *bucketSettings) {
		b.versioning, b.tags = true, map[string]string{"a": "b"}
		b.policy = bucketPolicy(serverAccess{partition: "aws", bucket: name}, true, []string{principal}).String()
	}
	lifecycle := func(rules ...s3types.LifecycleRule) error {
		_, err := api.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{Bucket: &name, LifecycleConfiguration: &s3types.BucketLifecycleConfiguration{Rules: rules}})
		return err
	}
	ours := bucketLifecycle{abortDays: 8, noncurrentDays: 30}.rules
	policy := func(text string) error {
		_, err := api.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: &name, Policy: &text})
		return err
	}
	drift := map[string]func() error{
		"public_access_blocked": func() error {
			_, err := api.DeletePublicAccessBlock(ctx, &s3.DeletePublicAccessBlockInput{Bucket: &name})
			return err
		},
		"object_ownership": func() error {
			return s.bucket(name).writeOwnership(ctx, bucketSettings{ownership: "ObjectWriter"})
		},
		"encryption": func() error {
			return s.bucket(name).writeEncryption(ctx, bucketSettings{encryption: bucketEncryption{algorithm: algorithmKMS}})
		},
		"encryption, none": func() error {
			_, err := api.DeleteBucketEncryption(ctx, &s3.DeleteBucketEncryptionInput{Bucket: &name})
			return err
		},
		"versioning":                      func() error { return s.bucket(name).writeVersioning(ctx, bucketSettings{}) },
		"tags":                            func() error { return s.bucket(name).writeTags(ctx, bucketSettings{tags: map[string]string{"c": "d"}}) },
		"tags, none":                      func() error { return s.bucket(name).writeTags(ctx, bucketSettings{}) },
		"abort_incomplete_multipart_days": func() error { return lifecycle(bucketLifecycle{abortDays: 1, noncurrentDays: 30}.rules()...) },
		"noncurrent_version_expiration":   func() error { return lifecycle(bucketLifecycle{abortDays: 8}.rules()...) },
		"other_lifecycle_rules":           func() error { return lifecycle(append(ours(), expireAll())...) },
		"a rule that is not enabled":      func() error { r := ours(); r[0].Status = s3types.ExpirationStatusDisabled; return lifecycle(r...) },
		"a rule for some of it":           func() error { r := ours(); r[1].Filter.Prefix = aws.String("x"); return lifecycle(r...) },
		"a rule that deletes more": func() error {
			r := ours()
			r[1].Expiration = &s3types.LifecycleExpiration{Days: aws.Int32(1)}
			return lifecycle(r...)
		},
		"policy_json, none": func() error {
			_, err := api.DeleteBucketPolicy(ctx, &s3.DeleteBucketPolicyInput{Bucket: &name})
			return err
		},
		"policy_json, that of somebody": func() error {
			return policy(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::` + name + `/*"}}`)
		},
		"allowed_principal_arns, one other": func() error {
			return policy(bucketPolicy(serverAccess{partition: "aws", bucket: name}, true, []string{principal + "s"}).String())
		},
		"deny_insecure_transport": func() error {
			return policy(bucketPolicy(serverAccess{partition: "aws", bucket: name}, false, []string{principal}).String())
		},
	}
	steps := []resource.TestStep{{Config: config}}
	for what, change := range drift {
		steps = append(steps, resource.TestStep{
			PreConfig: func() {
				if err := change(); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				t.Log(what)
			},
			Config: config, ConfigPlanChecks: expectAction(s3Blobs, update), ConfigStateChecks: []statecheck.StateCheck{s.has(name, want)},
		})
	}
	// The same policy in other words is no drift.
	steps = append(steps, resource.TestStep{
		PreConfig: func() {
			text := bucketPolicy(serverAccess{partition: "aws", bucket: name}, true, []string{principal}).String()
			text = strings.NewReplacer(`"Principal":"*"`, `"Principal":{"AWS":"*"}`, `["s3:*"]`, `"s3:*"`, `["false"]`, `false`, `["`+principal+`"]`, `"`+principal+`"`).Replace(text)
			if err := policy(text); err != nil {
				t.Fatal(err)
			}
		},
		Config: config, ConfigPlanChecks: expectAction(s3Blobs, noop),
	})
	unitTest(t, testProvider(), steps...)
	s.noBucket(t, name)
}

func expireAll() s3types.LifecycleRule {
	return s3types.LifecycleRule{ID: aws.String("archive"), Status: s3types.ExpirationStatusEnabled, Filter: &s3types.LifecycleRuleFilter{Prefix: aws.String("")},
		Expiration: &s3types.LifecycleExpiration{Days: aws.Int32(1)}}
}

func TestS3StorageDisappears(t *testing.T) {
	s, name := startAWS(t), newBucketName()
	config := s.config("%s", blobs(name))
	unitTest(t, testProvider(),
		resource.TestStep{Config: config},
		resource.TestStep{
			PreConfig: func() {
				if err := s.bucket(name).remove(t.Context(), false); err != nil {
					t.Fatal(err)
				}
			},
			Config: config, ConfigPlanChecks: expectAction(s3Blobs, create),
		},
	)
}

func TestS3StorageImport(t *testing.T) {
	s, name := startAWS(t), newBucketName()
	text := blobs(name, "versioning = true", `tags = { a = "b" }`, `region = "eu-west-1"`)
	config := s.config("%s", text)
	forget := s.config("removed {\n from = %s\n lifecycle {\n destroy = false\n }\n}\n", s3Blobs)
	unitTest(t, testProvider(),
		resource.TestStep{Config: config},
		resource.TestStep{ResourceName: s3Blobs, ImportState: true, ImportStateId: name, ImportStateVerify: true, ImportStateVerifyIdentifierAttribute: "bucket"},
		resource.TestStep{ResourceName: s3Blobs, ImportState: true, ImportStateId: "No_Bucket", ExpectError: says("is not the name of a bucket")},
		resource.TestStep{ResourceName: s3Blobs, ImportState: true, ImportStateId: newBucketName(), ExpectError: says("Cannot import non-existent remote object")},
		resource.TestStep{Config: forget},
		resource.TestStep{ // as the message says
			Config: config, ExpectError: says("terraform import registry_s3_storage.NAME " + name),
		},
		resource.TestStep{
			Config:           config + fmt.Sprintf("import {\n to = %s\n id = %q\n}\n", s3Blobs, name),
			ConfigPlanChecks: expectAction(s3Blobs, noop),
		},
	)
	s.noBucket(t, name)
}

// S3 answers "yes" in us-east-1 to whoever makes a bucket that is theirs.
func TestS3StorageTaken(t *testing.T) {
	s, name := startAWS(t), newBucketName()
	if _, err := s.s3().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name, CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: awsRegion}}); err != nil {
		t.Fatal(err)
	}
	wrong := func(before func(), complaint string, extra ...string) resource.TestStep {
		return resource.TestStep{PreConfig: before, Config: s.config("%s", blobs(name, extra...)), ExpectError: says(complaint)}
	}
	missing := refuse(404, "NoSuchBucket", "")
	unitTest(t, testProvider(),
		wrong(nil, "terraform import registry_s3_storage.NAME "+name),
		wrong(nil, "It is in the region eu-central-1", `region = "us-east-1"`),
		wrong(s.fail("HEAD", refuse(403, "Forbidden", "")), "It belongs to somebody else"),
		wrong(func() {
			s.fail("HEAD", missing)()
			s.mu.Lock()
			s.faults = append(s.faults, awsFault{"PUT", refuse(409, "BucketAlreadyExists", "not yours")})
			s.mu.Unlock()
		}, "It belongs to somebody else"),
		wrong(s.fail("HEAD", missing), "terraform import registry_s3_storage.NAME "+name), // somebody was faster
	)
	if _, err := s.bucket(name).locate(t.Context()); err != nil {
		t.Errorf("the bucket was touched: %v", err)
	}
}

func TestS3StorageUnknown(t *testing.T) {
	s, name := startAWS(t), newBucketName()
	config := func(key, input string) string {
		return s.config(`
resource "terraform_data" "known_later" {
  input = %s
}
locals { later = terraform_data.known_later.output }
`, input) + blobs(name, "deny_insecure_transport = local.later.no", "region = local.later.region", "root_directory = local.later.root", "versioning = local.later.no",
			"abort_incomplete_multipart_days = local.later.days", "noncurrent_version_expiration_days = local.later.days", "force_destroy = local.later.no", "verify = local.later.no",
			"allowed_principal_arns = [local.later.arn]", "tags = { a = local.later.root }", "encryption = { algorithm = local.later.algorithm, kms_key_id = "+key+" }")
	}
	value := func(root, algorithm string) string {
		return fmt.Sprintf(`{ no = false, region = %q, root = %q, days = 10, arn = "arn:aws:iam::123456789012:role/r", algorithm = %q, key = %q }`, awsRegion, root, algorithm, someKey)
	}
	unitTest(t, testProvider(),
		resource.TestStep{Config: config("null", value("one", algorithmAES256)), ConfigPlanChecks: expectAction(s3Blobs, create)},
		resource.TestStep{Config: config("local.later.key", value("two", algorithmKMS)), ConfigPlanChecks: resource.ConfigPlanChecks{PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
			ConfigStateChecks: []statecheck.StateCheck{is(s3Blobs, "tags", knownvalue.MapExact(map[string]knownvalue.Check{"a": knownvalue.StringExact("two")}))}},
		resource.TestStep{Config: s.config(`
resource "terraform_data" "objects" { input = { encryption = { algorithm = "AES256" }, tags = { x = "y" }, arns = [], timeouts = { create = "1m" } } }
`) + blobs(name, "encryption = { algorithm = terraform_data.objects.output.encryption.algorithm }", "tags = terraform_data.objects.output.tags",
			"allowed_principal_arns = terraform_data.objects.output.arns", "timeouts = { create = terraform_data.objects.output.timeouts.create }")},
	)
}

func TestS3StorageValidation(t *testing.T) {
	s := startAWS(t)
	var steps []resource.TestStep
	for argument, complaint := range map[string]string{
		`encryption = { kms_key_id = "` + someKey + `" }`: `A key of KMS is for algorithm = "aws:kms"`,
		"encryption = { bucket_key_enabled = true }":      `A bucket key is for algorithm = "aws:kms"`,
		`encryption = { algorithm = "aws:kms:dsse" }`:     "value must be one of",
		`encryption = { kms_key_id = "alias/x" }`:         "is not the ARN of a key or alias",
		"abort_incomplete_multipart_days = 0":             "between 1 and 3650",
		"noncurrent_version_expiration_days = -1":         "between 0 and 3650",
		`allowed_principal_arns = ["*"]`:                  "is not the ARN of a user, role or account",
		`tags = { "aws:x" = "y" }`:                        "begins with aws:",
		`tags = { "x" = "<" }`:                            "must be at most 256 letters",
		`timeouts = { create = "soon" }`:                  "is not a duration",
		`region = "Europe"`:                               "is not the name of a region",
		`root_directory = "a/*"`:                          "mean something else in a policy",
	} {
		steps = append(steps, resource.TestStep{Config: s.config("%s", blobs("some-bucket", argument)), PlanOnly: true, ExpectError: says(complaint)})
	}
	for _, name := range []string{"ab", "Upper", "under_score", "a..b", "1.2.3.4", "-a-", "x--x-s3", "xn--abc", strings.Repeat("a", 64)} {
		if checkBucketName(name) == nil {
			t.Errorf("%q is no error", name)
		}
	}
	for _, name := range []string{"abc", "a.b-c", "123", strings.Repeat("a", 63)} {
		if err := checkBucketName(name); err != nil {
			t.Error(err)
		}
	}
	unitTest(t, testProvider(), steps...)
}

func TestLifecycleRoundTrip(t *testing.T) {
	for _, l := range []bucketLifecycle{{abortDays: 8}, {abortDays: 8, noncurrentDays: 30}} {
		if diff := cmp.Diff(l, lifecycleOf(l.rules()), cmp.AllowUnexported(bucketLifecycle{})); diff != "" {
			t.Error(diff)
		}
	}
}

// A registry server works on the bucket with the environment that comes out,
// and stores below the root directory.
func TestS3StorageServesRegistry(t *testing.T) {
	s, name := startAWS(t), newBucketName()
	serves := statecheckFunc(func(req statecheck.CheckStateRequest) error {
		environment, _ := stateOf(req, s3Blobs)["environment"].(map[string]any)
		environ := []string{"REGISTRY_STORAGE_S3_ACCESSKEY=test", "REGISTRY_STORAGE_S3_SECRETKEY=test"}
		for key, value := range environment {
			environ = append(environ, fmt.Sprintf("%s=%s", key, value))
		}
		config, _, err := server.LoadConfig([]byte("version: 0.1\nauth: none\n"), environ)
		if err != nil {
			return err
		}
		registry, err := server.New(t.Context(), config, server.Options{Log: slog.New(slog.DiscardHandler), Version: "1.2.3"})
		if err != nil {
			return err
		}
		defer registry.Close()
		const content = "what a layer is made of"
		digest := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content)))
		push := httptest.NewRecorder()
		registry.Handler().ServeHTTP(push, httptest.NewRequest(http.MethodPost, "/v2/team/app/blobs/uploads/?digest="+digest, strings.NewReader(content)))
		if push.Code != http.StatusCreated {
			return fmt.Errorf("push: %d %s", push.Code, push.Body)
		}
		key := "some/place/docker/registry/v2/blobs/sha256/" + digest[7:9] + "/" + digest[7:] + "/data"
		_, err = s.s3().HeadObject(context.Background(), &s3.HeadObjectInput{Bucket: &name, Key: &key})
		return err
	})
	unitTest(t, testProvider(), resource.TestStep{
		Config: s.config("%s", blobs(name, `root_directory = "/some/place"`, "force_destroy = true")), ConfigStateChecks: []statecheck.StateCheck{serves},
	})
	s.noBucket(t, name)
}
