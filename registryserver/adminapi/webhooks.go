package adminapi

import (
	"net/http"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/events"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// webhookBody is client.WebhookSpec with what is missing told from what is
// empty.
type webhookBody struct {
	Name          *string   `json:"name"`
	Description   *string   `json:"description"`
	URL           *string   `json:"url"`
	Format        *string   `json:"format"`
	Repositories  *[]string `json:"repositories"`
	Actions       *[]string `json:"actions"`
	Blobs         *bool     `json:"blobs"`
	Enabled       *bool     `json:"enabled"`
	Secret        *string   `json:"secret"`
	Authorization *string   `json:"authorization"`
}

func (a *api) listWebhooks(r *http.Request) (answer, error) {
	all, err := a.Webhooks.All(r.Context())
	if err != nil {
		return answer{}, err
	}
	hooks := make([]client.Webhook, len(all))
	for i, h := range all {
		hooks[i] = wireWebhook(h)
	}
	p, err := page(r, hooks, func(h client.Webhook) string { return h.Name })
	return answer{body: p, next: p.Next}, err
}

func (a *api) getWebhook(r *http.Request) (answer, error) {
	name, err := oci.ParseWebhookName(r.PathValue("webhook"))
	if err != nil {
		return answer{}, err
	}
	h, err := a.Webhooks.Get(r.Context(), name)
	return answer{body: wireWebhook(h), etag: h.Revision}, err
}

func (a *api) createWebhook(r *http.Request) (answer, error) {
	var body webhookBody
	if err := decode(r, &body); err != nil {
		return answer{}, err
	}
	key, err := createKey(r)
	if err != nil {
		return answer{}, err
	}
	if body.Name == nil {
		return answer{}, oci.Errorf(oci.CodeInvalid, "the field name is missing")
	}
	spec, err := body.spec(*body.Name)
	if err != nil {
		return answer{}, err
	}
	h, err := a.Webhooks.Create(r.Context(), spec, key)
	return answer{body: wireWebhook(h), etag: h.Revision, status: http.StatusCreated, location: "/webhooks/" + escaped(spec.Name)}, err
}

func (a *api) updateWebhook(r *http.Request) (answer, error) {
	name, err := oci.ParseWebhookName(r.PathValue("webhook"))
	if err != nil {
		return answer{}, err
	}
	var body webhookBody
	if err := decode(r, &body); err != nil {
		return answer{}, err
	}
	if body.Name != nil && *body.Name != name {
		return answer{}, oci.Errorf(oci.CodeInvalid, "the field name is not the name in the path; a webhook cannot be renamed")
	}
	may, err := condition(r)
	if err != nil {
		return answer{}, err
	}
	spec, err := body.spec(name)
	if err != nil {
		return answer{}, err
	}
	h, err := a.Webhooks.Update(r.Context(), spec, may)
	return answer{body: wireWebhook(h), etag: h.Revision}, err
}

func (a *api) deleteWebhook(r *http.Request) (answer, error) {
	name, err := oci.ParseWebhookName(r.PathValue("webhook"))
	if err != nil {
		return answer{}, err
	}
	may, err := condition(r)
	if err != nil {
		return answer{}, err
	}
	return answer{}, a.Webhooks.Delete(r.Context(), name, may)
}

// spec parses what the webhook is to be. What is missing is the default, but
// secrets stay as they are.
func (b webhookBody) spec(name string) (events.Spec, error) {
	spec := events.Spec{
		Name: name, Description: or(b.Description, ""), Format: events.Distribution, Blobs: or(b.Blobs, false), Enabled: or(b.Enabled, true),
		Secret: b.Secret, Authorization: b.Authorization,
	}
	if b.URL == nil {
		return spec, oci.Errorf(oci.CodeInvalid, "the field url is missing")
	}
	spec.URL = *b.URL
	var err error
	if b.Format != nil {
		if spec.Format, err = events.ParseFormat(*b.Format); err != nil {
			return spec, err
		}
	}
	for _, text := range or(b.Repositories, nil) {
		glob, err := oci.ParseGlob(text)
		if err != nil {
			return spec, err
		}
		spec.Repositories = append(spec.Repositories, glob)
	}
	for _, text := range or(b.Actions, []string{string(events.Push), string(events.Delete)}) {
		action, err := events.ParseAction(text)
		if err != nil {
			return spec, err
		}
		spec.Actions = append(spec.Actions, action)
	}
	return spec, nil
}

func wireWebhook(h events.Webhook) client.Webhook {
	w := client.Webhook{
		Name: h.Name, Description: h.Description, URL: h.URL, Format: string(h.Format), Blobs: h.Blobs, Enabled: h.Enabled, Problem: h.Problem,
		HasSecret: h.HasSecret, HasAuthorization: h.HasAuthorization, SecretRevision: h.SecretRevision, Repositories: []string{}, Actions: []string{},
		Revision: h.Revision, CreatedAt: h.CreatedAt, UpdatedAt: h.UpdatedAt,
	}
	for _, glob := range h.Repositories {
		w.Repositories = append(w.Repositories, glob.String())
	}
	for _, action := range h.Actions {
		w.Actions = append(w.Actions, string(action))
	}
	return w
}
