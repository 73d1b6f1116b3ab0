package auth

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// User is a user of a Directory. It never holds a password or a hash.
type User struct {
	Username    string
	Policies    []string // sorted
	Enabled     bool
	Description string
	HasPassword bool
	// CredentialRevision changes whenever the password is set; "" without one.
	CredentialRevision string
	Revision           string // changes with every change of the user
	CreatedAt          time.Time
	UpdatedAt          time.Time
}

// UserSpec is what a user shall be.
type UserSpec struct {
	Username    string
	Policies    []string
	Enabled     bool
	Description string
	// At most one of Password and PasswordHash (bcrypt) is set. With neither, the
	// password stays as it is, or there is none.
	Password     *string
	PasswordHash *string
}

// Condition says whether an object of the given revision may be changed; nil
// allows any. Where it does not, the error is PRECONDITION_FAILED.
type Condition func(revision string) bool

// CreateUser makes a user. key names the request: where a user of that name
// was made by the same key, it is returned; otherwise one that exists is
// CONFLICT. INVALID: the spec breaks a rule, or names a policy that does not
// exist.
func (d *Directory) CreateUser(ctx context.Context, spec UserSpec, key string) (User, error) {
	record, err := d.newUserRecord(spec)
	if err != nil {
		return User{}, err
	}
	err = d.update(ctx, func(doc *document) error {
		if existing, ok := doc.Users[spec.Username]; ok {
			if key != "" && existing.CreateKey == key {
				record = existing
				return errNoChange
			}
			return oci.Errorf(oci.CodeConflict, "there is a user %s already", spec.Username)
		}
		if len(doc.Users) >= maxUsers {
			return oci.Errorf(oci.CodeConflict, "there are %d users, and no more are possible", maxUsers)
		}
		record.CreateKey = key
		record.CreatedAt = record.UpdatedAt
		doc.Users[spec.Username] = record
		return doc.checkPolicies(record.Policies)
	})
	if err != nil {
		return User{}, err
	}
	return record.user(spec.Username), nil
}

// UpdateUser makes the user spec.Username what spec says. NOT_FOUND, INVALID,
// PRECONDITION_FAILED; CONFLICT if no enabled admin would be left.
func (d *Directory) UpdateUser(ctx context.Context, spec UserSpec, may Condition) (User, error) {
	record, err := d.newUserRecord(spec)
	if err != nil {
		return User{}, err
	}
	err = d.update(ctx, func(doc *document) error {
		old, err := doc.user(spec.Username, may)
		if err != nil {
			return err
		}
		record.CreatedAt, record.CreateKey = old.CreatedAt, old.CreateKey
		record.Generation = rand.Text()
		if spec.Password == nil && spec.PasswordHash == nil {
			record.Hash, record.CredentialRevision = old.Hash, old.CredentialRevision
			if record.Enabled || !old.Enabled { // disabling ends tokens for good
				record.Generation = old.Generation
			}
		}
		doc.Users[spec.Username] = record
		return doc.checkPolicies(record.Policies)
	})
	if err != nil {
		return User{}, err
	}
	return record.user(spec.Username), nil
}

// DeleteUser removes a user. NOT_FOUND, PRECONDITION_FAILED; CONFLICT if no
// enabled admin would be left.
func (d *Directory) DeleteUser(ctx context.Context, username string, may Condition) error {
	return d.update(ctx, func(doc *document) error {
		if _, err := doc.user(username, may); err != nil {
			return err
		}
		delete(doc.Users, username)
		return nil
	})
}

// User returns a user. NOT_FOUND.
func (d *Directory) User(ctx context.Context, username string) (User, error) {
	doc, err := d.fresh(ctx)
	if err != nil {
		return User{}, err
	}
	u, err := doc.user(username, nil)
	if err != nil {
		return User{}, err
	}
	return u.user(username), nil
}

// Users returns every user, in the byte order of names.
func (d *Directory) Users(ctx context.Context) ([]User, error) {
	doc, err := d.fresh(ctx)
	if err != nil {
		return nil, err
	}
	users := make([]User, 0, len(doc.Users))
	for _, name := range slices.Sorted(maps.Keys(doc.Users)) {
		users = append(users, doc.Users[name].user(name))
	}
	return users, nil
}

// newUserRecord checks a spec and makes a record of it, with a new revision,
// and hashes its password.
func (d *Directory) newUserRecord(spec UserSpec) (*userRecord, error) {
	if _, err := oci.ParseUsername(spec.Username); err != nil {
		return nil, err
	}
	if err := oci.CheckDescription(spec.Description); err != nil {
		return nil, err
	}
	if len(spec.Policies) > oci.MaxPoliciesPerUser {
		return nil, oci.Errorf(oci.CodeInvalid, "the user has %d policies; at most %d are allowed", len(spec.Policies), oci.MaxPoliciesPerUser)
	}
	for _, p := range spec.Policies {
		if _, err := oci.ParsePolicyName(p); err != nil {
			return nil, err
		}
	}
	policies := slices.Compact(slices.Sorted(slices.Values(spec.Policies)))
	r := &userRecord{
		Policies: policies, Enabled: spec.Enabled, Description: spec.Description,
		Generation: rand.Text(), Revision: rand.Text(), UpdatedAt: d.now().UTC(),
	}
	return r, r.setPassword(spec, d.cost)
}

// setPassword sets the hash that the spec asks for, if it asks for one.
func (u *userRecord) setPassword(spec UserSpec, cost int) error {
	switch {
	case spec.Password != nil && spec.PasswordHash != nil:
		return oci.Errorf(oci.CodeInvalid, "give either a password or a password hash")
	case spec.Password != nil:
		if err := oci.CheckPassword(*spec.Password); err != nil {
			return err
		}
		hash, err := bcrypt.GenerateFromPassword([]byte(*spec.Password), cost)
		if err != nil {
			return fmt.Errorf("hash a password: %w", err)
		}
		u.Hash = string(hash)
	case spec.PasswordHash != nil:
		if err := oci.CheckPasswordHash(*spec.PasswordHash); err != nil {
			return err
		}
		u.Hash = *spec.PasswordHash
	default:
		return nil
	}
	u.CredentialRevision = rand.Text()
	return nil
}

// user returns the record of a user whose revision may be changed.
func (d *document) user(username string, may Condition) (*userRecord, error) {
	u, ok := d.Users[username]
	if !ok {
		return nil, notFound("user", username)
	}
	return u, may.check("user "+username, u.Revision)
}

func (d *document) checkPolicies(names []string) error {
	for _, name := range names {
		if _, ok := d.Policies[name]; !ok && !slices.Contains(oci.BuiltInPolicies(), name) {
			return oci.Errorf(oci.CodeInvalid, "there is no policy %s; create it first, or use a built-in one (admin, read-write, read-only)", name)
		}
	}
	return nil
}

func (c Condition) check(what, revision string) error {
	if c != nil && !c(revision) {
		return oci.Errorf(oci.CodePreconditionFailed, "%s has changed since it was read; read it again", what)
	}
	return nil
}

func (u *userRecord) user(name string) User {
	return User{
		Username: name, Policies: slices.Clone(u.Policies), Enabled: u.Enabled, Description: u.Description,
		HasPassword: u.Hash != "", CredentialRevision: u.CredentialRevision, Revision: u.Revision,
		CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt,
	}
}

// NotFound is the detail of a NOT_FOUND error.
type NotFound struct {
	Kind string `json:"kind"` // "user", "policy"
	Name string `json:"name"`
}

func notFound(kind, name string) error {
	err := oci.Errorf(oci.CodeNotFound, "there is no %s %q", kind, name)
	err.Detail = NotFound{kind, name}
	return err
}
