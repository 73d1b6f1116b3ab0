package storagetest

import (
	"net/http"
	"strings"
)

// S3Actions are the actions of IAM that a request to a bucket, in the path
// style, needs on the bucket and on its objects. An unknown request needs one
// that does not exist.
func S3Actions(r *http.Request, bucket string) (onBucket, onObjects []string) {
	query := r.URL.Query()
	if strings.Trim(r.URL.Path, "/") == bucket {
		switch {
		case r.Method == http.MethodGet && query.Has("uploads"):
			return []string{"s3:ListBucketMultipartUploads"}, nil
		case r.Method == http.MethodGet && query.Get("list-type") == "2":
			return []string{"s3:ListBucket"}, nil
		case r.Method == http.MethodPost && query.Has("delete"):
			return nil, []string{"s3:DeleteObject"}
		}
		return []string{"unknown: " + r.Method + " " + r.URL.String()}, nil
	}
	for _, parameter := range []string{"acl", "tagging", "attributes", "versionId", "versioning", "retention", "legal-hold", "delete"} {
		if query.Has(parameter) {
			return nil, []string{"unknown: " + r.Method + " " + r.URL.String()}
		}
	}
	switch upload := query.Has("uploadId"); {
	case r.Method == http.MethodGet && upload:
		return nil, []string{"s3:ListMultipartUploadParts"}
	case r.Method == http.MethodGet, r.Method == http.MethodHead:
		return nil, []string{"s3:GetObject"}
	case r.Method == http.MethodDelete && upload:
		return nil, []string{"s3:AbortMultipartUpload"}
	case r.Method == http.MethodDelete:
		onObjects = []string{"s3:DeleteObject"}
	case r.Method == http.MethodPut, r.Method == http.MethodPost && (upload || query.Has("uploads")):
		onObjects = []string{"s3:PutObject"}
	default:
		return nil, []string{"unknown: " + r.Method + " " + r.URL.String()}
	}
	if r.Header.Get("If-Match") != "" || r.Header.Get("X-Amz-Copy-Source") != "" {
		onObjects = append(onObjects, "s3:GetObject")
	}
	if r.Header.Get("X-Amz-Acl") != "" {
		onObjects = append(onObjects, "s3:PutObjectAcl")
	}
	return nil, onObjects
}
