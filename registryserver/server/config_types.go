package server

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"time"
)

// Config is the effective configuration of a server, converted and checked.
// Field names follow the keys of the file. Only LoadConfig makes valid ones.
type Config struct {
	Log        LogConfig
	HTTP       HTTPConfig
	Storage    StorageConfig
	Auth       AuthConfig
	Admin      AdminConfig
	Proxy      ProxyConfig
	Catalog    CatalogConfig
	Tags       TagsConfig
	Health     HealthConfig
	Validation ValidationConfig
	Redis      *RedisConfig // nil: there is none
	AWS        AWSConfig
	GC         GCConfig

	TracingEnabled bool // over OTLP, as the OTEL_ variables say
	Audit          AuditConfig
	Endpoints      []EndpointConfig // of notifications
}

// LogConfig says what is logged, and how.
type LogConfig struct {
	Level             slog.Level
	Formatter         string         // text, json or logstash
	Fields            map[string]any // added to every line
	ReportCaller      bool
	AccessLogDisabled bool
}

// HTTPConfig is the listener of the registry and what it tells clients about itself.
type HTTPConfig struct {
	Net             string // tcp or unix
	Addr            string // host:port, or the path of the socket
	Prefix          string // "" or "/path/"
	Host            *url.URL
	Secret          Secret         // "": one is kept in the storage
	PreviousSecrets []Secret       // accepted, never used for anything new
	RelativeURLs    *bool          // nil: relative unless Host is set
	TrustedProxies  []netip.Prefix // whose X-Forwarded-For and X-Forwarded-Proto count
	MaxConnections  int            // at a time; 0 is no limit
	DrainWait       time.Duration  // not ready, but still serving, before connections are refused
	DrainTimeout    time.Duration
	Timeouts        TimeoutsConfig
	TLS             *TLSConfig // nil: plain HTTP
	Headers         http.Header
	Debug           DebugConfig
	HTTP2Disabled   bool
	H2CEnabled      bool
	TokenDisabled   bool // no /token: clients are asked for a password
}

// TimeoutsConfig bounds what a client that sends nothing can hold; 0 is no limit.
type TimeoutsConfig struct {
	Header time.Duration // from the first byte of a request to the end of its header
	Idle   time.Duration // between two requests of a connection
	Body   time.Duration // between two pieces of a request's body
}

// TLSConfig is how the listener serves HTTPS.
type TLSConfig struct {
	Certificate  string
	Key          string
	MinVersion   uint16
	CipherSuites []uint16 // nil: Go's own choice
	ClientCAs    []string
	ClientAuth   tls.ClientAuthType // NoClientCert exactly when there are no ClientCAs
	LetsEncrypt  LetsEncryptConfig  // without Hosts there is none
	Managed      bool               // TLS also where all certificates come through the admin API
}

// LetsEncryptConfig is how certificates are got over ACME.
type LetsEncryptConfig struct {
	Email        string
	Hosts        []string
	DirectoryURL string // "": Let's Encrypt
}

// DebugConfig is the separate listener of metrics and debug pages; "" is none.
type DebugConfig struct {
	Addr       string
	Prometheus PrometheusConfig
}

// PrometheusConfig switches the metrics page on.
type PrometheusConfig struct {
	Enabled bool
	Path    string
}

// StorageConfig is where images are kept and what may be done to them.
type StorageConfig struct {
	Filesystem       FilesystemConfig // the zero value where S3 is set
	S3               *S3Config        // nil: in the directory of Filesystem
	Delete           *bool            // nil: unset, the server decides
	RedirectDisabled bool
	RedirectExpiry   time.Duration // of the URLs that clients are sent to
	Cache            CacheConfig
	UploadPurging    UploadPurgingConfig
	ReadOnly         bool
	TagConcurrency   int // 0: as many as there are processors
}

// FilesystemConfig is storage in a directory.
type FilesystemConfig struct {
	RootDirectory string
	MaxThreads    int // file operations at a time
}

// S3Config is storage in a bucket. The fields are the parameters of
// distribution's driver.
type S3Config struct {
	AccessKey, SecretKey, SessionToken Secret // "": the AWS SDK finds some

	Bucket, Region, RegionEndpoint string
	RedirectEndpoint               string // of the URLs for clients, if they know the bucket by another name
	RootDirectory                  string // before every key
	ForcePathStyle                 *bool  // nil: where there is a RegionEndpoint
	Secure                         bool   // https where RegionEndpoint does not say
	SkipVerify                     bool
	V4Auth                         bool // never false
	UseDualStack                   bool
	UseFIPSEndpoint                bool
	Accelerate                     bool

	Encrypt      bool
	KeyID        string
	StorageClass string
	ObjectACL    string
	UserAgent    string
	LogLevel     string // "" and off: the SDK's retries are not logged

	ChunkSize                   int // bytes, like the others; 0 is the default of s3store
	MultipartCopyChunkSize      int
	MultipartCopyMaxConcurrency int
	MultipartCopyThresholdSize  int
}

// CacheConfig is the cache of blob descriptors.
type CacheConfig struct {
	BlobDescriptor string        // "" (none) or inmemory
	Size           int           // entries; 0 is no limit
	Lifetime       time.Duration // of what a bucket was seen to have; 0 asks each time
}

// UploadPurgingConfig says when abandoned uploads are removed.
type UploadPurgingConfig struct {
	Enabled  bool
	Age      time.Duration
	Interval time.Duration
	DryRun   bool
}

// AuthConfig is who authenticates users beside the server's own ones. At most
// one of its fields is set. None says that the operator wants no
// authentication, which silences the warning about an open registry.
type AuthConfig struct {
	None     bool
	HTPasswd *HTPasswdConfig
	Token    *TokenConfig
}

// HTPasswdConfig is authentication by an htpasswd file.
type HTPasswdConfig struct {
	Realm string
	Path  string
}

// TokenConfig is authentication by tokens of an external issuer.
type TokenConfig struct {
	Realm             string
	Service           string
	Issuer            string
	RootCertBundle    string // RootCertBundle or JWKS is set, or both
	JWKS              string
	AutoRedirect      bool
	AutoRedirectPath  string
	SigningAlgorithms []string // never empty, never a symmetric one
}

// AdminConfig is the first admin. Without a password there is none.
type AdminConfig struct {
	Username     string
	Password     Secret
	PasswordFile string // exclusive with Password
}

// CatalogConfig limits /v2/_catalog.
type CatalogConfig struct{ MaxEntries int }

// TagsConfig limits /v2/<name>/tags/list.
type TagsConfig struct{ MaxTags int }

// HealthConfig is what is watched while the server runs.
type HealthConfig struct{ StorageDriver StorageHealthConfig }

// StorageHealthConfig is the periodic check of the storage.
type StorageHealthConfig struct {
	Enabled   bool
	Interval  time.Duration
	Threshold int // failures in a row; 0 is 1
}

// ValidationConfig is what a pushed manifest is held against.
type ValidationConfig struct {
	Disabled bool
	URLs     URLsConfig
	Indexes  IndexesConfig
}

// URLsConfig limits the URLs of foreign layers. With neither list, all are allowed.
type URLsConfig struct {
	Allow []*regexp.Regexp // one must match, if there are any
	Deny  []*regexp.Regexp // none may match
}

// IndexesConfig says which images of a pushed index must exist.
type IndexesConfig struct {
	Platforms    string // all, none or list
	PlatformList []Platform
}

// Platform is a platform whose images must exist when Platforms is list.
type Platform struct {
	Architecture string
	OS           string
}

// secretMask stands for a secret wherever one would be shown.
const secretMask = "***"

// Secret is text that no log, error or printed configuration may hold: however
// it is formatted it shows as "***". Where the secret itself is needed, write
// string(s).
type Secret string

// String returns "***", or "" if there is no secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return secretMask
}

// GoString is String, for %#v.
func (s Secret) GoString() string { return s.String() }

// LogValue is String, for log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is String, for JSON and others.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
