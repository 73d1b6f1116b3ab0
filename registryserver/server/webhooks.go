package server

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"github.com/registrykit/terraform-provider-registry/registryserver/events"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// maxEventText bounds what a client chooses of an event.
const maxEventText = 512

// openWebhooks opens the receivers of events, and makes what delivers to them.
func (s *Server) openWebhooks(ctx context.Context, records storage.Records) error {
	keys, err := s.configuredKeys()
	if err != nil {
		return err
	}
	c := events.StoreConfig{Records: records, Keys: keys, Log: s.log, Changed: s.announce(changedWebhooks)}
	for _, e := range s.config.Endpoints {
		c.Endpoints = append(c.Endpoints, e.endpoint())
	}
	s.webhooks, err = events.OpenStore(ctx, c)
	if err != nil {
		return fmt.Errorf("webhooks: %w", err)
	}
	name, err := os.Hostname()
	if err != nil {
		name = s.config.HTTP.Addr
	}
	s.notifier = events.New(events.Config{
		Webhooks: s.webhooks, Replications: s.replications, Records: records, Server: name, UserAgent: "registryserver/" + s.version,
		ReadOnly: s.config.Storage.ReadOnly, Log: s.log,
	})
	s.metrics.registry.MustRegister(s.notifier)
	s.tasks = append(s.tasks,
		func(ctx context.Context) error { s.webhooks.Run(ctx); return nil },
		// The tasks end when requests have: nothing happens any more that is to be told.
		func(ctx context.Context) error { s.notifier.Run(ctx); return nil })
	return nil
}

// notify tells the receivers of events what a request did.
func (s *Server) notify(r *http.Request, e events.Event) {
	ctx := r.Context()
	if c, ok := ctx.Value(callerKey{}).(*caller); ok {
		e.User = c.user
	}
	e.Request, _ = ctx.Value(requestIDKey{}).(string)
	e.Client, e.Method, e.Host, e.UserAgent = s.clientAddr(r), r.Method, clip(r.Host), clip(r.UserAgent())
	s.notifier.Notify(ctx, e)
}

func clip(text string) string { return text[:min(len(text), maxEventText)] }
