package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// PutReplication makes the replication of a name what spec says. The
// server seals the password, and refuses it without an http.secret to do so
// (CONFLICT). Unless ifRevision is empty, there must be one that has that
// revision, or is what spec says, or the error is of code PRECONDITION_FAILED.
func (c *Client) PutReplication(ctx context.Context, spec ReplicationSpec, ifRevision string) (Replication, error) {
	return c.putReplication(ctx, spec, request{ifRevision: ifRevision})
}

// CreateReplication is PutReplication where there must be no other replication of
// that name (PRECONDITION_FAILED).
func (c *Client) CreateReplication(ctx context.Context, spec ReplicationSpec) (Replication, error) {
	return c.putReplication(ctx, spec, request{ifAbsent: true})
}

func (c *Client) putReplication(ctx context.Context, spec ReplicationSpec, r request) (Replication, error) {
	var made Replication
	path, err := replicationPath(spec.Name)
	if err != nil {
		return made, err
	}
	r.method, r.path, r.body = http.MethodPut, path, spec
	err = c.do(ctx, r, &made)
	return made, err
}

// GetReplication returns a replication. See IsNotFound.
func (c *Client) GetReplication(ctx context.Context, name string) (Replication, error) {
	var made Replication
	path, err := replicationPath(name)
	if err != nil {
		return made, err
	}
	err = c.do(ctx, request{method: http.MethodGet, path: path}, &made)
	return made, err
}

// DeleteReplication ends a replication, and leaves what it has copied;
// ifRevision is as for UpdateUser. See IsNotFound.
func (c *Client) DeleteReplication(ctx context.Context, name, ifRevision string) error {
	path, err := replicationPath(name)
	if err != nil {
		return err
	}
	return c.do(ctx, request{method: http.MethodDelete, path: path, ifRevision: ifRevision}, nil)
}

// ListReplications yields every replication in the byte order of names.
// It ends at the first error.
func (c *Client) ListReplications(ctx context.Context) iter.Seq2[Replication, error] {
	return list[Replication](ctx, c, "/replications")
}

func replicationPath(s string) (string, error) {
	name, err := oci.ParseReplicationName(s)
	return "/replications/" + url.PathEscape(name), err
}
