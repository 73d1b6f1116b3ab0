package s3store_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage/s3store"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

// check opens a store and tries everything.
func check(t *testing.T, conf s3store.Config) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := s3store.New(ctx, conf)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.Check(ctx)
}

// expectLine: err is one line with all that is wanted.
func expectLine(t *testing.T, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one with %q", want)
	}
	for _, w := range append(want, "") {
		if !strings.Contains(err.Error(), w) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v\nwant one line with %q", err, w)
		}
	}
}

// answer answers some requests instead of the S3 server.
func answer(t *testing.T, conf *s3store.Config, instead func(w http.ResponseWriter, r *http.Request) bool) {
	t.Helper()
	target, err := url.Parse(conf.RegionEndpoint)
	must(t, err)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
		r.Out.Host = r.In.Host // which is signed
	}}
	conf.RegionEndpoint = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !instead(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
}

func answerXML(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message><RequestId>1</RequestId></Error>`, code, message)
}

func TestCheck(t *testing.T) {
	conf := config(t)
	c := count(t, &conf)
	must(t, check(t, conf))
	for _, r := range c.take() {
		if method, path, _ := strings.Cut(r, " "); method == http.MethodPut && !strings.HasPrefix(path, "registrykit/v1/probes/") {
			t.Errorf("%s is not below the folder of probes", r)
		}
	}
	api := s3.New(s3.Options{
		BaseEndpoint: &conf.RegionEndpoint, Region: conf.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
	})
	prefix := strings.Trim(conf.RootDirectory, "/") + "/"
	objects, err := api.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &conf.Bucket, Prefix: &prefix})
	must(t, err)
	multiparts, err := api.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &conf.Bucket, Prefix: &prefix})
	must(t, err)
	if len(objects.Contents)+len(multiparts.Uploads) > 0 {
		t.Errorf("the check left %v and %v", objects.Contents, multiparts.Uploads)
	}
}

// TestDenied: whichever action is denied, it is named exactly, with what it is
// denied on and where to give it.
func TestDenied(t *testing.T) {
	for _, action := range []string{
		"s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:GetObject", "s3:PutObject", "s3:DeleteObject",
		"s3:AbortMultipartUpload", "s3:ListMultipartUploadParts",
	} {
		t.Run(action, func(t *testing.T) {
			conf := config(t)
			on := "arn:aws:s3:::" + bucket + conf.RootDirectory + "/*"
			if strings.HasPrefix(action, "s3:ListBucket") {
				on = "arn:aws:s3:::" + bucket + ":"
			}
			answer(t, &conf, func(w http.ResponseWriter, r *http.Request) bool {
				onBucket, onObjects := storagetest.S3Actions(r, bucket)
				if !slices.Contains(onBucket, action) && !slices.Contains(onObjects, action) {
					return false
				}
				answerXML(w, http.StatusForbidden, "AccessDenied", "Access Denied")
				return true
			})
			expectLine(t, check(t, conf), action+" is denied on "+on, "add it to the policy", "storage.s3.accesskey")
		})
	}
}

// TestRefused: other ways in which a server can refuse.
func TestRefused(t *testing.T) {
	always := func(status int, code, message string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool { answerXML(w, status, code, message); return true }
	}
	const role = "User: arn:aws-cn:sts::1:assumed-role/registry/i-1 is not authorized to perform: "
	for _, c := range []struct {
		name   string
		change func(*s3store.Config)
		answer func(http.ResponseWriter, *http.Request) bool
		want   []string
	}{
		{"a region of China", func(c *s3store.Config) { c.Region = "cn-north-1" }, always(403, "AccessDenied", "Access Denied"),
			[]string{"s3:ListBucket is denied on arn:aws-cn:s3:::" + bucket + ":"}},
		{"GovCloud", func(c *s3store.Config) { c.Region = "us-gov-west-1" }, always(403, "AccessDenied", "Access Denied"),
			[]string{"s3:ListBucket is denied on arn:aws-us-gov:s3:::" + bucket + ":"}},
		{"a key of KMS", nil, always(403, "AccessDenied", role+"kms:GenerateDataKey on resource: arn:aws-cn:kms:cn-north-1:1:key/k because no identity-based policy allows the kms:GenerateDataKey action"),
			[]string{"kms:GenerateDataKey is denied on arn:aws-cn:kms:cn-north-1:1:key/k: add it"}},
		{"an explicit deny", nil, always(403, "AccessDenied", role+`s3:ListBucket on resource: "arn:aws:s3:::b" with an explicit deny in a resource-based policy`),
			[]string{"s3:ListBucket is denied", "remove the Deny"}},
		{"the clock ahead", nil, func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Date", time.Now().Add(-2*time.Hour).UTC().Format(http.TimeFormat))
			answerXML(w, 403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")
			return true
		}, []string{"the clock of this machine is off by 2h0m", "(ahead)", "set the clock"}},
		{"the clock behind", nil, func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
			answerXML(w, 403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")
			return true
		}, []string{"off by ", "(behind)"}},
		{"no S3 server", nil, func(w http.ResponseWriter, r *http.Request) bool { http.NotFound(w, r); return true },
			[]string{"no S3 server", "storage.s3.regionendpoint"}},
		{"a web site", nil, func(w http.ResponseWriter, _ *http.Request) bool {
			fmt.Fprint(w, "<!doctype html><p>Welcome")
			return true
		},
			[]string{"no S3 server", "storage.s3.regionendpoint"}},
		{"another region", nil, always(301, "PermanentRedirect", "The bucket you are attempting to access must be addressed using the specified endpoint."),
			[]string{"it is not in the region us-east-1", "REGISTRY_STORAGE_S3_REGION"}},
		{"an expired token", nil, always(400, "ExpiredToken", "The provided token has expired."), []string{"has expired"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			conf := config(t)
			if c.change != nil {
				c.change(&conf)
			}
			answer(t, &conf, c.answer)
			expectLine(t, check(t, conf), c.want...)
		})
	}
}

// TestSkewedSilently: the SDK corrects its requests for a wrong clock, but not
// the URLs that clients get.
func TestSkewedSilently(t *testing.T) {
	conf := config(t)
	target := conf.RegionEndpoint
	answer(t, &conf, func(w http.ResponseWriter, r *http.Request) bool {
		to, err := url.Parse(target)
		must(t, err)
		proxy := &httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) {
				r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = to.Scheme, to.Host, r.In.Host
			},
			ModifyResponse: func(r *http.Response) error {
				r.Header.Set("Date", time.Now().Add(-20*time.Minute).UTC().Format(http.TimeFormat))
				return nil
			},
		}
		proxy.ServeHTTP(w, r)
		return true
	})
	expectLine(t, check(t, conf), "the clock of this machine is off by 20m")
}
