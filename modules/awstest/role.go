package awstest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
)

// Statement of a policy that allows something.
type Statement struct {
	Sid      string
	Effect   string
	Action   list
	Resource list
}

// list is a string or several: policies have both.
type list []string

func (l *list) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*l = list{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(l))
}

// RoleStatements are the statements of a role's own policies.
func (c Cloud) RoleStatements(ctx context.Context, role string) ([]Statement, error) {
	var names struct {
		Names []string `xml:"ListRolePoliciesResult>PolicyNames>member"`
	}
	if err := c.iam(ctx, "ListRolePolicies", url.Values{"RoleName": {role}}, &names); err != nil {
		return nil, err
	}
	var all []Statement
	for _, name := range names.Names {
		var answer struct {
			Document string `xml:"GetRolePolicyResult>PolicyDocument"`
		}
		if err := c.iam(ctx, "GetRolePolicy", url.Values{"RoleName": {role}, "PolicyName": {name}}, &answer); err != nil {
			return nil, err
		}
		text, err := url.PathUnescape(answer.Document)
		if err != nil {
			return nil, err
		}
		var document struct{ Statement []Statement }
		if err := json.Unmarshal([]byte(text), &document); err != nil {
			return nil, fmt.Errorf("the policy %s of %s: %w", name, role, err)
		}
		all = append(all, document.Statement...)
	}
	return all, nil
}

// Compare holds what a role may do to what was asked with its credentials: what no statement allows, and what was allowed and never asked.
func Compare(statements []Statement, calls []APICall) (missing, unused []string) {
	used := map[string]bool{}
	for _, c := range calls {
		allowed := false
		for _, s := range statements {
			if s.Effect != "Allow" || !slices.Contains(s.Action, c.Action) {
				continue
			}
			for _, pattern := range s.Resource {
				if matches(pattern, c.Resource) {
					allowed = true
					used[s.Sid+": "+c.Action] = true
					used[s.Sid+": "+pattern] = true
				}
			}
		}
		if !allowed {
			missing = append(missing, c.Action+" on "+c.Resource)
		}
	}
	for _, s := range statements {
		for _, what := range slices.Concat(s.Action, s.Resource) {
			if !used[s.Sid+": "+what] {
				unused = append(unused, s.Sid+": "+what)
			}
		}
	}
	slices.Sort(missing)
	slices.Sort(unused)
	return slices.Compact(missing), slices.Compact(unused)
}

// matches compares an ARN with a pattern, in which * is any text, slashes included.
func matches(pattern, arn string) bool {
	escape := strings.NewReplacer("/", "\x00", "[", `\[`, `\`, `\\`)
	ok, err := path.Match(escape.Replace(pattern), strings.ReplaceAll(arn, "/", "\x00"))
	return ok && err == nil
}

// WithKMS adds what S3 and Secrets Manager ask of a key in the name of who reads and writes what it encrypts: they do so themselves, and
// nobody sees it.
func WithKMS(calls []APICall, prefix, key string) []APICall {
	all := slices.Clone(calls)
	for _, c := range calls {
		if !strings.HasPrefix(c.Resource, prefix) {
			continue
		}
		switch c.Action {
		case "s3:GetObject", "secretsmanager:GetSecretValue":
			all = append(all, APICall{Action: "kms:Decrypt", Resource: key})
		case "s3:PutObject":
			all = append(all, APICall{Action: "kms:GenerateDataKey", Resource: key})
		}
	}
	return all
}
