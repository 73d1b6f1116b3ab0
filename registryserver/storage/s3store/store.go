// Package s3store keeps blobs and records in an S3 bucket, in the layout of CNCF
// distribution, so that either can serve what the other wrote. Any number of
// processes may use one bucket at once: what is compared and swapped is compared
// and swapped by the bucket, through conditional writes.
// docs/storage-format.md specifies every key.
package s3store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// The folders that are neither blobs nor records; listings do not show them.
const (
	uploadsDir = storage.KitRoot + "/uploads"
	probesDir  = storage.KitRoot + "/probes"
)

// rememberedEnds bounds the uploads that this process remembers to have ended
// itself. Others learn of it from the bucket.
const rememberedEnds = 4096

// Store is a bucket with both halves of a store: Blobs and Records.
type Store struct {
	api      *s3.Client
	config   Config
	bucket   *string
	prefix   string // "" or "…/"
	memory   *budget
	redirect *url.URL                     // of the URLs for clients; nil: the bucket's own
	signer   *s3.PresignClient            // of those URLs
	ended    *lru.Cache[string, struct{}] // ids of uploads
	clock    storeClock
}

// New opens the store in a bucket. It tries whether the bucket is there, may be
// written to, and honours conditional writes; its errors say which setting to
// change if not.
func New(ctx context.Context, c Config) (*Store, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	api, err := newClient(ctx, c)
	if err != nil {
		return nil, err
	}
	s := &Store{api: api, config: c, bucket: aws.String(c.Bucket), memory: newBudget(c.Memory)}
	if root := strings.Trim(c.RootDirectory, "/"); root != "" {
		s.prefix = root + "/"
	}
	if s.redirect, err = parseRedirect(c.RedirectEndpoint); err != nil {
		return nil, err
	}
	if s.ended, err = lru.New[string, struct{}](rememberedEnds); err != nil {
		return nil, err
	}
	if err := s.probe(ctx); err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", c.Bucket, explain(c, err))
	}
	// From here on somebody waits for an answer.
	s.api = s3.New(api.Options(), func(o *s3.Options) {
		o.Retryer = retryer()
		o.APIOptions = append(slices.Clone(o.APIOptions), c.limitPatience, s.noteAnswers)
	})
	// One for all URLs: making one is not safe while the client is used.
	s.signer = s3.NewPresignClient(s.api, s.redirectTo)
	return s, nil
}

// Blobs returns the half that keeps content.
func (s *Store) Blobs() storage.Blobs { return blobs{s} }

// Records returns the half that keeps records.
func (s *Store) Records() storage.Records { return records{s} }

// Buffers returns how much memory uploads use for their parts, and how much
// they may.
func (s *Store) Buffers() (used, limit int64) { return s.memory.used.Load(), s.config.Memory }

// Close lets go of connections that nobody uses.
func (s *Store) Close() error {
	if c, ok := s.api.Options().HTTPClient.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
	return nil
}

// key is the name of an object for a key of the layout.
func (s *Store) key(key string) *string { return aws.String(s.prefix + key) }

// reserved reports whether a key lies in a folder of the store's own, which
// holds no records.
func reserved(key string) bool {
	for _, dir := range reservedDirs() {
		if rest, ok := strings.CutPrefix(key, dir); ok && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}

func reservedDirs() []string { return []string{uploadsDir, probesDir} }

// notCancelled is the error of a context that has ended: the client's own would
// not always be it.
func notCancelled(ctx context.Context, err error) error {
	if ctxErr := ctx.Err(); ctxErr != nil && !errors.Is(err, ctxErr) {
		return errors.Join(ctxErr, err)
	}
	return err
}
