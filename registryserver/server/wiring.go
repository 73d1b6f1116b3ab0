package server

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// openTracing turns traces on.
func (s *Server) openTracing(ctx context.Context) (err error) {
	if !s.config.TracingEnabled {
		return nil
	}
	if s.tracing, err = newTracing(ctx, s.version, s.log); err != nil {
		return err
	}
	s.closers = append(s.closers, func() error {
		// The collector may be gone; nobody waits for it for long.
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return s.tracing.close(ctx)
	})
	return nil
}

// watchS3 counts and traces the requests to S3.
func (s *Server) watchS3(ctx context.Context, operation string) (context.Context, func(status int)) {
	ctx, traced := s.tracing.s3Request(ctx, operation)
	return ctx, func(status int) {
		s.metrics.s3.observe(operation, status)
		traced(status)
	}
}

// keyring returns the keys that seal upload sessions: those configured, or one
// that is kept in the storage.
func (s *Server) keyring(ctx context.Context, records storage.Records) (*auth.Keyring, error) {
	current := string(s.config.HTTP.Secret)
	var before []string
	if current == "" {
		var err error
		if current, err = auth.LoadOrCreateSecret(ctx, records); err != nil {
			return nil, err
		}
	} else if stored, err := auth.LoadSecret(ctx, records); err == nil && stored != "" {
		// Pushes may be under way that began before a secret was configured.
		before = append(before, stored)
	}
	keys, err := s.newKeyring(current, before...)
	if err == nil && s.leavesSecretCheck() {
		s.compareSecrets(ctx, keys, records)
	}
	return keys, err
}

// leavesSecretCheck reports whether there may be other servers to compare
// secrets with.
func (s *Server) leavesSecretCheck() bool {
	return s.config.Storage.S3 != nil && !s.config.Storage.ReadOnly
}

// compareSecrets warns of a secret that others on the same bucket do not have.
func (s *Server) compareSecrets(ctx context.Context, keys *auth.Keyring, records storage.Records) {
	agree, err := keys.CheckShared(ctx, records)
	switch {
	case err != nil:
		s.log.Warn("whether http.secret is that of the other servers on this bucket could not be found out", "error", err)
	case !agree:
		s.log.Warn("http.secret (REGISTRY_HTTP_SECRET) is not that of the server that started last on this bucket: pushes that come to both will fail, and neither reads private keys that the other stored. Give all servers the same http.secret, or none; to change it, let each accept the other's with http.previoussecrets first. If all servers were stopped to change it, only pushes that were under way are lost")
	}
}

// newKeyring returns the keys of a secret and of the configured previous ones.
func (s *Server) newKeyring(current string, previous ...string) (*auth.Keyring, error) {
	for _, secret := range s.config.HTTP.PreviousSecrets {
		previous = append(previous, string(secret))
	}
	keys, err := auth.NewKeyring(current, previous...)
	s.keyrings = append(s.keyrings, keys)
	return keys, err
}

// users opens the directory of users, makes the configured admin, and sets the
// gate.
func (s *Server) users(ctx context.Context, records storage.Records, images *registry.Registry, keys *auth.Keyring) (*auth.Directory, error) {
	directory, err := auth.OpenDirectory(ctx, auth.DirectoryConfig{Records: records, Log: s.log, Changed: s.announce(changedUsers)})
	if err != nil {
		return nil, err
	}
	s.tasks = append(s.tasks, func(ctx context.Context) error { directory.Run(ctx); return nil })

	s.issued, err = auth.OpenIssuedTokens(auth.IssuedConfig{Records: records, Directory: directory, Log: s.log, Changed: s.announce(changedTokens)})
	if err != nil {
		return nil, err
	}
	if !s.config.Storage.ReadOnly {
		s.tasks = append(s.tasks, func(ctx context.Context) error { s.issued.Run(ctx); return nil })
	}

	gate := auth.Config{Directory: directory, Issued: s.issued, AnonymousPull: images.AnonymousPull, Log: s.log, ClientAddr: s.clientAddr, Admitted: setCaller}
	if gate.Scoped, err = s.scopedTokens(keys); err != nil {
		return nil, err
	}
	admin := s.config.Admin
	password := string(admin.Password)
	if admin.PasswordFile != "" {
		if password, err = readSecretFile(admin.PasswordFile); err != nil {
			return nil, fmt.Errorf("admin.passwordfile: %w", err)
		}
	}
	if password != "" {
		if err := directory.EnsureAdmin(ctx, admin.Username, password); err != nil {
			return nil, err
		}
		gate.LoginRequired = true
	}
	if c := s.config.Auth.HTPasswd; c != nil {
		gate.Realm = c.Realm
		if gate.HTPasswd, err = auth.OpenHTPasswd(c.Path, s.log, time.Now); err != nil {
			return nil, fmt.Errorf("auth.htpasswd.path: %w", err)
		}
	}
	if c := s.config.Auth.Token; c != nil {
		gate.Tokens, err = auth.OpenTokens(auth.TokenConfig{
			Realm: c.Realm, Service: c.Service, Issuer: c.Issuer, RootCertBundle: c.RootCertBundle, JWKS: c.JWKS,
			SigningAlgorithms: c.SigningAlgorithms, AutoRedirect: c.AutoRedirect, AutoRedirectPath: c.AutoRedirectPath,
		})
		if err != nil {
			return nil, fmt.Errorf("auth.token: %w", err)
		}
	}
	if s.gate, err = auth.NewGate(gate); err != nil {
		return nil, err
	}
	s.metrics.watchLogins(s.gate.Stats)
	return directory, nil
}

// registryOptions is what the registry is to do. On a disk nothing is
// remembered: looking is as fast.
func registryOptions(c *Config, log *slog.Logger) registry.Options {
	o := registry.Options{Validation: validation(c.Validation), Log: log}
	if c.Storage.S3 != nil {
		o.Remember = c.Storage.Cache.Lifetime
	}
	return o
}

// validation converts the rules for pushed manifests.
func validation(c ValidationConfig) registry.Validation {
	v := registry.Validation{Off: c.Disabled, AllowURLs: c.URLs.Allow, DenyURLs: c.URLs.Deny}
	switch c.Indexes.Platforms {
	case "none":
		v.Platforms = registry.PlatformsNone
	case "list":
		v.Platforms = registry.PlatformsListed
		for _, p := range c.Indexes.PlatformList {
			v.PlatformList = append(v.PlatformList, p.OS+"/"+p.Architecture)
		}
		slices.Sort(v.PlatformList)
	}
	return v
}

// sweepUploads removes uploads that were abandoned, now and at each interval.
func (s *Server) sweepUploads(blobs storage.Blobs) {
	c := s.config.Storage.UploadPurging
	if !c.Enabled || s.config.Storage.ReadOnly {
		return
	}
	if c.DryRun {
		s.log.Warn("storage.maintenance.uploadpurging.dryrun is on: abandoned uploads are kept")
		return
	}
	s.tasks = append(s.tasks, func(ctx context.Context) error {
		for {
			swept, err := blobs.SweepUploads(ctx, time.Now().Add(-c.Age))
			switch {
			case ctx.Err() != nil:
			case err != nil:
				s.log.Error("abandoned uploads could not be swept", "error", err)
			case swept > 0:
				s.log.Info("abandoned uploads swept", "uploads", swept)
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(c.Interval):
			}
		}
	})
}
