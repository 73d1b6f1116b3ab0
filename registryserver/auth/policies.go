package auth

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Policy is a policy of a Directory.
type Policy struct {
	PolicySpec
	BuiltIn   bool
	Revision  string // changes with every change; "" of a built-in one
	CreatedAt time.Time
	UpdatedAt time.Time
}

// PolicySpec is what a policy shall be.
type PolicySpec struct {
	Name        string
	Description string
	Rules       []oci.Rule
	Anonymous   bool // also granted to callers without credentials
}

// CreatePolicy makes a policy; key is as for CreateUser. CONFLICT, INVALID.
func (d *Directory) CreatePolicy(ctx context.Context, spec PolicySpec, key string) (Policy, error) {
	record, err := d.newPolicyRecord(spec)
	if err != nil {
		return Policy{}, err
	}
	err = d.update(ctx, func(doc *document) error {
		if existing, ok := doc.Policies[spec.Name]; ok {
			if key != "" && existing.CreateKey == key {
				record = existing
				return errNoChange
			}
			return oci.Errorf(oci.CodeConflict, "there is a policy %s already", spec.Name)
		}
		if len(doc.Policies) >= maxPolicies {
			return oci.Errorf(oci.CodeConflict, "there are %d policies, and no more are possible", maxPolicies)
		}
		record.CreateKey, record.CreatedAt = key, record.UpdatedAt
		doc.Policies[spec.Name] = record
		return nil
	})
	if err != nil {
		return Policy{}, err
	}
	return record.policy(spec.Name)
}

// UpdatePolicy makes the policy spec.Name what spec says. NOT_FOUND, INVALID,
// PRECONDITION_FAILED; CONFLICT for a built-in policy.
func (d *Directory) UpdatePolicy(ctx context.Context, spec PolicySpec, may Condition) (Policy, error) {
	record, err := d.newPolicyRecord(spec)
	if err != nil {
		return Policy{}, err
	}
	err = d.update(ctx, func(doc *document) error {
		old, err := doc.policy(spec.Name, may)
		if err != nil {
			return err
		}
		record.CreateKey, record.CreatedAt = old.CreateKey, old.CreatedAt
		doc.Policies[spec.Name] = record
		return nil
	})
	if err != nil {
		return Policy{}, err
	}
	return record.policy(spec.Name)
}

// DeletePolicy removes a policy. NOT_FOUND, PRECONDITION_FAILED; CONFLICT for
// a built-in policy and one that a user has.
func (d *Directory) DeletePolicy(ctx context.Context, name string, may Condition) error {
	if err := checkNotBuiltIn(name); err != nil {
		return err
	}
	return d.update(ctx, func(doc *document) error {
		if _, err := doc.policy(name, may); err != nil {
			return err
		}
		if users := doc.usersOf(name); len(users) > 0 {
			return inUse(name, users)
		}
		delete(doc.Policies, name)
		return nil
	})
}

// Policy returns a policy, also a built-in one. NOT_FOUND.
func (d *Directory) Policy(ctx context.Context, name string) (Policy, error) {
	if slices.Contains(oci.BuiltInPolicies(), name) {
		return builtIn(name), nil
	}
	doc, err := d.fresh(ctx)
	if err != nil {
		return Policy{}, err
	}
	p, err := doc.policy(name, nil)
	if err != nil {
		return Policy{}, err
	}
	return p.policy(name)
}

// Policies returns every policy, built-in ones too, in the byte order of
// names.
func (d *Directory) Policies(ctx context.Context) ([]Policy, error) {
	doc, err := d.fresh(ctx)
	if err != nil {
		return nil, err
	}
	names := slices.AppendSeq(oci.BuiltInPolicies(), maps.Keys(doc.Policies))
	slices.Sort(names)
	policies := make([]Policy, 0, len(names))
	for _, name := range names {
		p := builtIn(name)
		if record, ok := doc.Policies[name]; ok {
			if p, err = record.policy(name); err != nil {
				return nil, err
			}
		}
		policies = append(policies, p)
	}
	return policies, nil
}

func (d *Directory) newPolicyRecord(spec PolicySpec) (*policyRecord, error) {
	if _, err := oci.ParsePolicyName(spec.Name); err != nil {
		return nil, err
	}
	if err := checkNotBuiltIn(spec.Name); err != nil {
		return nil, err
	}
	if err := oci.CheckDescription(spec.Description); err != nil {
		return nil, err
	}
	if len(spec.Rules) > oci.MaxRules {
		return nil, oci.Errorf(oci.CodeInvalid, "the policy has %d rules; at most %d are allowed", len(spec.Rules), oci.MaxRules)
	}
	p := &policyRecord{Description: spec.Description, Rules: []ruleRecord{}, Anonymous: spec.Anonymous, Revision: rand.Text(), UpdatedAt: d.now().UTC()}
	for _, r := range spec.Rules {
		if len(r.Repositories) == 0 || len(r.Actions) == 0 {
			return nil, oci.Errorf(oci.CodeInvalid, "a rule needs at least one repository glob and one action")
		}
	}
	p.Rules = append(p.Rules, ruleRecords(spec.Rules)...)
	if size, err := json.Marshal(p); err != nil || len(size) > maxPolicySize {
		return nil, oci.Errorf(oci.CodeInvalid, "the policy is larger than %d bytes; split it", maxPolicySize)
	}
	return p, nil
}

func checkNotBuiltIn(name string) error {
	if slices.Contains(oci.BuiltInPolicies(), name) {
		return oci.Errorf(oci.CodeConflict, "the policy %s is built in and cannot be created, changed or deleted; make one of another name", name)
	}
	return nil
}

// policy returns the record of a policy whose revision may be changed.
func (d *document) policy(name string, may Condition) (*policyRecord, error) {
	p, ok := d.Policies[name]
	if !ok {
		return nil, notFound("policy", name)
	}
	return p, may.check("policy "+name, p.Revision)
}

// usersOf returns the users who have the policy, sorted.
func (d *document) usersOf(policy string) []string {
	var names []string
	for name, u := range d.Users {
		if slices.Contains(u.Policies, policy) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func inUse(policy string, users []string) error {
	const most = 20
	err := oci.Errorf(oci.CodeConflict, "the policy %s is in use by %d users, %s among them; take it from them first", policy, len(users), users[0])
	if len(users) == 1 {
		err = oci.Errorf(oci.CodeConflict, "the policy %s is in use by user %s; take it from them first", policy, users[0])
	}
	err.Detail = map[string][]string{"users": users[:min(len(users), most)]}
	return err
}

func (p *policyRecord) policy(name string) (Policy, error) {
	rules, err := p.parse()
	return Policy{
		PolicySpec: PolicySpec{Name: name, Description: p.Description, Rules: rules, Anonymous: p.Anonymous},
		Revision:   p.Revision, CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt,
	}, err
}

func builtIn(name string) Policy {
	descriptions := map[string]string{
		oci.PolicyAdmin:     "Everything, and the admin API.",
		oci.PolicyReadWrite: "Pull, push and delete in every repository.",
		oci.PolicyReadOnly:  "Pull from every repository.",
	}
	return Policy{PolicySpec: PolicySpec{Name: name, Description: descriptions[name], Rules: builtInRules(name)}, BuiltIn: true}
}
