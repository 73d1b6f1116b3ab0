package auth

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

const (
	tokensFolder  = storage.KitRoot + "/tokens/"
	maxTokenReads = 16 // records that a page of the list reads at once
)

// tokenRecord is the record of a token, in JSON (docs/storage-format.md).
type tokenRecord struct {
	Version     int          `json:"version"`
	Username    string       `json:"username"`
	Generation  string       `json:"generation"` // of the user
	Description string       `json:"description,omitempty"`
	Access      []ruleRecord `json:"access,omitempty"`
	SecretHash  []byte       `json:"secret_sha256"`
	CreatedBy   string       `json:"created_by"`
	CreatedAt   time.Time    `json:"created_at"`
	ExpiresAt   time.Time    `json:"expires_at"`

	limit *grants // of Access; nil: not narrowed
}

// Token is a token that was issued. It never holds the secret.
type Token struct {
	ID          string
	Username    string
	Description string
	Access      []oci.Rule // what it is narrowed to; none: everything that the user may do
	CreatedBy   string
	CreatedAt   time.Time
	ExpiresAt   time.Time
	// Active is false once it has expired, or since the user was disabled or
	// deleted or got another password.
	Active bool
}

// TokenSpec is what a token shall be.
type TokenSpec struct {
	Username    string
	Description string
	Lifetime    time.Duration
	Access      []oci.Rule // none: everything that the user may do
	CreatedBy   string     // who asks for it
}

// Issue makes a token and returns it with its secret form, which is nowhere
// else. INVALID: the spec breaks a rule, or there is no such user. CONFLICT: the
// user is disabled.
func (t *IssuedTokens) Issue(ctx context.Context, spec TokenSpec) (Token, string, error) {
	if err := spec.check(); err != nil {
		return Token{}, "", err
	}
	doc, err := t.directory.fresh(ctx)
	if err != nil {
		return Token{}, "", err
	}
	u, ok := doc.Users[spec.Username]
	switch {
	case !ok:
		return Token{}, "", oci.Errorf(oci.CodeInvalid, "there is no user %s; tokens are for users that the server keeps", spec.Username)
	case !u.Enabled:
		return Token{}, "", oci.Errorf(oci.CodeConflict, "the user %s is disabled; enable it first", spec.Username)
	}
	now := t.now().UTC().Truncate(time.Second)
	record := &tokenRecord{
		Version: 1, Username: spec.Username, Generation: u.generation(), Description: spec.Description,
		Access: ruleRecords(spec.Access), CreatedBy: spec.CreatedBy, CreatedAt: now, ExpiresAt: now.Add(spec.Lifetime),
	}
	text, err := newTokenText(record.ExpiresAt)
	if err != nil {
		return Token{}, "", err
	}
	hash := sha256.Sum256([]byte(text.secret))
	record.SecretHash = hash[:]
	value, err := json.Marshal(record)
	if err != nil {
		return Token{}, "", err
	}
	if len(value) > maxPolicySize {
		return Token{}, "", oci.Errorf(oci.CodeInvalid, "what the token is narrowed to takes more than %d bytes; use fewer or wider globs", maxPolicySize)
	}
	if _, err := t.records.Put(ctx, tokensFolder+text.id, value, storage.Absent); err != nil {
		return Token{}, "", tokensUnavailable(ctx, fmt.Errorf("write a token: %w", err))
	}
	t.log.InfoContext(ctx, "token issued", "token", text.id, "user", record.Username, "by", record.CreatedBy, "expires", record.ExpiresAt, "narrowed", len(record.Access) > 0)
	issued, err := t.token(text.id, record)
	return issued, text.String(), err
}

func (s TokenSpec) check() error {
	if _, err := oci.ParseUsername(s.Username); err != nil {
		return err
	}
	if err := oci.CheckDescription(s.Description); err != nil {
		return err
	}
	if len(s.Access) > oci.MaxRules {
		return oci.Errorf(oci.CodeInvalid, "the token is narrowed to %d rules; at most %d are allowed", len(s.Access), oci.MaxRules)
	}
	return oci.CheckTokenLifetime(s.Lifetime)
}

// Token returns a token. NOT_FOUND.
func (t *IssuedTokens) Token(ctx context.Context, id string) (Token, error) {
	record, err := t.read(ctx, id)
	switch {
	case err != nil:
		return Token{}, err
	case record == nil:
		return Token{}, notFound("token", id)
	}
	return t.token(id, record)
}

// Tokens returns a page of tokens whose ids come after one, in the order in
// which they expire, and where the next page begins after; "" on the last one.
func (t *IssuedTokens) Tokens(ctx context.Context, after string, limit int) (tokens []Token, next string, err error) {
	var ids []string
	if after != "" {
		after = tokensFolder + after
	}
	for key, err := range t.records.List(ctx, tokensFolder, after) {
		if err != nil {
			return nil, "", tokensUnavailable(ctx, fmt.Errorf("list tokens: %w", err))
		}
		if len(ids) == limit {
			next = ids[limit-1]
			break
		}
		ids = append(ids, strings.TrimPrefix(key, tokensFolder))
	}
	found := make([]*Token, len(ids))
	group, readCtx := errgroup.WithContext(ctx)
	group.SetLimit(maxTokenReads)
	for i, id := range ids {
		group.Go(func() error {
			token, err := t.Token(readCtx, id)
			if oci.ErrorCode(err) == oci.CodeNotFound {
				return nil // it went meanwhile
			}
			found[i] = &token
			return err
		})
	}
	err = group.Wait()
	for _, token := range found {
		if err == nil && token != nil {
			tokens = append(tokens, *token)
		}
	}
	return tokens, next, err
}

// Revoke ends a token: at once here, and on other servers within Poll.
// NOT_FOUND.
func (t *IssuedTokens) Revoke(ctx context.Context, id string) error {
	record, err := t.read(ctx, id)
	switch {
	case err != nil:
		return err
	case record == nil:
		return notFound("token", id)
	}
	err = t.records.Delete(ctx, tokensFolder+id, storage.Any)
	t.Forget()
	t.changed(ctx)
	if err != nil {
		return tokensUnavailable(ctx, fmt.Errorf("delete a token: %w", err))
	}
	t.log.InfoContext(ctx, "token revoked", "token", id, "user", record.Username)
	return nil
}

// read reads the record of a token; nil is none.
func (t *IssuedTokens) read(ctx context.Context, id string) (*tokenRecord, error) {
	if _, ok := tokenExpiry(id); !ok {
		return nil, nil
	}
	rec, err := t.records.Get(ctx, tokensFolder+id)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, tokensUnavailable(ctx, fmt.Errorf("read a token: %w", err))
	}
	return parseTokenRecord(rec.Value)
}

func parseTokenRecord(value []byte) (*tokenRecord, error) {
	r := new(tokenRecord)
	if err := json.Unmarshal(value, r); err != nil || r.Version != 1 || len(r.SecretHash) != sha256.Size || r.Username == "" || r.Generation == "" {
		return nil, errors.New("the record of a token is damaged, or was written by a newer server")
	}
	rules, err := (&policyRecord{Rules: r.Access}).parse()
	if err != nil {
		return nil, fmt.Errorf("the record of a token: %w", err)
	}
	if len(rules) > 0 {
		r.limit = new(grants)
		r.limit.add(rules...)
	}
	return r, nil
}

// token is what may be shown of a record.
func (t *IssuedTokens) token(id string, r *tokenRecord) (Token, error) {
	rules, err := (&policyRecord{Rules: r.Access}).parse()
	a := t.directory.account(r.Username)
	return Token{
		ID: id, Username: r.Username, Description: r.Description, Access: rules, CreatedBy: r.CreatedBy,
		CreatedAt: r.CreatedAt, ExpiresAt: r.ExpiresAt,
		Active: t.now().Before(r.ExpiresAt) && a != nil && a.enabled && a.identity.generation == r.Generation,
	}, err
}

func ruleRecords(rules []oci.Rule) []ruleRecord {
	var records []ruleRecord
	for _, r := range rules {
		record := ruleRecord{Actions: slices.Clone(r.Actions)}
		for _, g := range r.Repositories {
			record.Repositories = append(record.Repositories, g.String())
		}
		records = append(records, record)
	}
	return records
}

func tokensUnavailable(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, storage.ErrUnavailable) {
		return err
	}
	return &oci.Error{Code: oci.CodeUnavailable, Message: "tokens cannot be reached in the storage now; try again", Err: err}
}
