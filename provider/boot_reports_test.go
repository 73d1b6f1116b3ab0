package provider

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
)

// bootWorld is a registry whose load balancer finds no instance, and what its
// instances have left in AWS.
type bootWorld struct {
	*testing.T
	aws       *awsServer
	balancer  string
	bucket    string
	parameter string
}

func newBootWorld(t *testing.T) *bootWorld {
	t.Helper()
	s := startAWS(t)
	balancer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(balancer.Close)
	w := &bootWorld{T: t, aws: s, balancer: balancer.URL, bucket: newBucketName()}
	w.parameter = "/registry/" + w.bucket + "/boot"
	if _, err := s.s3().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &w.bucket, CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: awsRegion}}); err != nil {
		t.Fatal(err)
	}
	return w
}

// leaves puts a text where an instance leaves it.
func (w *bootWorld) leaves(name, format string, args ...any) {
	w.Helper()
	key := defaultBootPrefix + name
	_, err := w.aws.s3().PutObject(w.Context(), &s3.PutObjectInput{Bucket: &w.bucket, Key: &key, Body: strings.NewReader(fmt.Sprintf(format, args...))})
	if err != nil {
		w.Error(err)
	}
}

func (w *bootWorld) leavesParameter(text string) {
	w.Helper()
	api := ssm.New(ssm.Options{BaseEndpoint: aws.String(theMoto.url.String()), Region: awsRegion, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")})
	_, err := api.PutParameter(w.Context(), &ssm.PutParameterInput{Name: &w.parameter, Value: &text, Type: ssmtypes.ParameterTypeString, Overwrite: aws.Bool(true)})
	if err != nil {
		w.Error(err)
	}
}

func (w *bootWorld) config(wait, reports string) string {
	return fmt.Sprintf(`
provider "registry" {
  endpoint      = %q
  username      = "admin"
  password      = "a-password"
  max_retries   = 0
  ready_timeout = %q
  boot_reports  = %s
  aws = { region = %q, access_key = "test", secret_key = %q, endpoints = { s3 = %[6]q, ssm = %[6]q } }
}
data "registry_server" "this" {}
`, w.balancer, wait, reports, awsRegion, awsSecretKey, w.aws.url)
}

func ago(d time.Duration) string { return time.Now().Add(-d).UTC().Format(time.RFC3339) }

// A registry that does not answer is an error with what its instances say about it.
func TestBootReports(t *testing.T) {
	w := newBootWorld(t)
	both := fmt.Sprintf("{ bucket = %q, parameter = %q }", w.bucket, w.parameter)
	fails := func(before func(), reports, complaint string) resource.TestStep {
		return resource.TestStep{PreConfig: before, Config: w.config("0s", reports), ExpectError: says(complaint)}
	}
	unitTest(t, testProvider(),
		fails(nil, both, fmt.Sprintf("No instance has reported within a day that it did not start (s3://%s/registrykit/v1/boot/ and the parameter %s)", w.bucket, w.parameter)),
		fails(func() {
			w.leaves("i-0a", "%s i-0a did not start: the secret \x1b[31mgone\x00 cannot be read\n", ago(150*time.Second))
			w.leaves("i-0b", "%s i-0b did not start: out of date", ago(25*time.Hour))
		}, both, "- i-0a, 2 minutes ago: the secret [31mgone cannot be read."),
		fails(func() { w.leavesParameter("none") }, both, "- i-0a, 2 minutes ago"),
		fails(func() { w.leavesParameter(ago(3*time.Hour) + " i-0c did not start: the bucket refuses everything") }, both,
			"- i-0a, 2 minutes ago: the secret [31mgone cannot be read - i-0c, 3 hours ago: the bucket refuses everything."),
		fails(nil, fmt.Sprintf("{ parameter = %q, region = %q }", w.parameter, awsRegion), fmt.Sprintf("Instances that did not start have said why (the parameter %s): - i-0c", w.parameter)),
		fails(w.aws.fail("GET list-type", refuse(403, "AccessDenied", "no")), both, "i-0c, 3 hours ago: the bucket refuses everything Reports of instances that did not start could not be read from s3://"),
		fails(w.aws.fail("GET list-type", refuse(403, "AccessDenied", "no")), both, "The credentials lack s3:ListBucket"),
		fails(w.aws.fail("GetParameter", refuseJSON(400, "AccessDeniedException", "no")), both, "The credentials lack ssm:GetParameter"),
		fails(w.aws.fail("GET object", refuse(404, "NoSuchKey", "deleted meanwhile")), both, "i-0c, 3 hours ago"),
		fails(w.aws.fail("GET object", refuse(403, "AccessDenied", "no")), both, "The credentials lack s3:GetObject"),
		fails(nil, `{ bucket = "none-of-this-name" }`, "could not be read from s3://none-of-this-name/"),
		fails(func() { w.leaves("i-0d", "\xff half a report") }, both, "- i-0d, less than a minute ago: half a report - i-0a"),
		fails(nil, `{ bucket = "any", prefix = "/elsewhere/registrykit/v1/boot" }`, "s3://any/elsewhere/registrykit/v1/boot/"),
		resource.TestStep{
			Config:      fmt.Sprintf("provider \"registry\" {\n endpoint = %q\n max_retries = 0\n ready_timeout = \"0s\"\n boot_reports = { bucket = \"any\", region = \"eu-central-1\" }\n}\n", w.balancer) + `data "registry_server" "this" {}`,
			ExpectError: says("could not be read. No AWS credentials: No credentials were found"),
		},
		resource.TestStep{ // the wait of an hour ends, since launches were stopped in it
			PreConfig: func() {
				w.leaves(launchesKey, "%s i-0d stopped launches: three instances in a row did not start", ago(-time.Minute))
			},
			Config:      w.config("1h", both),
			ExpectError: says("The Auto Scaling group launches no more instances; it was told so less than a minute ago: three instances in a row did not start."),
		},
		fails(func() { w.leaves(launchesKey, "%s i-0e started", ago(0)) }, both, "- i-0a, 2 minutes ago"),
	)
}

// Reports are not asked for as long as the registry answers, nor while it is not known where they are.
func TestBootReportsNotNeeded(t *testing.T) {
	s, registry := startAWS(t), startServer(t)
	provider := func(endpoint, reports string) string {
		return fmt.Sprintf(`
provider "registry" {
  endpoint      = %q
  username      = "admin"
  password      = %q
  max_retries   = 0
  ready_timeout = "0s"
  boot_reports  = %s
  aws           = { region = "eu-central-1", access_key = "test", secret_key = "test", endpoints = { s3 = %q } }
}
resource "terraform_data" "later" { input = "images" }
data "registry_server" "this" {}
`, endpoint, adminPassword, reports, s.url)
	}
	unitTest(t, testProvider(),
		resource.TestStep{Config: provider(registry.url, `{ bucket = "images" }`)},
		resource.TestStep{Config: provider(registry.url, `{ bucket = terraform_data.later.output }`), Taint: []string{"terraform_data.later"}},
		resource.TestStep{
			Taint:       []string{"terraform_data.later"},
			Config:      provider("http://127.0.0.1:1", `{ bucket = terraform_data.later.output }`),
			ExpectError: says("the provider's boot_reports.bucket will be known only after apply"),
		},
		resource.TestStep{Config: provider(registry.url, `{ region = "eu-central-1" }`), ExpectError: says("At least one attribute out of")},
		resource.TestStep{Config: provider(registry.url, `{ bucket = "images" }`)},
	)
	if s.count("GET list-type") > 0 {
		t.Error("reports were looked for although the registry answers")
	}
}

func FuzzBootReport(f *testing.F) {
	for _, seed := range []string{"2026-01-02T03:04:05Z i-0a did not start: why", "2026-01-02T03:04:05Z i-0a stopped launches: why", "none", "x  did not start: ", "2026-01-02T03:04:05Z i\x1b did not start: \xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, ok := parseBootReport(text)
		if ok && (r.at.IsZero() && !strings.HasPrefix(text, "0001-01-01") || r.id == "" || !strings.HasPrefix(text[strings.Index(text, " ")+1:], r.id)) {
			t.Errorf("%q gives %+v", text, r)
		}
		var h bootHistory
		h.addLaunches(text)
		h.reports = append(h.reports, bootReport{reason: readable(text)})
		if found := h.diagnosis(time.Time{}, time.Time{}, "nowhere", nil); !utf8.ValidString(found.Reason) || strings.ContainsAny(found.Reason, "\x1b\x00\r") || len(found.Reason) > 3*maxReasonShown {
			t.Errorf("%q is shown as %q", text, found.Reason)
		}
	})
}
