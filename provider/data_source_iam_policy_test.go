package provider

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
)

const iamServer = "data.registry_iam_policy.server"

func iamPolicyConfig(arguments ...string) string {
	return "data \"registry_iam_policy\" \"server\" {\n  " + strings.Join(arguments, "\n  ") + "\n}\n"
}

// The policy is the one in docs/operations.md, which the server's own test
// holds to the requests that the server makes.
func TestIAMPolicyIsTheDocumented(t *testing.T) {
	docs, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```json\n(\\{\\s*\"Version\".*?)```").FindSubmatch(docs)
	if block == nil {
		t.Fatal("docs/operations.md has no policy")
	}
	statements := serverAccess{partition: "aws", bucket: "example-images"}.statements()
	for i := range statements {
		statements[i].Sid = "" // which the documentation does without
	}
	if ours := newPolicy(statements...).String(); !samePolicy(ours, string(block[1])) {
		t.Errorf("ours is\n%s\nthe documented one is\n%s", canonicalPolicy(ours), canonicalPolicy(string(block[1])))
	}
	key := regexp.MustCompile("(?s)```json\n(\\{ \"Effect\".*?)```").FindSubmatch(docs)
	if key == nil {
		t.Fatal("docs/operations.md has no statement for KMS")
	}
	ours := keyStatement("arn:aws:kms:REGION:ACCOUNT:key/ID")
	ours.Sid = ""
	if got, want := newPolicy(ours).String(), `{"Version":"2012-10-17","Statement":[`+string(key[1])+"]}"; !samePolicy(got, want) {
		t.Errorf("ours is %s, the documented one %s", got, want)
	}
}

func TestIAMPolicyDataSource(t *testing.T) {
	shows := func(want serverAccess, arguments ...string) resource.TestStep {
		return resource.TestStep{Config: iamPolicyConfig(arguments...), ConfigStateChecks: []statecheck.StateCheck{
			is(iamServer, "json", knownvalue.StringExact(newPolicy(want.statements()...).String())),
			is(iamServer, "partition", knownvalue.StringExact(want.partition)),
		}}
	}
	wrong := func(complaint string, arguments ...string) resource.TestStep {
		return resource.TestStep{Config: iamPolicyConfig(arguments...), ExpectError: says(complaint)}
	}
	unitTest(t, testProvider(),
		shows(serverAccess{"aws", "images", "", ""}, `bucket = "images"`),
		shows(serverAccess{"aws-cn", "images", "", ""}, `bucket = "arn:aws-cn:s3:::images"`),
		shows(serverAccess{"aws-us-gov", "images", "", ""}, `bucket = "images"`, `partition = "aws-us-gov"`),
		shows(serverAccess{"aws", "images", "a/b", someKey}, `bucket = "images"`, `root_directory = "/a/b/"`, `kms_key_arn = "`+someKey+`"`),
		wrong("Two partitions", `bucket = "arn:aws-cn:s3:::images"`, `partition = "aws"`),
		wrong("is not the name of a bucket", `bucket = "Images"`),
		wrong("is not the ARN of a key", `bucket = "images"`, `kms_key_arn = "alias/x"`),
		wrong("mean something else in a policy", `bucket = "images"`, `root_directory = "a*"`),
		wrong("at most 120", `bucket = "images"`, `root_directory = "`+strings.Repeat("a", 121)+`"`),
		resource.TestStep{Config: `resource "terraform_data" "b" { input = "images" }` + "\n" + iamPolicyConfig("bucket = terraform_data.b.output")},
	)
}

func TestIAMPolicyText(t *testing.T) {
	const want = `{"Version":"2012-10-17","Statement":[` +
		`{"Sid":"RegistryBucket","Effect":"Allow","Action":["s3:ListBucket","s3:ListBucketMultipartUploads"],"Resource":["arn:aws:s3:::images"]},` +
		`{"Sid":"RegistryObjects","Effect":"Allow","Action":["s3:GetObject","s3:PutObject","s3:DeleteObject","s3:AbortMultipartUpload","s3:ListMultipartUploadParts"],"Resource":["arn:aws:s3:::images/a/*"]},` +
		`{"Sid":"RegistryKey","Effect":"Allow","Action":["kms:GenerateDataKey","kms:Decrypt"],"Resource":["arn:aws:kms:eu-central-1:123456789012:key/*"],` +
		`"Condition":{"ForAnyValue:StringEquals":{"kms:ResourceAliases":["alias/registry"]}}}]}`
	access := serverAccess{"aws", "images", "/a", "arn:aws:kms:eu-central-1:123456789012:alias/registry"}
	if got := newPolicy(access.statements()...).String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	const role = "arn:aws:iam::123456789012:role/r"
	const bucket = `{"Version":"2012-10-17","Statement":[` +
		`{"Sid":"DenyInsecureTransport","Effect":"Deny","Principal":"*","Action":["s3:*"],"Resource":["arn:aws:s3:::images","arn:aws:s3:::images/*"],"Condition":{"Bool":{"aws:SecureTransport":["false"]}}},` +
		`{"Sid":"RegistryBucket","Effect":"Allow","Principal":{"AWS":["` + role + `"]},"Action":["s3:ListBucket","s3:ListBucketMultipartUploads"],"Resource":["arn:aws:s3:::images"]},` +
		`{"Sid":"RegistryObjects","Effect":"Allow","Principal":{"AWS":["` + role + `"]},"Action":["s3:GetObject","s3:PutObject","s3:DeleteObject","s3:AbortMultipartUpload","s3:ListMultipartUploadParts"],"Resource":["arn:aws:s3:::images/a/*"]}]}`
	if got := bucketPolicy(access, true, []string{role}).String(); got != bucket {
		t.Errorf("got  %s\nwant %s", got, bucket)
	}
	for _, principals := range [][]string{nil, {role}, {role, role + "2"}} {
		for _, denies := range []bool{false, true} {
			deny, who := readBucketPolicy(access, bucketPolicy(access, denies, principals).String())
			if deny != denies || strings.Join(who, " ") != strings.Join(principals, " ") {
				t.Errorf("read %v %v, want %v %v", deny, who, denies, principals)
			}
		}
	}
}

func TestSamePolicy(t *testing.T) {
	statement := func(s string) string { return `{"Version":"2012-10-17","Statement":[` + s + `]}` }
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{statement(`{"Effect":"Allow","Action":"s3:*","Resource":["a","b"]}`), `{"Statement":{"Resource":["b","a","a"],"Action":["s3:*"],"Effect":"Allow"},"Version":"2012-10-17"}`, true},
		{statement(`{"Principal":"*"}`), statement(`{"Principal":{"AWS":["*"]}}`), true},
		{statement(`{"Condition":{"Bool":{"x":false}}}`), statement(`{"Condition":{"Bool":{"x":["false"]}}}`), true},
		{statement(`{"Sid":"1"},{"Sid":"2"}`), statement(`{"Sid":"2"},{"Sid":"1"}`), true},
		{statement(`{"Effect":"Allow"}`), statement(`{"Effect":"Deny"}`), false},
		{statement(`{"Principal":"*"}`), statement(`{"Principal":{"Service":"*"}}`), false},
		{statement(`{"Action":"s3:Get*"}`), statement(`{"NotAction":"s3:Get*"}`), false},
		{statement(`{"Sid":"1"}`), "", false},
		{"", "", true},
		{"no policy", "no policy", true},
	} {
		if got := samePolicy(c.a, c.b); got != c.same {
			t.Errorf("%s and %s: %v", c.a, c.b, got)
		}
	}
}

func FuzzCanonicalPolicy(f *testing.F) {
	f.Add(bucketPolicy(serverAccess{"aws", "images", "", ""}, true, []string{"arn:aws:iam::123456789012:root"}).String())
	f.Add(`{"Statement":{"Principal":{"AWS":[true,1.5,null,{"x":[]}]},"Condition":[]}}`)
	f.Add(`{"Statement":[[],"x"],"Version":3}`)
	f.Fuzz(func(t *testing.T, text string) {
		once := canonicalPolicy(text)
		if twice := canonicalPolicy(once); twice != once {
			t.Errorf("%q, then %q", once, twice)
		}
		if json.Valid([]byte(text)) != json.Valid([]byte(once)) {
			t.Errorf("%q became %q", text, once)
		}
		readBucketPolicy(serverAccess{"aws", "images", "", ""}, text)
	})
}

func FuzzBucketName(f *testing.F) {
	f.Add("images")
	f.Add("arn:aws:s3:::images")
	f.Fuzz(func(t *testing.T, s string) {
		partition, bucket := splitBucketARN(s)
		if partition != "" && bucketARN(partition, bucket) != s {
			t.Errorf("%q is %q in %q", s, bucket, partition)
		}
		if checkBucketName(s) == nil && partition != "" {
			t.Errorf("%q is both a name and an ARN", s)
		}
	})
}
