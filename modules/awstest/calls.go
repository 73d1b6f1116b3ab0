package awstest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// s3Calls are the actions of policies that a request to S3 needs. A copy needs two.
func s3Calls(r *http.Request, bucket, key string) []APICall {
	query := r.URL.Query()
	onBucket := func(action string) []APICall {
		return []APICall{{Action: "s3:" + action, Resource: "arn:aws:s3:::" + bucket}}
	}
	onObject := func(action string) []APICall {
		return []APICall{{Action: "s3:" + action, Resource: "arn:aws:s3:::" + bucket + "/" + key}}
	}
	switch {
	case bucket == "":
		return []APICall{{Action: "s3:ListAllMyBuckets", Resource: "*"}}
	case key == "":
		switch {
		case r.Method == http.MethodGet && query.Has("uploads"):
			return onBucket("ListBucketMultipartUploads")
		case r.Method == http.MethodPost && query.Has("delete"):
			return []APICall{{Action: "s3:DeleteObject", Resource: "arn:aws:s3:::" + bucket + "/"}}
		case r.Method == http.MethodHead, r.Method == http.MethodGet && (query.Has("list-type") || query.Has("prefix") || len(query) == 0):
			return onBucket("ListBucket")
		}
		return onBucket(r.Method + "?" + r.URL.RawQuery) // no server of ours asks that
	case query.Has("tagging") || query.Has("acl") || query.Has("versionId") || query.Has("retention"):
		return onObject(r.Method + "?" + r.URL.RawQuery)
	case query.Has("uploadId") && r.Method == http.MethodGet:
		return onObject("ListMultipartUploadParts")
	case query.Has("uploadId") && r.Method == http.MethodDelete:
		return onObject("AbortMultipartUpload")
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		return onObject("GetObject")
	case r.Method == http.MethodDelete:
		return onObject("DeleteObject")
	}
	calls := onObject("PutObject")
	if source, err := url.PathUnescape(r.Header.Get("X-Amz-Copy-Source")); err == nil && source != "" {
		calls = append(calls, APICall{Action: "s3:GetObject", Resource: "arn:aws:s3:::" + strings.TrimPrefix(source, "/")})
	}
	return calls
}

// jsonResource is what a request of a JSON protocol is about, where it says so.
func jsonResource(body []byte) string {
	var request struct {
		SecretID     string `json:"SecretId"`
		Name         string // of a parameter
		LogGroupName string `json:"logGroupName"`
	}
	if json.Unmarshal(body, &request) != nil {
		return ""
	}
	switch {
	case request.SecretID != "":
		return request.SecretID
	case request.Name != "":
		return "parameter" + request.Name
	case request.LogGroupName != "":
		return "log-group:" + request.LogGroupName + ":log-stream:any"
	}
	return ""
}
