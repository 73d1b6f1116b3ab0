package server

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/fsstore"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/s3store"
)

// store is a place that keeps images: a directory or a bucket.
type store interface {
	Blobs() storage.Blobs
	Records() storage.Records
	Check(context.Context) error // tries everything that a server does with it
	Close() error
}

// ready returns what a probe checks. A fault of this machine's disk is a reason
// to send requests elsewhere. An outage of a bucket is none: it is the same
// everywhere, and replacing all servers would not end it.
func ready(s store) func(context.Context) error {
	if disk, ok := s.(*fsstore.Store); ok {
		return disk.Check
	}
	return func(context.Context) error { return nil } // it was reached at the start
}

// driver is distribution's name for the kind of storage.
func (c StorageConfig) driver() string {
	if c.S3 != nil {
		return "s3"
	}
	return "filesystem"
}

// openStore opens the store of a configuration. Its errors say which setting
// to change.
func openStore(ctx context.Context, c StorageConfig, log *slog.Logger) (store, error) {
	return openObserved(ctx, c, log, nil)
}

// openObserved is openStore for who counts the requests to S3.
func openObserved(ctx context.Context, c StorageConfig, log *slog.Logger, observe func(context.Context, string) (context.Context, func(int))) (store, error) {
	if c.S3 == nil {
		s, err := fsstore.New(c.Filesystem.RootDirectory)
		if err != nil {
			return nil, fmt.Errorf("storage.filesystem.rootdirectory: %w", err)
		}
		return s, nil
	}
	bucket := c.S3.store(log)
	bucket.Observe = observe
	s, err := s3store.New(ctx, bucket)
	if err != nil {
		return nil, fmt.Errorf("storage.s3: %w", err)
	}
	return s, nil
}

// CheckStorage tries everything that a server does with the storage of a
// configuration. Its error is one line, which says what is missing and how to
// give it.
func CheckStorage(ctx context.Context, c *Config) error {
	s, err := openStore(ctx, c.Storage, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Check(ctx); err != nil {
		return fmt.Errorf("storage.%s: %w", c.Storage.driver(), err)
	}
	return nil
}

// Place says where the images are.
func (c StorageConfig) Place() string {
	if c.S3 != nil {
		return "the bucket " + c.S3.Bucket
	}
	return "the directory " + c.Filesystem.RootDirectory
}

// pathStyle: distribution 2.8 has the path style wherever there is an endpoint,
// distribution 3 only where it is asked for. What is written counts.
func (c *S3Config) pathStyle() bool {
	if c.ForcePathStyle != nil {
		return *c.ForcePathStyle
	}
	return c.RegionEndpoint != ""
}

// store is the configuration in the terms of s3store.
func (c *S3Config) store(log *slog.Logger) s3store.Config {
	if c.LogLevel == "" || strings.EqualFold(c.LogLevel, "off") {
		log = nil
	}
	return s3store.Config{
		Bucket: c.Bucket, Region: c.Region, RootDirectory: c.RootDirectory,
		AccessKey: string(c.AccessKey), SecretKey: string(c.SecretKey), SessionToken: string(c.SessionToken),
		RegionEndpoint: c.RegionEndpoint, RedirectEndpoint: c.RedirectEndpoint, ForcePathStyle: c.pathStyle(), Insecure: !c.Secure, SkipVerify: c.SkipVerify,
		DualStack: c.UseDualStack, FIPS: c.UseFIPSEndpoint, Accelerate: c.Accelerate,
		Encrypt: c.Encrypt, KeyID: c.KeyID, StorageClass: c.StorageClass, ObjectACL: c.ObjectACL, UserAgent: c.UserAgent,
		ChunkSize: int64(c.ChunkSize), CopyThreshold: int64(c.MultipartCopyThresholdSize),
		CopyChunkSize: int64(c.MultipartCopyChunkSize), CopyConcurrency: c.MultipartCopyMaxConcurrency,
		Log: log,
	}
}
