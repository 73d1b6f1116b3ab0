package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// ListRepositories yields every repository in byte order. It ends at the first
// error.
func (c *Client) ListRepositories(ctx context.Context) iter.Seq2[Repository, error] {
	return list[Repository](ctx, c, "/repositories")
}

// GetRepository returns a repository. See IsNotFound.
func (c *Client) GetRepository(ctx context.Context, repository string) (Repository, error) {
	var r Repository
	path, err := repositoryPath(repository)
	if err != nil {
		return r, err
	}
	err = c.do(ctx, request{method: http.MethodGet, path: path}, &r)
	return r, err
}

// CreateRepository makes a repository before anything is pushed to it. One that
// exists already, also because of a push, is an error of code CONFLICT, unless an
// earlier try of this very call made it.
func (c *Client) CreateRepository(ctx context.Context, spec RepositorySpec) (Repository, error) {
	var r Repository
	if _, err := oci.ParseRepository(spec.Name); err != nil {
		return r, err
	}
	spec.ImmutableTagPatterns = orEmpty(spec.ImmutableTagPatterns)
	err := c.do(ctx, request{method: http.MethodPost, path: "/repositories", body: spec}, &r)
	return r, err
}

// UpdateRepository makes the settings of the repository spec.Name what spec says,
// also of one that a push made; ifRevision is as for UpdateUser. Taking
// AnonymousPull away may take some seconds, until no server goes on with it.
func (c *Client) UpdateRepository(ctx context.Context, spec RepositorySpec, ifRevision string) (Repository, error) {
	var r Repository
	path, err := repositoryPath(spec.Name)
	if err != nil {
		return r, err
	}
	spec.ImmutableTagPatterns = orEmpty(spec.ImmutableTagPatterns)
	err = c.do(ctx, request{method: http.MethodPut, path: path, body: spec, ifRevision: ifRevision}, &r)
	return r, err
}

// DeleteRepository removes a repository. One that has tags or manifests stays
// (CONFLICT) unless force is set; one with immutable tags stays (DENIED) until
// their patterns are taken from its settings. Where deletes are forbidden by
// configuration, the code is UNSUPPORTED. See IsNotFound.
func (c *Client) DeleteRepository(ctx context.Context, repository string, force bool) error {
	path, err := repositoryPath(repository)
	if err != nil {
		return err
	}
	if force {
		path += "?force=true"
	}
	return c.do(ctx, request{method: http.MethodDelete, path: path}, nil)
}

// ListTags yields the names of a repository's tags in byte order. It ends at
// the first error. See IsNotFound.
func (c *Client) ListTags(ctx context.Context, repository string) iter.Seq2[Tag, error] {
	path, err := repositoryPath(repository)
	if err != nil {
		return func(yield func(Tag, error) bool) { yield(Tag{}, err) }
	}
	return list[Tag](ctx, c, path+"/tags")
}

// GetTag returns a tag and what it points at. See IsNotFound.
func (c *Client) GetTag(ctx context.Context, repository, tag string) (Tag, error) {
	var t Tag
	path, err := tagPath(repository, tag)
	if err != nil {
		return t, err
	}
	err = c.do(ctx, request{method: http.MethodGet, path: path}, &t)
	return t, err
}

// PutTag points a tag at a manifest that the repository has; without one of
// that digest, the code is MANIFEST_UNKNOWN. Unless ifDigest is zero, the tag
// must be there and point at it, or point at d already, or the error is of code
// PRECONDITION_FAILED. Where pushes are forbidden by configuration, the code is
// UNSUPPORTED.
func (c *Client) PutTag(ctx context.Context, repository, tag string, d, ifDigest oci.Digest) (Tag, error) {
	return c.putTag(ctx, repository, tag, d, request{ifRevision: ifDigest.String()})
}

// CreateTag is PutTag where there must be no such tag that points elsewhere
// (PRECONDITION_FAILED).
func (c *Client) CreateTag(ctx context.Context, repository, tag string, d oci.Digest) (Tag, error) {
	return c.putTag(ctx, repository, tag, d, request{ifAbsent: true})
}

func (c *Client) putTag(ctx context.Context, repository, tag string, d oci.Digest, r request) (Tag, error) {
	var t Tag
	path, err := tagPath(repository, tag)
	if err != nil {
		return t, err
	}
	r.method, r.path, r.body = http.MethodPut, path, TagSpec{d}
	err = c.do(ctx, r, &t)
	return t, err
}

// DeleteTag removes a tag; the manifest stays. An immutable one stays (DENIED).
// See DeleteRepository.
func (c *Client) DeleteTag(ctx context.Context, repository, tag string) error {
	path, err := tagPath(repository, tag)
	if err != nil {
		return err
	}
	return c.do(ctx, request{method: http.MethodDelete, path: path}, nil)
}

func repositoryPath(s string) (string, error) {
	repo, err := oci.ParseRepository(s)
	return "/repositories/" + url.PathEscape(repo.String()), err
}

func tagPath(repository, tag string) (string, error) {
	path, err := repositoryPath(repository)
	if err != nil {
		return "", err
	}
	t, err := oci.ParseTag(tag)
	return path + "/tags/" + url.PathEscape(t.String()), err
}
