package adminapi

import (
	"net/http"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/events"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/replication"
)

// replicationBody is client.ReplicationSpec with what is missing told from what
// is empty.
type replicationBody struct {
	Name         *string   `json:"name"`
	URL          *string   `json:"url"`
	Insecure     *bool     `json:"insecure"`
	Repositories *[]string `json:"repositories"`
	Tags         *[]string `json:"tags"`
	Username     *string   `json:"username"`
	Password     *string   `json:"password"`
	Enabled      *bool     `json:"enabled"`
}

func (a *api) listReplications(r *http.Request) (answer, error) {
	all, err := a.Replications.All(r.Context())
	if err != nil {
		return answer{}, err
	}
	replications := make([]client.Replication, len(all))
	for i, rep := range all {
		replications[i] = a.wireReplication(rep)
	}
	p, err := page(r, replications, func(rep client.Replication) string { return rep.Name })
	return answer{body: p, next: p.Next}, err
}

func (a *api) getReplication(r *http.Request) (answer, error) {
	name, err := oci.ParseReplicationName(r.PathValue("replication"))
	if err != nil {
		return answer{}, err
	}
	rep, err := a.Replications.Get(r.Context(), name)
	return answer{body: a.wireReplication(rep), etag: rep.Revision}, err
}

func (a *api) putReplication(r *http.Request) (answer, error) {
	name, err := oci.ParseReplicationName(r.PathValue("replication"))
	if err != nil {
		return answer{}, err
	}
	var body replicationBody
	if err := decode(r, &body); err != nil {
		return answer{}, err
	}
	if body.Name != nil && *body.Name != name {
		return answer{}, oci.Errorf(oci.CodeInvalid, "the field name is not the name in the path; a replication cannot be renamed")
	}
	spec, err := body.spec(name)
	if err != nil {
		return answer{}, err
	}
	if spec.May, err = condition(r); err != nil {
		return answer{}, err
	}
	spec.MustExist = r.Header.Get("If-Match") != ""
	rep, created, err := a.Replications.Put(r.Context(), spec)
	ans := answer{body: a.wireReplication(rep), etag: rep.Revision}
	if created {
		ans.status, ans.location = http.StatusCreated, "/replications/"+escaped(name)
	}
	return ans, err
}

func (a *api) deleteReplication(r *http.Request) (answer, error) {
	name, err := oci.ParseReplicationName(r.PathValue("replication"))
	if err != nil {
		return answer{}, err
	}
	may, err := condition(r)
	if err != nil {
		return answer{}, err
	}
	return answer{}, a.Replications.Delete(r.Context(), name, may)
}

// spec parses what the replication is to be. What is missing is the default, but
// the password stays as it is.
func (b replicationBody) spec(name string) (replication.Spec, error) {
	spec := replication.Spec{Name: name, Insecure: or(b.Insecure, false), Username: or(b.Username, ""), Password: b.Password, Enabled: or(b.Enabled, true)}
	if b.URL == nil {
		return spec, oci.Errorf(oci.CodeInvalid, "the field url is missing")
	}
	spec.URL = *b.URL
	for _, text := range or(b.Repositories, nil) {
		glob, err := oci.ParseGlob(text)
		if err != nil {
			return spec, err
		}
		spec.Repositories = append(spec.Repositories, glob)
	}
	var err error
	spec.Tags, err = oci.ParseTagPatterns(or(b.Tags, nil))
	return spec, err
}

func (a *api) wireReplication(r replication.Replication) client.Replication {
	status := a.Replications.Status(r.Name)
	w := client.Replication{
		Name: r.Name, URL: r.URL, Insecure: r.Insecure, Repositories: []string{}, Tags: []string{}, Username: r.Username, HasPassword: r.HasPassword,
		CredentialRevision: r.CredentialRevision, Enabled: r.Enabled, Problem: r.Problem,
		Status: client.ReplicationStatus{
			LastSuccess: sometime(status.LastSuccess), LastError: status.LastError, LastErrorAt: sometime(status.LastErrorAt),
			Waiting: a.ReplicationsTaken(events.ReplicationPrefix + r.Name),
		},
		Revision: r.Revision, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
	for _, glob := range r.Repositories {
		w.Repositories = append(w.Repositories, glob.String())
	}
	for _, pattern := range r.Tags {
		w.Tags = append(w.Tags, pattern.String())
	}
	return w
}

// sometime is a time that may never have been.
func sometime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
