package client

import (
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// BasePath is where the admin API lies on a server.
const BasePath = "/api/v1"

// User is a user that the server keeps. It never holds a password or a hash.
type User struct {
	Username    string   `json:"username"`
	Policies    []string `json:"policies"` // sorted, never null
	Enabled     bool     `json:"enabled"`
	Description string   `json:"description"`
	// HasPassword says whether the user can log in with a password at all.
	HasPassword bool `json:"has_password"`
	// CredentialRevision is opaque and changes whenever the password is set,
	// also when it is set to the same one. It is empty without a password.
	CredentialRevision string `json:"credential_revision,omitempty"`
	// Revision is opaque and changes with every change of the user. It is the
	// ETag without its quotes.
	Revision  string    `json:"revision"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// UserSpec is what a user shall be. Create and update take it whole: a field
// left empty is set to empty, except the password.
type UserSpec struct {
	Username    string   `json:"username"`
	Policies    []string `json:"policies"`
	Enabled     bool     `json:"enabled"`
	Description string   `json:"description"`
	// At most one of Password and PasswordHash is set; see oci.CheckPassword and
	// oci.CheckPasswordHash for what is allowed. With neither, an update keeps
	// the password, and a new user cannot log in until it gets one.
	Password     *string `json:"password,omitempty"`
	PasswordHash *string `json:"password_hash,omitempty"`
}

// Rule allows actions ("pull", "push", "delete") on the repositories that any
// of its globs matches; see oci.Glob.
type Rule struct {
	Repositories []string `json:"repositories"`
	Actions      []string `json:"actions"`
}

// Policy is a named list of rules.
type Policy struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Rules       []Rule `json:"rules"` // never null
	// Anonymous grants the policy to callers without credentials, too.
	Anonymous bool `json:"anonymous"`
	// BuiltIn marks admin, read-write and read-only, which cannot be changed.
	BuiltIn bool `json:"built_in"`
	// Revision is as a user's; empty for a built-in policy, as are the times.
	Revision  string    `json:"revision,omitempty"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	UpdatedAt time.Time `json:"updated_at,omitzero"`
}

// PolicySpec is what a policy shall be, whole.
type PolicySpec struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Rules       []Rule `json:"rules"`
	Anonymous   bool   `json:"anonymous"`
}

// Token is a token that lets its bearer act as a user: as the password of that
// user (docker login), or as a bearer token.
type Token struct {
	ID          string `json:"id"`
	Username    string `json:"username"`
	Description string `json:"description"`
	// Access is what the token is narrowed to, within what the user may do.
	// Empty, it is all of that. It is never null.
	Access    []Rule    `json:"access"`
	CreatedBy string    `json:"created_by"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
	// Active is false once the token has expired, and since its user got another
	// password or was disabled or deleted.
	Active bool `json:"active"`
	// Token is the token itself: secret, and only in the answer to CreateToken.
	Token string `json:"token,omitempty"`
}

// TokenSpec is what a token shall be.
type TokenSpec struct {
	Username    string `json:"username"`
	Description string `json:"description"`
	ExpiresIn   int64  `json:"expires_in"`       // seconds, see oci.CheckTokenLifetime
	Access      []Rule `json:"access,omitempty"` // none: all that the user may do
}

// Access says whether somebody may do something, and why.
type Access struct {
	Username   string `json:"username"` // "" is a caller without credentials
	Repository string `json:"repository"`
	Action     string `json:"action"`
	Allowed    bool   `json:"allowed"`
	// Reason is "policy", "built_in_policy", "anonymous_policy",
	// "anonymous_pull", "htpasswd" or "open" where it is allowed, and "no_policy", "disabled" or "unknown_user"
	// where it is not. Explanation says it in a sentence.
	Reason      string `json:"reason"`
	Explanation string `json:"explanation"`
	// Policy is the first policy that allows it, and Rule its rule, the one at
	// RuleIndex. They are empty where no policy decides.
	Policy    string `json:"policy,omitempty"`
	Rule      *Rule  `json:"rule,omitempty"`
	RuleIndex *int   `json:"rule_index,omitempty"`
}

// Certificate is a certificate that was installed. It never holds the private
// key.
type Certificate struct {
	Name           string   `json:"name"`
	CertificatePEM string   `json:"certificate_pem"` // with its chain
	Fingerprint    string   `json:"fingerprint"`     // SHA-256 in hex
	Subject        string   `json:"subject"`
	Issuer         string   `json:"issuer"`
	SerialNumber   string   `json:"serial_number"` // in hex
	DNSNames       []string `json:"dns_names"`     // never null
	IPAddresses    []string `json:"ip_addresses"`  // never null
	// NotBefore and NotAfter bound the time in which it can be used.
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	// Served says whether the server that answered shows it to clients, and
	// Problem why not.
	Served  bool   `json:"served"`
	Problem string `json:"problem,omitempty"`
	// Revision is as a user's.
	Revision  string    `json:"revision"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// CertificateSpec is a certificate to install, and its private key.
type CertificateSpec struct {
	Name           string `json:"name"`
	CertificatePEM string `json:"certificate_pem"` // the server's own first, then what signed it
	PrivateKeyPEM  string `json:"private_key_pem"`
}

// Webhook is a receiver of events.
type Webhook struct {
	Name             string   `json:"name"`
	Description      string   `json:"description"`
	URL              string   `json:"url"`
	Format           string   `json:"format"`       // distribution or cloudevents
	Repositories     []string `json:"repositories"` // globs; none is all; never null
	Actions          []string `json:"actions"`      // push, pull, delete, mount
	Blobs            bool     `json:"blobs"`        // also what happens to blobs
	Enabled          bool     `json:"enabled"`
	HasSecret        bool     `json:"has_secret"`        // deliveries are signed
	HasAuthorization bool     `json:"has_authorization"` // they have an Authorization header
	// SecretRevision changes whenever one of the two does; "" without them.
	SecretRevision string `json:"secret_revision,omitempty"`
	Problem        string `json:"problem,omitempty"` // why nothing is delivered
	// Revision is as a user's.
	Revision  string    `json:"revision"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	UpdatedAt time.Time `json:"updated_at,omitzero"`
}

// WebhookSpec is what a webhook shall be. Of Secret and Authorization, nil keeps
// what is there and "" removes it; all else is replaced.
type WebhookSpec struct {
	Name          string   `json:"name"`
	Description   string   `json:"description"`
	URL           string   `json:"url"`
	Format        string   `json:"format"`
	Repositories  []string `json:"repositories"`
	Actions       []string `json:"actions"`
	Blobs         bool     `json:"blobs"`
	Enabled       bool     `json:"enabled"`
	Secret        *string  `json:"secret,omitempty"`
	Authorization *string  `json:"authorization,omitempty"`
}

// ProxyCache is a pull-through cache: repositories whose names begin with Prefix
// and a slash are fetched from another registry. It never holds the password.
type ProxyCache struct {
	Prefix      string `json:"prefix"`
	UpstreamURL string `json:"upstream_url"`
	Username    string `json:"username"` // "" for no login
	HasPassword bool   `json:"has_password"`
	// CredentialRevision is as a user's.
	CredentialRevision string `json:"credential_revision,omitempty"`
	// RevalidateAfterSeconds is after what time the upstream is asked whether a tag
	// has moved.
	RevalidateAfterSeconds int64 `json:"revalidate_after_seconds"`
	// MaxSizeBytes is to how many bytes garbage collections hold what the cache
	// keeps; 0 for no bound.
	MaxSizeBytes int64 `json:"max_size_bytes"`
	// Problem is why the upstream cannot be asked; empty if it can.
	Problem string `json:"problem,omitempty"`
	// Revision is as a user's.
	Revision  string    `json:"revision"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// ProxyCacheSpec is what a pull-through cache shall be, whole, except that
// without a Password the one that is kept stays.
type ProxyCacheSpec struct {
	Prefix                 string  `json:"prefix"`
	UpstreamURL            string  `json:"upstream_url"`
	Username               string  `json:"username"`
	Password               *string `json:"password,omitempty"`
	RevalidateAfterSeconds int64   `json:"revalidate_after_seconds"`
	MaxSizeBytes           int64   `json:"max_size_bytes,omitempty"`
}

// Replication copies what is pushed to another registry. It never holds the
// password.
type Replication struct {
	Name string `json:"name"`
	// URL is of the other registry; what follows the host begins the names of
	// repositories there.
	URL string `json:"url"`
	// Insecure lets images and the login travel in the clear.
	Insecure     bool     `json:"insecure"`
	Repositories []string `json:"repositories"` // globs; never null, and empty means all
	Tags         []string `json:"tags"`         // patterns, sorted; never null, and empty means all
	Username     string   `json:"username"`     // "" for no login
	HasPassword  bool     `json:"has_password"`
	// CredentialRevision is as a user's.
	CredentialRevision string `json:"credential_revision,omitempty"`
	Enabled            bool   `json:"enabled"`
	// Problem is why nothing can be copied; empty if it can.
	Problem string            `json:"problem,omitempty"`
	Status  ReplicationStatus `json:"status"`
	// Revision is as a user's.
	Revision  string    `json:"revision"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// ReplicationStatus is how a replication goes, as the server that answers knows
// it since its start.
type ReplicationStatus struct {
	LastSuccess *time.Time `json:"last_success,omitempty"`
	LastError   string     `json:"last_error,omitempty"` // of the last try, if it failed
	LastErrorAt *time.Time `json:"last_error_at,omitempty"`
	Waiting     int        `json:"waiting"` // pushes that the server has taken on and not copied yet
}

// ReplicationSpec is what a replication shall be, whole, except that without a
// Password the one that is kept stays.
type ReplicationSpec struct {
	Name         string   `json:"name"`
	URL          string   `json:"url"`
	Insecure     bool     `json:"insecure"`
	Repositories []string `json:"repositories"`
	Tags         []string `json:"tags"`
	Username     string   `json:"username"`
	Password     *string  `json:"password,omitempty"`
	Enabled      bool     `json:"enabled"`
}

// Repository is a repository and its settings.
type Repository struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	// AnonymousPull lets everybody pull, also without credentials.
	AnonymousPull bool `json:"anonymous_pull"`
	// ImmutableTagPatterns say which tags stay what they are; see oci.TagPattern.
	ImmutableTagPatterns []string `json:"immutable_tag_patterns"` // sorted, never null
	// Revision is as a user's. Where a push made the repository and nothing was set
	// since, it has one, too, and the times are empty.
	Revision  string    `json:"revision"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	UpdatedAt time.Time `json:"updated_at,omitzero"`
}

// RepositorySpec is what a repository shall be, whole.
type RepositorySpec struct {
	Name                 string   `json:"name"`
	Description          string   `json:"description"`
	AnonymousPull        bool     `json:"anonymous_pull"`
	ImmutableTagPatterns []string `json:"immutable_tag_patterns"`
}

// Tag is a tag of a repository. A list of tags holds only names; GetTag tells
// the rest, which describes the manifest as an OCI descriptor does.
type Tag struct {
	Name      string     `json:"name"`
	Digest    oci.Digest `json:"digest,omitzero"`
	MediaType string     `json:"media_type,omitempty"`
	Size      int64      `json:"size,omitempty"`
}

// TagSpec is where a tag is to point.
type TagSpec struct {
	Digest oci.Digest `json:"digest"`
}

// Server describes the server and what it can do.
type Server struct {
	Version     string   `json:"version"`
	APIVersions []string `json:"api_versions"`
	Storage     Storage  `json:"storage"`
	// Capabilities names what this server can do beyond the first version of
	// the API, so that a newer client need not guess.
	Capabilities   []string       `json:"capabilities"`
	PasswordPolicy PasswordPolicy `json:"password_policy"`
	// DeleteEnabled is false where the configuration forbids every delete.
	DeleteEnabled bool `json:"delete_enabled"`
	// Open says that nobody is configured who could log in, so that anyone may
	// push and pull.
	Open bool `json:"open"`
}

// Storage says where the server keeps its content.
type Storage struct {
	Driver string `json:"driver"` // "filesystem", "s3"
}

// PasswordPolicy says which passwords and hashes the server accepts.
type PasswordPolicy struct {
	MinBytes      int `json:"min_bytes"`
	MaxBytes      int `json:"max_bytes"`
	MinBcryptCost int `json:"min_bcrypt_cost"`
	MaxBcryptCost int `json:"max_bcrypt_cost"`
}

// Page is one page of a list. Next is the value of ?after= for the next page,
// and empty on the last one.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// ErrorBody is the body of every answer that is an error, here and under /v2/.
type ErrorBody struct {
	Errors []ErrorItem `json:"errors"`
}

// ErrorItem is one error of an ErrorBody.
type ErrorItem struct {
	Code    oci.Code `json:"code"`
	Message string   `json:"message"`
	Detail  any      `json:"detail,omitempty"`
}

// Missing is the detail of a NOT_FOUND error that is about an object, rather
// than about a path that this server does not serve.
type Missing struct {
	Kind string `json:"kind"` // "user", "policy", "certificate", "token", "proxy cache"
	Name string `json:"name"`
}
