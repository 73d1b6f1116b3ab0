package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/rediscache"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
)

// The words that servers send one another over Redis.
const (
	changedUsers        = "users"
	changedTokens       = "tokens"
	changedCertificates = "certificates"
	changedWebhooks     = "webhooks"
	changedReplications = "replications"
	changedEpoch        = "epoch"
	changedProxies      = "proxies"
)

// openRedis opens the Redis that is configured, if one is. It is not waited for:
// without it all works, more slowly.
func (s *Server) openRedis(keys *auth.Keyring) error {
	if s.config.Redis == nil {
		return nil
	}
	options, err := s.config.Redis.options()
	if err != nil {
		return err
	}
	s.redis = rediscache.New(rediscache.Config{Options: options, Keys: keys, Place: s.config.Storage.place(), Log: s.log})
	s.closers = append(s.closers, s.redis.Close)
	return nil
}

// place is another for each storage, as far as the configuration tells.
func (c StorageConfig) place() string {
	parts := []string{c.driver(), c.Filesystem.RootDirectory}
	if c.S3 != nil {
		parts = append(parts, c.S3.RegionEndpoint, c.S3.Bucket, strings.Trim(c.S3.RootDirectory, "/"))
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:8])
}

// announce returns what tells other servers of a change; nil without Redis.
func (s *Server) announce(what string) func(context.Context) {
	if s.redis == nil {
		return nil
	}
	return func(ctx context.Context) { s.redis.Announce(ctx, what) }
}

// sharing adds the Redis to what the registry can do without.
func (s *Server) sharing(o registry.Options) registry.Options {
	if s.redis != nil {
		o.Shared, o.Deleted = s.redis, s.announce(changedEpoch)
	}
	return o
}

// followRedis does at once what otherwise waits for the next look at the storage.
func (s *Server) followRedis(users *auth.Directory, images *registry.Registry) {
	if s.redis == nil {
		return
	}
	heard := func(ctx context.Context, what string) {
		var err error
		switch what {
		case changedUsers:
			err = users.Refresh(ctx)
		case changedTokens:
			s.issued.Forget()
		case changedCertificates:
			err = s.installed.Refresh(ctx)
		case changedWebhooks:
			err = s.webhooks.Refresh(ctx)
		case changedReplications:
			err = s.replications.Refresh(ctx)
		case changedProxies:
			err = s.proxies.Refresh(ctx)
		case changedEpoch:
			err = images.Look(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Warn("what another server changed could not be read", "what", what, "error", err)
		}
	}
	s.tasks = append(s.tasks, func(ctx context.Context) error {
		if err := s.redis.Run(ctx, []string{changedUsers, changedTokens, changedCertificates, changedWebhooks, changedReplications, changedEpoch, changedProxies}, heard); err != nil {
			return fmt.Errorf("redis: %w", err)
		}
		return nil
	})
}
