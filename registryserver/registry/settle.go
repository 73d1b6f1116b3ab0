package registry

import (
	"context"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// A manifest can be deleted while a push makes an immutable tag lead to it. So
// whoever pushes such a tag looks for what it leads to afterwards (settle), and
// whoever deletes looks for such tags afterwards (undelete): at least one of them
// sees what the other did, and both then bring back what was deleted.

// settle brings back what an immutable tag leads to and somebody has deleted while
// it was pushed. All of it was in the repository a moment ago. MANIFEST_BLOB_UNKNOWN
// for what cannot be brought back.
func (r *Registry) settle(ctx context.Context, repo oci.Repository, d oci.Digest, m *oci.Manifest, body []byte) error {
	if _, err := r.revision(ctx, repo, d, store); oci.ErrorCode(err) == oci.CodeManifestUnknown {
		err = r.storeManifest(ctx, repo, d, m, body, store)
		if err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	seen := map[oci.Digest]struct{}{}
	for todo := m.Manifests; len(todo) > 0; {
		child := todo[0]
		todo = todo[1:]
		if _, ok := seen[child.Digest]; ok || !r.rules.mustExist(child) || r.rules.Off {
			continue
		}
		seen[child.Digest] = struct{}{}
		canonical, err := r.relink(ctx, repo, child.Digest)
		if err != nil {
			return err
		}
		content, err := r.manifestContent(ctx, canonical)
		if err != nil {
			return err
		}
		if parsed, err := oci.ParseManifest("", content.content); err == nil {
			todo = append(todo[:len(todo):len(todo)], parsed.Manifests...)
		}
	}
	return nil
}

// relink makes sure that the repository has the manifest d, which it had a moment
// ago, and returns its canonical digest.
func (r *Registry) relink(ctx context.Context, repo oci.Repository, d oci.Digest) (oci.Digest, error) {
	canonical, err := r.revision(ctx, repo, d, store)
	if oci.ErrorCode(err) != oci.CodeManifestUnknown {
		return canonical, err
	}
	if d.Algorithm() == oci.Canonical {
		if _, err = r.blobs.Stat(ctx, d); err == nil {
			return d, r.writeLink(ctx, revisionLink(repo, d), d)
		}
	}
	return d, &oci.Error{Code: oci.CodeManifestBlobUnknown, Message: "manifest " + d.String() + " of the index was deleted while the index was pushed; push both again", Detail: d, Err: err}
}

// undelete brings a manifest back that was deleted while an immutable tag was
// pushed that needs it, and returns why it stays. DENIED.
func (r *Registry) undelete(ctx context.Context, repo oci.Repository, names []oci.Digest, content []byte) (refused, err error) {
	refused = r.expectDeletion(ctx, repo, names)
	if oci.ErrorCode(refused) != oci.CodeDenied {
		return nil, refused
	}
	m, err := oci.ParseManifest("", content)
	if err != nil {
		return refused, nil // nobody can push an index of that
	}
	for _, name := range names {
		if err := r.storeManifest(ctx, repo, name, m, content, store); err != nil {
			return refused, err
		}
	}
	return refused, nil
}
