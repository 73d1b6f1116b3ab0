package server

import (
	"context"
	"fmt"

	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
	"github.com/registrykit/terraform-provider-registry/registryserver/replication"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// openReplications opens the rules by which images are copied to other
// registries. What is to be copied waits in the queue of events.
func (s *Server) openReplications(ctx context.Context, records storage.Records, images *registry.Registry) error {
	keys, err := s.configuredKeys()
	if err != nil {
		return err
	}
	rules, err := replication.OpenStore(ctx, replication.StoreConfig{
		Records: records, Keys: keys, Log: s.log, ReadOnly: s.config.Storage.ReadOnly, Changed: s.announce(changedReplications),
	})
	if err != nil {
		return fmt.Errorf("replications: %w", err)
	}
	s.replications = &replication.Replicator{Store: rules, Registry: images, UserAgent: "registryserver/" + s.version}
	s.tasks = append(s.tasks, func(ctx context.Context) error { rules.Run(ctx); return nil })
	return nil
}
