package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// StatBlob describes a blob that the repository has. The link in the
// repository is what gives access: a blob of another repository is
// BLOB_UNKNOWN here.
func (r *Registry) StatBlob(ctx context.Context, repo oci.Repository, d oci.Digest) (storage.BlobInfo, error) {
	info, err := r.statBlob(ctx, repo, d, remembered)
	if err != nil {
		return info, err
	}
	if err := r.vouch(ctx, blobItem(info.Digest), layerItem(repo, info.Digest), layerItem(repo, d)); errors.Is(err, storage.ErrNotFound) {
		return info, blobUnknown(repo, d, err)
	} else if err != nil {
		return info, err
	}
	return info, nil
}

// source says whether what was seen before will do.
type source bool

const (
	remembered source = true
	store      source = false
)

func (r *Registry) statBlob(ctx context.Context, repo oci.Repository, d oci.Digest, from source) (storage.BlobInfo, error) {
	canonical, err := r.resolveLink(ctx, layerLink(repo, d), d, from)
	var info storage.BlobInfo
	if err == nil {
		info, err = r.statContent(ctx, canonical, from)
	}
	if errors.Is(err, storage.ErrNotFound) {
		return info, blobUnknown(repo, d, err)
	}
	return info, err
}

// statContent describes content by its canonical digest.
func (r *Registry) statContent(ctx context.Context, canonical oci.Digest, from source) (storage.BlobInfo, error) {
	if from == remembered {
		if info, ok := r.facts.blob(canonical); ok {
			return info, nil
		}
	}
	if from == store || !r.facts.on() {
		return r.askContent(ctx, canonical, from)
	}
	return together(ctx, &r.flights, "blob "+canonical.String(), func(ctx context.Context) (storage.BlobInfo, error) {
		return r.askContent(ctx, canonical, from)
	})
}

// askContent is statContent for what this instance does not remember.
func (r *Registry) askContent(ctx context.Context, canonical oci.Digest, from source) (storage.BlobInfo, error) {
	seen := r.facts.epoch()
	if from == remembered {
		if info, ok := r.facts.sharedBlob(ctx, seen, canonical); ok {
			r.facts.keepBlob(seen, info)
			return info, nil
		}
	}
	info, err := r.blobs.Stat(ctx, canonical)
	if err == nil {
		r.facts.addBlob(seen, info)
	}
	return info, err
}

// OpenBlob opens a blob that StatBlob described. A store that can seek returns
// an io.ReadSeekCloser. BLOB_UNKNOWN.
func (r *Registry) OpenBlob(ctx context.Context, repo oci.Repository, info storage.BlobInfo, offset int64) (io.ReadCloser, error) {
	content, err := r.blobs.Open(ctx, info.Digest, offset)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, blobUnknown(repo, info.Digest, err)
	}
	return content, err
}

// BlobURL returns a URL from which a client can fetch a blob that StatBlob
// described, or "" where the store has no such URLs.
func (r *Registry) BlobURL(ctx context.Context, info storage.BlobInfo, expires time.Duration) (string, error) {
	urls, ok := storage.As[storage.BlobURLs](r.blobs)
	if !ok {
		return "", nil
	}
	return urls.BlobURL(ctx, info.Digest, expires)
}

// DeleteBlob takes the blob out of the repository, under all the digests that
// it was pushed with: one blob, several links. The one that was asked for goes
// last, so that a deletion that was cut off can be repeated. The content stays for other
// repositories, until a garbage collection finds no use for it.
// BLOB_UNKNOWN; DENIED where immutable tags may need it.
func (r *Registry) DeleteBlob(ctx context.Context, repo oci.Repository, d oci.Digest) error {
	info, err := r.statBlob(ctx, repo, d, store)
	if err == nil {
		err = r.mayDeleteBlob(ctx, repo)
	}
	if err != nil {
		return err
	}
	return r.deleting(ctx, func() error { return r.deleteBlob(ctx, repo, d, info.Digest) })
}

func (r *Registry) deleteBlob(ctx context.Context, repo oci.Repository, d, canonical oci.Digest) error {
	names, err := r.blobAliases(ctx, repo, canonical)
	if err != nil {
		return err
	}
	for _, name := range append(names, canonical) {
		if name == d {
			continue
		}
		if err := r.records.Delete(ctx, layerLink(repo, name), storage.Any); err != nil {
			return err
		}
	}
	return r.records.Delete(ctx, layerLink(repo, d), storage.Any)
}

// blobAliases returns the digests of other algorithms that the repository knows
// the blob by. Few repositories have any, and then the answer is near: else
// each of them is read, since a blob may be too large to be hashed again.
func (r *Registry) blobAliases(ctx context.Context, repo oci.Repository, canonical oci.Digest) ([]oci.Digest, error) {
	var aliases []oci.Digest
	for algorithm, err := range r.records.Children(ctx, layersDir(repo), "") {
		if err != nil {
			return nil, err
		}
		if algorithm == string(oci.Canonical) {
			continue
		}
		for name, err := range r.records.Children(ctx, layersDir(repo)+"/"+algorithm, "") {
			if err != nil {
				return nil, err
			}
			alias, err := oci.ParseDigest(algorithm + ":" + name)
			if err != nil {
				continue // foreign
			}
			leads, _, err := r.readLink(ctx, layerLink(repo, alias))
			switch {
			case errors.Is(err, storage.ErrNotFound):
			case err != nil:
				return nil, err
			case leads == canonical:
				aliases = append(aliases, alias)
			}
		}
	}
	return aliases, nil
}

// MountBlob links a blob of the repository from into the repository to. The
// caller has checked the right to pull from one and push to the other.
// BLOB_UNKNOWN.
func (r *Registry) MountBlob(ctx context.Context, from, to oci.Repository, d oci.Digest) error {
	since := r.facts.epoch()
	info, err := r.StatBlob(ctx, from, d)
	if err != nil {
		return err
	}
	if err := r.linkBlob(ctx, to, info.Digest, d); err != nil {
		return err
	}
	err = r.keepBlob(ctx, to, info.Digest, d, since)
	if errors.Is(err, storage.ErrNotFound) {
		return blobUnknown(from, d, err)
	}
	return err
}

// HasContent reports whether the store has content of the canonical digest d. It
// says nothing of who may have it.
func (r *Registry) HasContent(ctx context.Context, d oci.Digest) (bool, error) {
	if d.Algorithm() != oci.Canonical {
		return false, nil
	}
	_, err := r.statContent(ctx, d, remembered)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// LinkBlob links content that the store has into a repository, as MountBlob does,
// for a caller who knows by other means that whoever may pull from the repository
// may have it. BLOB_UNKNOWN if the store does not have it.
func (r *Registry) LinkBlob(ctx context.Context, repo oci.Repository, d oci.Digest) error {
	if d.Algorithm() != oci.Canonical {
		return blobUnknown(repo, d, nil)
	}
	since := r.facts.epoch()
	_, err := r.statContent(ctx, d, remembered)
	if err == nil {
		err = r.linkBlob(ctx, repo, d, d)
	}
	if err == nil {
		err = r.keepBlob(ctx, repo, d, d, since)
	}
	if errors.Is(err, storage.ErrNotFound) {
		return blobUnknown(repo, d, err)
	}
	return err
}

// mountSearchLimit bounds the repositories that FindBlob looks at.
const mountSearchLimit = 1000

// FindBlob returns a repository that has the blob and that mayPull accepts, for
// a mount that names no source. It gives up after looking at a thousand
// repositories. BLOB_UNKNOWN.
func (r *Registry) FindBlob(ctx context.Context, d oci.Digest, mayPull func(oci.Repository) bool) (oci.Repository, error) {
	unknown := blobUnknown(oci.Repository{}, d, nil)
	if d.Algorithm() == oci.Canonical {
		// Most such requests are for content that is nowhere: one look says so.
		if _, err := r.statContent(ctx, d, remembered); errors.Is(err, storage.ErrNotFound) {
			return oci.Repository{}, unknown
		}
	}
	looked := 0
	for repo, err := range r.Repositories(ctx, "") {
		if err != nil {
			return oci.Repository{}, err
		}
		if looked++; looked > mountSearchLimit {
			break
		}
		if !mayPull(repo) {
			continue
		}
		if _, err := r.StatBlob(ctx, repo, d); err == nil {
			return repo, nil
		} else if oci.ErrorCode(err) != oci.CodeBlobUnknown {
			return oci.Repository{}, err
		}
	}
	return oci.Repository{}, unknown
}

// StartUpload begins an upload.
func (r *Registry) StartUpload(ctx context.Context) (storage.Upload, error) {
	up, err := r.blobs.StartUpload(ctx)
	return up, fault(err)
}

// ResumeUpload goes on with an upload, from its State. BLOB_UPLOAD_UNKNOWN,
// TOOMANYREQUESTS.
func (r *Registry) ResumeUpload(ctx context.Context, state []byte) (storage.Upload, error) {
	up, err := r.blobs.ResumeUpload(ctx, state)
	return up, fault(err)
}

// LatestUpload is ResumeUpload for who may have lost a State that came later, or
// whose server may have died before it gave one out.
func (r *Registry) LatestUpload(ctx context.Context, state []byte) (storage.Upload, error) {
	if latest, ok := storage.As[storage.LatestStates](r.blobs); ok {
		var err error
		if state, err = latest.LatestState(ctx, state); err != nil {
			return nil, fault(err)
		}
	}
	return r.ResumeUpload(ctx, state)
}

// CommitUpload makes the upload a blob of the repository if it has the digest
// want, and says so only once data and link are durable. since is the Epoch
// before the upload began: its content may be there for that long. DIGEST_INVALID.
func (r *Registry) CommitUpload(ctx context.Context, repo oci.Repository, up storage.Upload, want oci.Digest, since Epoch) (storage.BlobInfo, error) {
	if e, err := r.facts.present(ctx); err != nil {
		return storage.BlobInfo{}, errors.Join(err, up.Close())
	} else if _, err := r.settleAll(ctx, e, []string{blobItem(want)}); err != nil {
		return storage.BlobInfo{}, errors.Join(err, up.Close()) // what has arrived stays, for when it is tried again
	}
	info, err := up.Commit(ctx, want)
	if err != nil {
		return info, fault(err)
	}
	r.facts.addBlob(since, info)
	if err := r.linkBlob(ctx, repo, info.Digest, want); err != nil {
		return info, err
	}
	err = r.keepBlob(ctx, repo, info.Digest, want, since)
	if errors.Is(err, storage.ErrNotFound) {
		return info, fault(fmt.Errorf("a garbage collection deleted the content meanwhile: %w: %w", storage.ErrUploadUnknown, err))
	}
	return info, err
}

// linkBlob gives the repository access to the content under its canonical
// digest and, where the client used another one, under that too: the layout of
// distribution keeps a sha512 name as a link that holds the sha256 digest.
func (r *Registry) linkBlob(ctx context.Context, repo oci.Repository, canonical, asked oci.Digest) error {
	if err := r.enter(ctx, repo, remembered); err != nil {
		return err
	}
	if err := r.writeLink(ctx, layerLink(repo, canonical), canonical); err != nil || asked == canonical {
		return err
	}
	return r.writeLink(ctx, layerLink(repo, asked), canonical)
}

func blobUnknown(repo oci.Repository, d oci.Digest, cause error) error {
	where := ""
	if !repo.IsZero() {
		where = " in repository " + repo.String()
	}
	return &oci.Error{Code: oci.CodeBlobUnknown, Message: "blob unknown" + where, Detail: d, Err: cause}
}
