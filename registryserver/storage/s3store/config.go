package s3store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Config says which bucket to use, and how. Its zero values are defaults; a
// bucket and a region are needed. Fields are named after the parameters of
// distribution's driver.
type Config struct {
	Bucket        string
	Region        string
	RootDirectory string // before every key

	// AccessKey and SecretKey, perhaps with a SessionToken, are static
	// credentials. Without them the AWS SDK finds some: variables, shared
	// configuration, web identity, the role of a container or an instance.
	AccessKey, SecretKey, SessionToken string

	RegionEndpoint string // of a server that is not AWS: a URL, or host:port
	ForcePathStyle bool

	// RedirectEndpoint is the scheme and host of the URLs that are signed for
	// clients, where they know the bucket by another name.
	RedirectEndpoint string

	Insecure   bool // http, where RegionEndpoint does not say
	SkipVerify bool // accept any certificate
	DualStack  bool
	FIPS       bool
	Accelerate bool

	Encrypt      bool   // at rest, by the bucket's key
	KeyID        string // or by this key of KMS, if Encrypt
	StorageClass string // "", STANDARD and NONE: the bucket's default
	ObjectACL    string // "" and private: none is sent
	UserAgent    string // added to the SDK's own

	ChunkSize int64 // of the parts of an upload; the default is 10 MiB

	// A blob larger than CopyThreshold (1 GiB by default) is copied in ranges of
	// CopyChunkSize (32 MiB), CopyConcurrency (100) at a time.
	CopyThreshold, CopyChunkSize int64
	CopyConcurrency              int

	// Memory bounds the buffers of all uploads together; the default is 64 MiB.
	Memory int64

	// Patience is how long an operation may take with all that is tried again,
	// beside the time that its bytes take; the default is 20 s.
	Patience time.Duration

	// Observe is told of each request that is sent, repetitions included: of the
	// operation of S3, and then of the status of the answer, 0 if none came. The
	// request gets the context that it returns. It is called from many goroutines.
	// nil for nobody.
	Observe func(ctx context.Context, operation string) (context.Context, func(status int))

	// Log gets what the SDK says about requests; nil for nothing.
	Log *slog.Logger
}

// S3's own limits.
const (
	minPartSize     = 5 << 20 // of all parts but the last
	maxPartSize     = 5 << 30
	maxParts        = 10_000
	maxCopySize     = 5 << 30 // in one request
	maxKeyLength    = 1024
	maxRootLength   = 120 // what is left beside storage.MaxKeyLength
	defaultRegionIn = "us-east-1"
)

func (c Config) withDefaults() Config {
	def := func(v *int64, to int64) {
		if *v == 0 {
			*v = to
		}
	}
	def(&c.ChunkSize, 10<<20)
	def(&c.CopyThreshold, 1<<30)
	def(&c.CopyChunkSize, 32<<20)
	def(&c.Memory, 64<<20)
	if c.CopyConcurrency == 0 {
		c.CopyConcurrency = 100
	}
	if c.Patience == 0 {
		c.Patience = operationTime
	}
	if c.Observe == nil {
		c.Observe = func(ctx context.Context, _ string) (context.Context, func(int)) { return ctx, func(int) {} }
	}
	c.Memory = max(c.Memory, 2*c.ChunkSize+2*blockSize)
	c.CopyThreshold = min(c.CopyThreshold, maxCopySize)
	if c.Region == "" && c.RegionEndpoint != "" {
		c.Region = defaultRegionIn // what servers that are not AWS expect
	}
	return c
}

func (c Config) check() error {
	switch {
	case c.Bucket == "":
		return errors.New("storage.s3.bucket is not set: name the bucket (REGISTRY_STORAGE_S3_BUCKET)")
	case c.Region == "":
		return errors.New("storage.s3.region is not set: name the region of the bucket, such as eu-central-1 (REGISTRY_STORAGE_S3_REGION)")
	case (c.AccessKey == "") != (c.SecretKey == ""):
		return errors.New("storage.s3.accesskey and storage.s3.secretkey go together: set both (REGISTRY_STORAGE_S3_ACCESSKEY, REGISTRY_STORAGE_S3_SECRETKEY), or neither for the role of the machine")
	case c.ChunkSize < minPartSize || c.ChunkSize > maxPartSize:
		return fmt.Errorf("storage.s3.chunksize is %d: S3 takes parts of 5 MiB (%d) to 5 GiB", c.ChunkSize, minPartSize)
	case c.CopyChunkSize < minPartSize || c.CopyChunkSize > maxPartSize:
		return fmt.Errorf("storage.s3.multipartcopychunksize is %d: S3 takes parts of 5 MiB (%d) to 5 GiB", c.CopyChunkSize, minPartSize)
	case len(c.RootDirectory) > maxRootLength:
		return fmt.Errorf("storage.s3.rootdirectory has %d bytes: at most %d leave room for the keys below it", len(c.RootDirectory), maxRootLength)
	case c.CopyConcurrency < 0 || c.CopyThreshold < 0 || c.Memory < 0:
		return errors.New("storage.s3.multipartcopymaxconcurrency and multipartcopythresholdsize must not be negative")
	}
	return nil
}

// endpoint is the URL of a server that is not AWS.
func (c Config) endpoint() string {
	if c.RegionEndpoint == "" || strings.Contains(c.RegionEndpoint, "://") {
		return c.RegionEndpoint
	}
	if c.Insecure {
		return "http://" + c.RegionEndpoint
	}
	return "https://" + c.RegionEndpoint
}
