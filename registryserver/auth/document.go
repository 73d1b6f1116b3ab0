package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// directoryKey is the one record that holds all users and policies. One record
// makes every rule between them hold by one compare-and-swap, also between
// servers: there is always an enabled admin, and no user has a policy that does
// not exist. It makes watching for changes one small read, too.
const directoryKey = storage.KitRoot + "/directory"

// Bounds of the directory, far below storage.MaxRecordSize.
const (
	maxUsers      = 10_000
	maxPolicies   = 1_000
	maxPolicySize = 64 << 10 // of one policy in JSON
	maxDocument   = storage.MaxRecordSize
)

// document is that record, in JSON (docs/storage-format.md).
type document struct {
	Version int `json:"version"`
	// Write names the write that made this content, so that a writer that lost
	// the answer knows its own work.
	Write    string                   `json:"write"`
	Users    map[string]*userRecord   `json:"users"`
	Policies map[string]*policyRecord `json:"policies"`
	// Admin is what the configuration last set; see Directory.EnsureAdmin.
	Admin *configuredAdmin `json:"configured_admin,omitempty"`
}

const documentVersion = 1

type userRecord struct {
	Policies           []string `json:"policies"`
	Enabled            bool     `json:"enabled"`
	Description        string   `json:"description,omitempty"`
	Hash               string   `json:"password_hash,omitempty"` // bcrypt
	CredentialRevision string   `json:"credential_revision,omitempty"`
	// Generation is what tokens are bound to: they end when the user gets another
	// password, is disabled, or is removed.
	Generation string    `json:"generation,omitempty"`
	Revision   string    `json:"revision"`
	CreateKey  string    `json:"create_key,omitempty"` // of the request that made it
	CreatedAt  time.Time `json:"created_at"`
	UpdatedAt  time.Time `json:"updated_at"`
}

type policyRecord struct {
	Description string       `json:"description,omitempty"`
	Rules       []ruleRecord `json:"rules"`
	Anonymous   bool         `json:"anonymous,omitempty"`
	Revision    string       `json:"revision"`
	CreateKey   string       `json:"create_key,omitempty"`
	CreatedAt   time.Time    `json:"created_at"`
	UpdatedAt   time.Time    `json:"updated_at"`
}

type ruleRecord struct {
	Repositories []string     `json:"repositories"`
	Actions      []oci.Action `json:"actions"`
}

// configuredAdmin remembers the configured admin. The fingerprint is the bcrypt
// hash of the configured password: no cheaper to attack than the user's own.
type configuredAdmin struct {
	Username    string `json:"username"`
	Fingerprint string `json:"fingerprint"`
}

// parseDocument parses the record.
func parseDocument(value []byte) (*document, error) {
	doc := new(document)
	if err := json.Unmarshal(value, doc); err != nil {
		return nil, errors.New("it is not the JSON that this server writes")
	}
	if doc.Version != documentVersion {
		return nil, fmt.Errorf("it has format %d, and this server knows only %d; was it written by a newer one?", doc.Version, documentVersion)
	}
	doc.fill()
	for name, u := range doc.Users {
		if u == nil {
			return nil, fmt.Errorf("user %q is null", name)
		}
	}
	for name, p := range doc.Policies {
		if p == nil {
			return nil, fmt.Errorf("policy %q is null", name)
		}
	}
	return doc, nil
}

func (d *document) fill() {
	if d.Users == nil {
		d.Users = make(map[string]*userRecord)
	}
	if d.Policies == nil {
		d.Policies = make(map[string]*policyRecord)
	}
}

// admins counts the users who can log in and use the admin API.
func (d *document) admins() int {
	n := 0
	for _, u := range d.Users {
		if u.isAdmin() && u.Enabled && u.Hash != "" {
			n++
		}
	}
	return n
}

func (u *userRecord) isAdmin() bool {
	for _, p := range u.Policies {
		if p == oci.PolicyAdmin {
			return true
		}
	}
	return false
}

// generation is that of a record written before there were any, too.
func (u *userRecord) generation() string {
	if u.Generation != "" {
		return u.Generation
	}
	return u.CreatedAt.UTC().Format(time.RFC3339Nano) + " " + u.CredentialRevision
}

// rules returns the rules of a policy, built in or not.
func (d *document) rules(policy string) ([]oci.Rule, error) {
	switch policy {
	case oci.PolicyAdmin, oci.PolicyReadWrite, oci.PolicyReadOnly:
		return builtInRules(policy), nil
	}
	p, ok := d.Policies[policy]
	if !ok {
		return nil, fmt.Errorf("there is no policy %q", policy)
	}
	return p.parse()
}

func (p *policyRecord) parse() ([]oci.Rule, error) {
	rules := make([]oci.Rule, 0, len(p.Rules))
	for _, r := range p.Rules {
		actions := make([]string, len(r.Actions))
		for i, a := range r.Actions {
			actions[i] = string(a)
		}
		rule, err := oci.ParseRule(r.Repositories, actions)
		if err != nil {
			return nil, err
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

// builtInRules returns the rules of a built-in policy.
func builtInRules(policy string) []oci.Rule {
	all, err := oci.ParseGlob("**")
	if err != nil {
		panic(err)
	}
	actions := oci.Actions()
	if policy == oci.PolicyReadOnly {
		actions = []oci.Action{oci.Pull}
	}
	return []oci.Rule{{Repositories: []oci.Glob{all}, Actions: actions}}
}

// snapshot is a document made ready to answer requests from. It is immutable.
type snapshot struct {
	version   storage.Version
	doc       *document
	accounts  map[string]*account
	anonymous *grants
	maxCost   int // of the users' bcrypt hashes; 0 without any
}

// account is what the Gate needs of a user.
type account struct {
	identity Identity
	hash     string // bcrypt; "" never matches
	cost     int    // of hash
	enabled  bool   // tokens count
}

// newSnapshot prepares a document. A record of a rule that does not parse, or
// of a policy that is missing, is an error: half a directory grants the wrong
// rights.
func newSnapshot(doc *document, version storage.Version) (*snapshot, error) {
	s := &snapshot{version: version, doc: doc, accounts: make(map[string]*account, len(doc.Users)), anonymous: new(grants)}
	for name, p := range doc.Policies {
		rules, err := p.parse()
		if err != nil {
			return nil, fmt.Errorf("policy %q: %w", name, err)
		}
		if p.Anonymous {
			s.anonymous.add(rules...)
		}
	}
	for name, u := range doc.Users {
		g := &grants{also: s.anonymous}
		for _, policy := range u.Policies {
			rules, err := doc.rules(policy)
			if err != nil {
				return nil, fmt.Errorf("user %q: %w", name, err)
			}
			g.add(rules...)
		}
		a := &account{
			identity: Identity{name: name, kind: user, admin: u.isAdmin(), grants: g, generation: u.generation()},
			enabled:  u.Enabled,
		}
		if cost, err := bcrypt.Cost([]byte(u.Hash)); err == nil {
			s.maxCost = max(s.maxCost, cost)
			if u.Enabled {
				a.hash, a.cost = u.Hash, cost
			}
		}
		s.accounts[name] = a
	}
	return s, nil
}
