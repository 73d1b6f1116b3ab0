package provider

import (
	"encoding/json"
	"slices"
	"strings"
)

// What a registry server asks of its bucket, and of the objects in it. The
// policy in docs/operations.md says the same, and the server's tests compare
// that with the requests that it makes.
func bucketActions() []string { return []string{"s3:ListBucket", "s3:ListBucketMultipartUploads"} }

func objectActions() []string {
	return []string{"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"}
}

func keyActions() []string { return []string{"kms:GenerateDataKey", "kms:Decrypt"} }

// policyDocument is a policy of IAM, or of a bucket.
type policyDocument struct {
	Version   string
	Statement []policyStatement
}

type policyStatement struct {
	Sid       string `json:",omitempty"`
	Effect    string
	Principal any `json:",omitempty"`
	Action    []string
	Resource  []string
	Condition map[string]map[string][]string `json:",omitempty"`
}

func newPolicy(statements ...policyStatement) policyDocument {
	return policyDocument{"2012-10-17", statements}
}

// String is the policy as JSON; it is always the same for the same policy.
func (d policyDocument) String() string {
	text, err := json.Marshal(d)
	if err != nil {
		panic(err) // there is nothing in it that has no JSON
	}
	return string(text)
}

// serverAccess says what a registry server uses.
type serverAccess struct {
	partition string
	bucket    string
	root      string // before every key
	key       string // ARN of a key of KMS or of an alias, or ""
}

// statements allow a registry server to do its work and nothing else.
func (a serverAccess) statements() []policyStatement {
	arn := bucketARN(a.partition, a.bucket)
	objects := arn + "/*"
	if root := strings.Trim(a.root, "/"); root != "" {
		objects = arn + "/" + root + "/*"
	}
	all := []policyStatement{
		{Sid: "RegistryBucket", Effect: "Allow", Action: bucketActions(), Resource: []string{arn}},
		{Sid: "RegistryObjects", Effect: "Allow", Action: objectActions(), Resource: []string{objects}},
	}
	if a.key != "" {
		all = append(all, keyStatement(a.key))
	}
	return all
}

// keyStatement allows the use of a key. IAM does not know aliases as resources,
// only as a condition on keys.
func keyStatement(arn string) policyStatement {
	s := policyStatement{Sid: "RegistryKey", Effect: "Allow", Action: keyActions(), Resource: []string{arn}}
	if at := strings.Index(arn, ":alias/"); at >= 0 {
		s.Resource = []string{arn[:at] + ":key/*"}
		s.Condition = map[string]map[string][]string{"ForAnyValue:StringEquals": {"kms:ResourceAliases": {arn[at+1:]}}}
	}
	return s
}

// bucketPolicy is the policy of a bucket itself: what no credentials may do,
// and what principals may that have no policy of their own, such as those of
// another account.
func bucketPolicy(a serverAccess, denyInsecureTransport bool, principals []string) policyDocument {
	d := newPolicy()
	if denyInsecureTransport {
		arn := bucketARN(a.partition, a.bucket)
		d.Statement = append(d.Statement, policyStatement{
			Sid: "DenyInsecureTransport", Effect: "Deny", Principal: "*",
			Action: []string{"s3:*"}, Resource: []string{arn, arn + "/*"},
			Condition: map[string]map[string][]string{"Bool": {"aws:SecureTransport": {"false"}}},
		})
	}
	if len(principals) > 0 {
		a.key = "" // a key has a policy of its own
		for _, s := range a.statements() {
			s.Principal = map[string][]string{"AWS": slices.Sorted(slices.Values(principals))}
			d.Statement = append(d.Statement, s)
		}
	}
	return d
}
