package registry

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// retentionKey is the one record of all retention policies: what a collection does
// is decided by one state of them.
const retentionKey = storage.KitRoot + "/retention-policies"

// Bounds of that record, far below storage.MaxRecordSize.
const (
	maxRetentionPolicies   = 200
	maxRetentionPolicySize = 32 << 10 // in JSON
	retentionTries         = 20
	retentionVersion       = 1
)

// RetentionSpec is what a retention policy shall be.
type RetentionSpec struct {
	Name         string
	Description  string
	Repositories []oci.Glob // it is about repositories that one of them matches
	Rules        []oci.RetentionRule
}

// RetentionPolicy says which tags and manifests of repositories go.
type RetentionPolicy struct {
	RetentionSpec
	Revision  string // changes with every change
	CreatedAt time.Time
	UpdatedAt time.Time
}

// matches reports whether the policy is about the repository.
func (s RetentionSpec) matches(repo oci.Repository) bool {
	return slices.ContainsFunc(s.Repositories, func(g oci.Glob) bool { return g.Match(repo) })
}

// retentionDocument is the record, in JSON (docs/storage-format.md).
type retentionDocument struct {
	Version  int                         `json:"version"`
	Policies map[string]*retentionRecord `json:"policies"`
}

type retentionRecord struct {
	Description  string                  `json:"description,omitempty"`
	Repositories []string                `json:"repositories"`
	Rules        []oci.RetentionRuleSpec `json:"rules"`
	Revision     string                  `json:"revision"`
	CreateKey    string                  `json:"create_key,omitempty"` // of the request that made it
	CreatedAt    time.Time               `json:"created_at"`
	UpdatedAt    time.Time               `json:"updated_at"`
}

// RetentionPolicies returns all of them, in the byte order of names.
func (r *Registry) RetentionPolicies(ctx context.Context) ([]RetentionPolicy, error) {
	doc, _, err := r.readRetention(ctx)
	if err != nil {
		return nil, err
	}
	all := []RetentionPolicy{}
	for _, name := range slices.Sorted(maps.Keys(doc.Policies)) {
		p, err := doc.Policies[name].policy(name)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// RetentionPolicy returns a policy. NOT_FOUND.
func (r *Registry) RetentionPolicy(ctx context.Context, name string) (RetentionPolicy, error) {
	doc, _, err := r.readRetention(ctx)
	if err != nil {
		return RetentionPolicy{}, err
	}
	rec, err := doc.find(name, nil)
	if err != nil {
		return RetentionPolicy{}, err
	}
	return rec.policy(name)
}

// CreateRetentionPolicy makes a policy. key names the request: a policy that the
// same key made is returned. CONFLICT, INVALID.
func (r *Registry) CreateRetentionPolicy(ctx context.Context, spec RetentionSpec, key string) (RetentionPolicy, error) {
	rec, err := spec.record(r.facts.now().UTC())
	if err != nil {
		return RetentionPolicy{}, err
	}
	rec.CreateKey = key
	err = r.changeRetention(ctx, func(doc *retentionDocument) error {
		if was, ok := doc.Policies[spec.Name]; ok {
			if was.Revision == rec.Revision || key != "" && was.CreateKey == key {
				rec = was
				return errNoRetentionChange
			}
			return oci.Errorf(oci.CodeConflict, "there is a retention policy %s already", spec.Name)
		}
		if len(doc.Policies) >= maxRetentionPolicies {
			return oci.Errorf(oci.CodeConflict, "there are %d retention policies, and no more are possible", maxRetentionPolicies)
		}
		doc.Policies[spec.Name] = rec
		return nil
	})
	if err != nil {
		return RetentionPolicy{}, err
	}
	return rec.policy(spec.Name)
}

// UpdateRetentionPolicy makes the policy spec.Name what spec says; may is as for
// UpdateSettings. NOT_FOUND, INVALID, PRECONDITION_FAILED.
func (r *Registry) UpdateRetentionPolicy(ctx context.Context, spec RetentionSpec, may func(revision string) bool) (RetentionPolicy, error) {
	rec, err := spec.record(r.facts.now().UTC())
	if err != nil {
		return RetentionPolicy{}, err
	}
	err = r.changeRetention(ctx, func(doc *retentionDocument) error {
		if was, ok := doc.Policies[spec.Name]; ok && was.Revision == rec.Revision {
			return errNoRetentionChange // our own write, by a try whose answer was lost
		}
		was, err := doc.find(spec.Name, may)
		if err != nil {
			return err
		}
		rec.CreateKey, rec.CreatedAt = was.CreateKey, was.CreatedAt
		doc.Policies[spec.Name] = rec
		return nil
	})
	if err != nil {
		return RetentionPolicy{}, err
	}
	return rec.policy(spec.Name)
}

// DeleteRetentionPolicy removes a policy. NOT_FOUND, PRECONDITION_FAILED.
func (r *Registry) DeleteRetentionPolicy(ctx context.Context, name string, may func(revision string) bool) error {
	tried := ""
	return r.changeRetention(ctx, func(doc *retentionDocument) error {
		was, err := doc.find(name, may)
		if oci.ErrorCode(err) == oci.CodeNotFound && tried != "" {
			return errNoRetentionChange // our own write
		}
		if err != nil {
			return err
		}
		tried = was.Revision
		delete(doc.Policies, name)
		return nil
	})
}

var errNoRetentionChange = errors.New("there is nothing to change")

// changeRetention replaces the record by compare-and-swap.
func (r *Registry) changeRetention(ctx context.Context, change func(*retentionDocument) error) error {
	for range retentionTries {
		doc, version, err := r.readRetention(ctx)
		if err != nil {
			return err
		}
		if err := change(doc); err != nil {
			if errors.Is(err, errNoRetentionChange) {
				return nil
			}
			return err
		}
		value, err := json.Marshal(doc)
		if err != nil {
			return err
		}
		_, err = r.records.Put(ctx, retentionKey, value, version)
		if !errors.Is(err, storage.ErrConflict) {
			return err
		}
	}
	return oci.Errorf(oci.CodeUnavailable, "too many others are changing retention policies; try again")
}

// readRetention reads the record. One that cannot be understood is an error, not a
// registry without policies: keep rules would be missing.
func (r *Registry) readRetention(ctx context.Context) (*retentionDocument, storage.Version, error) {
	rec, err := r.records.Get(ctx, retentionKey)
	if errors.Is(err, storage.ErrNotFound) {
		return &retentionDocument{Version: retentionVersion, Policies: map[string]*retentionRecord{}}, storage.Absent, nil
	}
	if err != nil {
		return nil, "", err
	}
	doc, err := parseRetention(rec.Value)
	if err != nil {
		return nil, "", fmt.Errorf("record %s: %w", retentionKey, err)
	}
	return doc, rec.Version, nil
}

func parseRetention(value []byte) (*retentionDocument, error) {
	doc := new(retentionDocument)
	if err := json.Unmarshal(value, doc); err != nil {
		return nil, errors.New("it is not the JSON that this server writes")
	}
	if doc.Version != retentionVersion {
		return nil, fmt.Errorf("it has format %d, and this server knows only %d; was it written by a newer one?", doc.Version, retentionVersion)
	}
	if doc.Policies == nil {
		doc.Policies = map[string]*retentionRecord{}
	}
	for name, rec := range doc.Policies {
		if rec == nil {
			return nil, fmt.Errorf("retention policy %q is null", name)
		}
		if _, err := rec.policy(name); err != nil {
			return nil, fmt.Errorf("retention policy %q: %w", name, err)
		}
	}
	return doc, nil
}

func (d *retentionDocument) find(name string, may func(revision string) bool) (*retentionRecord, error) {
	rec, ok := d.Policies[name]
	if !ok {
		return nil, &oci.Error{Code: oci.CodeNotFound, Message: "there is no retention policy " + name, Detail: map[string]string{"kind": "retention policy", "name": name}}
	}
	if may != nil && !may(rec.Revision) {
		return nil, oci.Errorf(oci.CodePreconditionFailed, "the retention policy %s has changed since it was read; read it again", name)
	}
	return rec, nil
}

// Check returns why the spec cannot be a policy. INVALID.
func (s RetentionSpec) Check() error {
	_, err := s.record(time.Time{})
	return err
}

// record returns what to store, as a new revision. INVALID.
func (s RetentionSpec) record(now time.Time) (*retentionRecord, error) {
	if _, err := oci.ParsePolicyName(s.Name); err != nil {
		return nil, err
	}
	if err := oci.CheckDescription(s.Description); err != nil {
		return nil, err
	}
	if len(s.Repositories) == 0 || len(s.Rules) == 0 {
		return nil, oci.Errorf(oci.CodeInvalid, "a retention policy needs at least one repository glob and one rule")
	}
	rec := &retentionRecord{Description: s.Description, Revision: rand.Text(), CreatedAt: now, UpdatedAt: now}
	for _, g := range s.Repositories {
		rec.Repositories = append(rec.Repositories, g.String())
	}
	for _, rule := range s.Rules {
		rec.Rules = append(rec.Rules, rule.Spec())
	}
	if value, err := json.Marshal(rec); err != nil || len(value) > maxRetentionPolicySize {
		return nil, oci.Errorf(oci.CodeInvalid, "the retention policy is larger than %d bytes; split it", maxRetentionPolicySize)
	}
	return rec, nil
}

func (rec *retentionRecord) policy(name string) (RetentionPolicy, error) {
	p := RetentionPolicy{RetentionSpec: RetentionSpec{Name: name, Description: rec.Description}, Revision: rec.Revision, CreatedAt: rec.CreatedAt, UpdatedAt: rec.UpdatedAt}
	var err error
	if p.Repositories, err = oci.ParseRetentionRepositories(rec.Repositories); err == nil {
		p.Rules, err = oci.ParseRetentionRules(rec.Rules)
	}
	return p, err
}
