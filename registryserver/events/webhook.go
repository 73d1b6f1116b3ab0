package events

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// maxWebhooks bounds the record that has them all.
const maxWebhooks = 50

// Webhook is a receiver of events as the admin API shows it. It never holds a
// secret.
type Webhook struct {
	Name         string
	Description  string
	URL          string
	Format       Format
	Repositories []oci.Glob
	Actions      []Action
	Blobs        bool // also pushes, pulls and deletions of blobs
	Enabled      bool
	HasSecret    bool // events are signed
	// HasAuthorization says that a value is sent in the Authorization header.
	HasAuthorization bool
	SecretRevision   string // changes when one of the two does
	Problem          string // why the server cannot deliver; "" if it can
	Revision         string // changes with every change
	CreatedAt        time.Time
	UpdatedAt        time.Time
}

// Spec is what a webhook shall be.
type Spec struct {
	Name         string
	Description  string
	URL          string
	Format       Format
	Repositories []oci.Glob // those of which events are told; none means all
	Actions      []Action
	Blobs        bool
	Enabled      bool
	// Secret signs events (Standard Webhooks); Authorization is sent as the header
	// of that name. Nil keeps what is there, "" removes it.
	Secret, Authorization *string
}

func (s *Spec) check() error {
	if _, err := oci.ParseWebhookName(s.Name); err != nil {
		return err
	}
	if _, err := oci.ParseWebhookURL(s.URL); err != nil {
		return err
	}
	if err := oci.CheckDescription(s.Description); err != nil {
		return err
	}
	switch {
	case len(s.Repositories) > oci.MaxWebhookGlobs:
		return oci.Errorf(oci.CodeInvalid, "%d repository globs are too many; at most %d are allowed", len(s.Repositories), oci.MaxWebhookGlobs)
	case len(s.Actions) == 0:
		return oci.Errorf(oci.CodeInvalid, "the webhook has no actions; name at least one of push, pull, delete and mount")
	case len(slices.Compact(slices.Sorted(slices.Values(s.Actions)))) < len(s.Actions):
		return oci.Errorf(oci.CodeInvalid, "an action is named twice")
	}
	if s.Secret != nil && *s.Secret != "" {
		if err := oci.CheckWebhookSecret(*s.Secret); err != nil {
			return err
		}
	}
	if s.Authorization != nil && *s.Authorization != "" {
		return oci.CheckWebhookAuthorization(*s.Authorization)
	}
	return nil
}

// receiver is a webhook as it is delivered to, or an endpoint of the
// configuration.
type receiver struct {
	Webhook
	secret, authorization string
	config                Endpoint // of the configuration, else empty
}

// wants reports whether the receiver is to hear of an event. One that has a
// problem does: it may be over before the event is given up.
func (r *receiver) wants(e Event) bool {
	switch {
	case !r.Enabled || !slices.Contains(r.Actions, e.Action):
		return false
	case e.Blob && e.Action != Mount && !r.Blobs:
		return false
	case slices.Contains(r.config.IgnoreMediaTypes, e.MediaType):
		return false
	case len(r.Repositories) == 0:
		return true
	}
	repo, err := oci.ParseRepository(e.Repository)
	return err == nil && slices.ContainsFunc(r.Repositories, func(g oci.Glob) bool { return g.Match(repo) })
}

// host is what may be logged of the URL.
func (r *receiver) host() string {
	u, err := url.Parse(r.URL)
	if err != nil {
		return ""
	}
	return u.Host
}

func (r *receiver) headers(h http.Header) {
	for name, values := range r.config.Headers {
		h[name] = values
	}
	if r.authorization != "" {
		h.Set("Authorization", strings.TrimSpace(r.authorization))
	}
}
