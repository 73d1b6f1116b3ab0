package awstest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
)

// TestCompare: what is missing and what is never used both show.
func TestCompare(t *testing.T) {
	t.Parallel()
	var statements []Statement
	err := json.Unmarshal([]byte(`[
		{"Sid": "Images", "Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::images/*"},
		{"Sid": "Bucket", "Effect": "Allow", "Action": "s3:ListBucket", "Resource": ["arn:aws:s3:::images", "arn:aws:s3:::other"]},
		{"Sid": "No", "Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*"}
	]`), &statements)
	if err != nil {
		t.Fatal(err)
	}
	missing, unused := Compare(statements, []APICall{
		{Action: "s3:GetObject", Resource: "arn:aws:s3:::images/a/b[c]"},
		{Action: "s3:ListBucket", Resource: "arn:aws:s3:::images"},
		{Action: "s3:DeleteObject", Resource: "arn:aws:s3:::images/a"},
		{Action: "s3:GetObject", Resource: "arn:aws:s3:::imagesandmore/a"},
	})
	if want := []string{"s3:DeleteObject on arn:aws:s3:::images/a", "s3:GetObject on arn:aws:s3:::imagesandmore/a"}; !slices.Equal(missing, want) {
		t.Errorf("missing: %q", missing)
	}
	if want := []string{"Bucket: arn:aws:s3:::other", "Images: s3:PutObject", "No: *", "No: s3:DeleteObject"}; !slices.Equal(unused, want) {
		t.Errorf("unused: %q", unused)
	}
}

// TestS3Calls: requests are what the S3 reference says that they need.
func TestS3Calls(t *testing.T) {
	t.Parallel()
	const bucket = "images"
	for _, c := range []struct {
		method, path, source string
		want                 []string
	}{
		{"GET", "/a/b", "", []string{"s3:GetObject on arn:aws:s3:::images/a/b"}},
		{"HEAD", "/a/b", "", []string{"s3:GetObject on arn:aws:s3:::images/a/b"}},
		{"PUT", "/a/b", "", []string{"s3:PutObject on arn:aws:s3:::images/a/b"}},
		{"PUT", "/a/b?partNumber=1&uploadId=u", "", []string{"s3:PutObject on arn:aws:s3:::images/a/b"}},
		{"PUT", "/a/b", "/images/c%20d", []string{"s3:PutObject on arn:aws:s3:::images/a/b", "s3:GetObject on arn:aws:s3:::images/c d"}},
		{"POST", "/a/b?uploads", "", []string{"s3:PutObject on arn:aws:s3:::images/a/b"}},
		{"POST", "/a/b?uploadId=u", "", []string{"s3:PutObject on arn:aws:s3:::images/a/b"}},
		{"GET", "/a/b?uploadId=u", "", []string{"s3:ListMultipartUploadParts on arn:aws:s3:::images/a/b"}},
		{"DELETE", "/a/b?uploadId=u", "", []string{"s3:AbortMultipartUpload on arn:aws:s3:::images/a/b"}},
		{"DELETE", "/a/b", "", []string{"s3:DeleteObject on arn:aws:s3:::images/a/b"}},
		{"PUT", "/a/b?acl", "", []string{"s3:PUT?acl on arn:aws:s3:::images/a/b"}},
		{"GET", "/?list-type=2&prefix=a", "", []string{"s3:ListBucket on arn:aws:s3:::images"}},
		{"GET", "/?prefix=a", "", []string{"s3:ListBucket on arn:aws:s3:::images"}},
		{"HEAD", "/", "", []string{"s3:ListBucket on arn:aws:s3:::images"}},
		{"GET", "/?uploads", "", []string{"s3:ListBucketMultipartUploads on arn:aws:s3:::images"}},
		{"GET", "/?policy", "", []string{"s3:GET?policy on arn:aws:s3:::images"}},
	} {
		r := httptest.NewRequestWithContext(t.Context(), c.method, c.path, http.NoBody)
		r.Header.Set("X-Amz-Copy-Source", c.source)
		var got []string
		for _, call := range s3Calls(r, bucket, r.URL.Path[1:]) {
			got = append(got, call.Action+" on "+call.Resource)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s %s: %q, not %q", c.method, c.path, got, c.want)
		}
	}
}
