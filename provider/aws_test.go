package provider

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"
)

// hosts carries requests and remembers where to.
type hosts struct {
	mu    sync.Mutex
	asked []string
}

func (h *hosts) RoundTrip(r *http.Request) (*http.Response, error) {
	h.mu.Lock()
	h.asked = append(h.asked, r.URL.Scheme+"://"+r.URL.Host)
	h.mu.Unlock()
	return http.DefaultTransport.RoundTrip(r)
}

func (h *hosts) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Compact(slices.Sorted(slices.Values(h.asked)))
}

// Every request goes where the endpoints say, each service to its own, and
// nobody is asked for anything before an object needs it.
func TestAWSEndpoints(t *testing.T) {
	storage, certificates, tokens := startAWS(t), startAWS(t), startAWS(t)
	name := newBucketName()
	carried := &hosts{}
	p := testProvider()
	p.awsTransport = carried
	provider := fmt.Sprintf(`
provider "registry" {
  aws = {
    region = %q
    access_key = "test"
    secret_key = %q
    assume_role_arn = "arn:aws:iam::123456789012:role/deploy"
    assume_role_external_id = "x"
    endpoints = { s3 = %q, acm = %q, sts = %q }
  }
}
`, awsRegion, awsSecretKey, storage.url, certificates.url, tokens.url)
	unitTest(t, p,
		resource.TestStep{Config: provider + serverConfig()},
		resource.TestStep{
			PreConfig: func() {
				if asked := carried.all(); len(asked) > 0 {
					t.Errorf("%v were asked although no object lives in AWS", asked)
				}
			},
			Config: provider + blobs(name, "verify = true") + alb(newCertificate(t, p256(t), nil, nil)),
		},
	)
	if got, want := carried.all(), slices.Sorted(slices.Values([]string{storage.url, certificates.url, tokens.url})); !slices.Equal(got, want) {
		t.Errorf("asked %v, want %v", got, want)
	}
	if tokens.count("POST") == 0 || certificates.count("ImportCertificate") == 0 || storage.count("PUT versioning") > 0 || storage.count("PUT") == 0 {
		t.Errorf("STS was asked %v, ACM %v, S3 %v", tokens.requests, certificates.requests, storage.requests)
	}
	for _, r := range slices.Concat(tokens.requests, certificates.requests) {
		if strings.HasPrefix(r, "PUT") || strings.HasPrefix(r, "HEAD") {
			t.Errorf("%s of S3 went elsewhere", r)
		}
	}
}

// What is missing is named, with the ways to give it.
func TestAWSConfiguration(t *testing.T) {
	s := startAWS(t)
	wrong := func(block, complaint string, extra ...string) resource.TestStep {
		return resource.TestStep{Config: "provider \"registry\" {\n" + block + "\n}\n" + blobs("some-bucket", extra...), ExpectError: says(complaint)}
	}
	unitTest(t, testProvider(),
		wrong("", "No AWS region"),
		wrong(`aws = { region = "eu-central-1" }`, "No AWS credentials"),
		wrong("", "No AWS credentials", `region = "eu-central-1"`),
		wrong(`aws = { region = "eu-central-1", profile = "none-such" }`, `There is no profile "none-such"`),
		wrong(`aws = { region = "Europe" }`, "is not the name of a region"),
		wrong(`aws = { access_key = "x" }`, "secret_key"),
		wrong(`aws = { access_key = "x", secret_key = "y", profile = "z" }`, "cannot be specified when"),
		wrong(`aws = { token = "x" }`, "access_key"),
		wrong(`aws = { assume_role_external_id = "x" }`, "assume_role_arn"),
		wrong(`aws = { assume_role_arn = "deploy" }`, "is not the ARN of a role"),
		wrong(`aws = { endpoints = { s3 = "127.0.0.1:9000" } }`, "Write the URL of a server"),
		wrong(`aws = { region = "eu-central-1", access_key = "x", secret_key = "y", endpoints = { s3 = "http://127.0.0.1:1" } }`, "AWS cannot be reached"),
		resource.TestStep{
			PreConfig: s.fail("POST", refuse(403, "AccessDenied", "not for you")),
			Config:    s.provider(`assume_role_arn = "arn:aws:iam::123456789012:role/deploy"`) + blobs("some-bucket"), ExpectError: says("must be allowed sts:AssumeRole on the role"),
		},
		resource.TestStep{PreConfig: s.fail("HEAD", refuse(403, "InvalidAccessKeyId", "")), Config: s.config("%s", blobs("some-bucket")), ExpectError: says("The name \"some-bucket\" is taken")},
	)
}

// What the block leaves open comes from where the SDK looks for it.
func TestAWSEnvironment(t *testing.T) {
	s, name := startAWS(t), newBucketName()
	for key, value := range map[string]string{"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_ENDPOINT_URL_S3": s.url} {
		t.Setenv(key, value)
	}
	unitTestInOrder(t, testProvider(), resource.TestStep{
		Config:           "provider \"registry\" {\n aws = { s3_use_path_style = true }\n}\n" + blobs(name),
		ConfigPlanChecks: expectAction(s3Blobs, create),
	})
	if s.count("PUT") != 1 {
		t.Errorf("S3 was asked %v", s.requests)
	}
	s.noBucket(t, name)
}

// AWS that is known only after apply: plans work, and what is there stays as it
// is, with a warning.
func TestAWSUnknown(t *testing.T) {
	s, name, c := startAWS(t), newBucketName(), newCertificate(t, p256(t), nil, nil)
	config := func(url string, run int, extra string) string {
		return fmt.Sprintf(`
resource "terraform_data" "aws" {
  input            = %q
  triggers_replace = %d
}
provider "registry" {
  aws = {
    region = %q
    access_key = "test"
    secret_key = "test"
    endpoints = { s3 = terraform_data.aws.output, acm = terraform_data.aws.output }
  }
}
`, url, run, awsRegion) + blobs(name, extra) + alb(c)
	}
	again := startAWS(t)
	unitTest(t, testProvider(),
		resource.TestStep{Config: config(s.url, 1, ""), ConfigPlanChecks: expectAction(s3Blobs, create)},
		resource.TestStep{Config: config(s.url, 2, ""), ConfigPlanChecks: expectAction(s3Blobs, noop)},
		resource.TestStep{
			Config: config(again.url, 3, "versioning = true"), ConfigPlanChecks: expectAction(s3Blobs, update),
			ConfigStateChecks: []statecheck.StateCheck{
				statecheck.ExpectKnownValue(s3Blobs, tfjsonpath.New("environment").AtMapKey("REGISTRY_STORAGE_S3_REGIONENDPOINT"), knownvalue.StringExact(again.url)),
			},
		},
		resource.TestStep{Config: config(again.url, 3, "versioning = true"), ConfigPlanChecks: expectAction(s3Blobs, noop)},
	)
	s.noBucket(t, name)
	if n := s.copies(c); n != 0 {
		t.Errorf("%d copies of the certificate are left", n)
	}
}

func TestAWSUnknownArguments(t *testing.T) {
	kind := map[string]tftypes.Type{}
	object, _ := configOf(t, nil).Schema.Type().TerraformType(t.Context()).(tftypes.Object)
	aws, _ := object.AttributeTypes["aws"].(tftypes.Object)
	for name, attribute := range aws.AttributeTypes {
		kind[name] = attribute
	}
	for argument := range kind {
		values := map[string]tftypes.Value{}
		for name, attribute := range kind {
			values[name] = tftypes.NewValue(attribute, nil)
		}
		values[argument] = tftypes.NewValue(kind[argument], tftypes.UnknownValue)
		conn, resp := configure(t, map[string]any{"endpoint": "https://registry.example.com", "aws": values}, nil, true)
		if resp.Diagnostics.HasError() || resp.Deferred != nil || conn.client == nil || !slices.Equal(conn.aws.unknown, []string{"aws." + argument}) {
			t.Errorf("%s: %v, %v", argument, conn.aws.unknown, resp.Diagnostics)
		}
		var diags diag.Diagnostics
		if conn.s3(t.Context(), awsRegion, &diags) != nil || !strings.Contains(textOf(diags), "provider's aws."+argument+" will be known only after apply") {
			t.Errorf("%s: %v", argument, diags)
		}
	}
	conn, _ := configure(t, map[string]any{"aws": tftypes.UnknownValue}, nil, true)
	if !slices.Equal(conn.aws.unknown, []string{"aws"}) {
		t.Error(conn.aws.unknown)
	}
}

// What the requests need is what the documentation says that they need.
func TestAWSPermissionsAreDocumented(t *testing.T) {
	for page, pattern := range map[string]string{"s3_storage.md": "s3_bucket*.go", "acm_certificate.md": "acm_import.go", "server_image.md": "server_image_*.go"} {
		sources, err := filepath.Glob(pattern)
		if err != nil || len(sources) == 0 {
			t.Fatal(pattern, err)
		}
		docs, err := os.ReadFile("../docs/resources/" + page)
		if err != nil {
			t.Fatal(err)
		}
		documented := slices.Concat(bucketActions(), objectActions()) // of iam_policy_json
		for _, match := range regexp.MustCompile("`((?:s3|acm|ebs|ec2):[A-Z][A-Za-z]+)`").FindAllStringSubmatch(string(docs), -1) {
			documented = append(documented, match[1])
		}
		needed := 0
		for _, source := range sources {
			text, err := os.ReadFile(source)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range regexp.MustCompile(`needs\("([a-z0-9]+:\w+)"`).FindAllStringSubmatch(string(text), -1) {
				if needed++; !slices.Contains(documented, match[1]) {
					t.Errorf("%s does not say that %s is needed", page, match[1])
				}
			}
		}
		if needed < 5 {
			t.Errorf("%s: only %d permissions were found", pattern, needed)
		}
	}
}

func TestPartitions(t *testing.T) {
	for region, want := range map[string]string{
		"eu-central-1": "aws", "us-east-1": "aws", "cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov", "us-iso-east-1": "aws-iso", "us-isob-east-1": "aws-iso-b", "eusc-de-east-1": "aws-eusc",
	} {
		if got := partitionOf(region).name; got != want {
			t.Errorf("%s is in %s, want %s", region, got, want)
		}
	}
}

// Terraform before 1.12 knows no identities, so this speaks the protocol
// itself: an import by identity, and the read that follows it, also of what is
// not there.
func TestAWSIdentities(t *testing.T) {
	t.Parallel()
	s, name, c := startAWS(t), newBucketName(), newCertificate(t, p256(t), nil, nil)
	b := s.bucket(name)
	if err := b.create(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeBucket(t, s, name) })
	arn, err := certificateManager{s.acm()}.importNew(t.Context(), loadBalancerCertificate{leaf: c.c, key: c.key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	provider := s.protocol(t)
	for _, it := range []struct {
		resource, attribute, id string
		there                   bool
	}{
		{"registry_s3_storage", "bucket", name, true},
		{"registry_s3_storage", "bucket", newBucketName(), false},
		{"registry_acm_certificate", "arn", arn, true},
		{"registry_acm_certificate", "arn", arn[:len(arn)-12] + "000000000000", false},
	} {
		kind := tftypes.Object{AttributeTypes: map[string]tftypes.Type{it.attribute: tftypes.String}}
		want := tftypes.NewValue(kind, map[string]tftypes.Value{it.attribute: tftypes.NewValue(tftypes.String, it.id)})
		imported, err := provider.ImportResourceState(t.Context(), &tfprotov6.ImportResourceStateRequest{
			TypeName: it.resource, Identity: &tfprotov6.ResourceIdentityData{IdentityData: dynamic(t, kind, map[string]tftypes.Value{it.attribute: tftypes.NewValue(tftypes.String, it.id)})},
		})
		if err != nil || len(imported.Diagnostics) > 0 || len(imported.ImportedResources) != 1 {
			t.Fatalf("%s: %v, %+v", it.id, err, imported)
		}
		found := imported.ImportedResources[0]
		read, err := provider.ReadResource(t.Context(), &tfprotov6.ReadResourceRequest{
			TypeName: it.resource, CurrentState: found.State, CurrentIdentity: found.Identity, Private: found.Private,
		})
		if err != nil || len(read.Diagnostics) > 0 || read.NewIdentity == nil {
			t.Fatalf("%s: %v, %+v", it.id, err, read)
		}
		if value, err := read.NewIdentity.IdentityData.Unmarshal(kind); err != nil || !value.Equal(want) {
			t.Errorf("%s: the identity is %v, %v", it.id, value, err)
		}
		gone, err := read.NewState.IsNull()
		if err != nil || gone == it.there {
			t.Errorf("%s: it is gone: %v, %v", it.id, gone, err)
		}
	}
}

// protocol is the provider, configured for AWS, as Terraform sees it.
func (s *awsServer) protocol(t *testing.T) tfprotov6.ProviderServer {
	t.Helper()
	provider, err := factories(testProvider())["registry"]()
	if err != nil {
		t.Fatal(err)
	}
	object, _ := configOf(t, nil).Schema.Type().TerraformType(t.Context()).(tftypes.Object)
	kind, _ := object.AttributeTypes["aws"].(tftypes.Object)
	endpoints, _ := kind.AttributeTypes["endpoints"].(tftypes.Object)
	given := map[string]tftypes.Value{}
	for name, attribute := range kind.AttributeTypes {
		given[name] = tftypes.NewValue(attribute, nil)
	}
	for name, text := range map[string]string{"region": awsRegion, "access_key": "test", "secret_key": "test"} {
		given[name] = tftypes.NewValue(tftypes.String, text)
	}
	at := tftypes.NewValue(tftypes.String, s.url)
	all := map[string]tftypes.Value{}
	for name := range endpoints.AttributeTypes {
		all[name] = at
	}
	given["endpoints"] = tftypes.NewValue(endpoints, all)
	block := configOf(t, map[string]any{"aws": given})
	raw, err := tfprotov6.NewDynamicValue(block.Raw.Type(), block.Raw)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := provider.ConfigureProvider(context.WithoutCancel(t.Context()), &tfprotov6.ConfigureProviderRequest{TerraformVersion: "1.12.0", Config: &raw})
	if err != nil || len(resp.Diagnostics) > 0 {
		t.Fatal(err, resp)
	}
	return provider
}
