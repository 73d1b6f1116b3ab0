package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// Bounds of one page of referrers. A page holds at least one entry, whatever
// its size.
const (
	MaxReferrersPage      = 1000
	maxReferrersPageBytes = 4 << 20
)

// ReferrersPage is a page of what refers to a subject.
type ReferrersPage struct {
	Descriptors []oci.Descriptor
	Next        string // where the next page begins; "" after the last
}

// Referrers returns the manifests whose subject is the digest, in byte order
// of their digests, after the one given ("" for the first page). An
// artifactType filters. A subject that does not exist has none
// (distribution-spec "Listing Referrers").
func (r *Registry) Referrers(ctx context.Context, repo oci.Repository, subject oci.Digest, artifactType, after string) (ReferrersPage, error) {
	page := ReferrersPage{Descriptors: []oci.Descriptor{}}
	if after == "" {
		legacy, err := r.fallbackReferrers(ctx, repo, subject, artifactType)
		if err != nil {
			return page, err
		}
		page.Descriptors = append(page.Descriptors, legacy...)
	}
	dir := referrersDir(repo, subject)
	start := ""
	if d, err := oci.ParseDigest(after); err == nil {
		start = referrerKey(repo, subject, d)
	} else if after != "" {
		return page, oci.Errorf(oci.CodeDigestInvalid, "last must be the digest of the last referrer seen")
	}
	size := 0
	var last oci.Digest
	for key, err := range r.records.List(ctx, dir, start) {
		if err != nil {
			return page, err
		}
		rec, err := r.records.Get(ctx, key)
		if errors.Is(err, storage.ErrNotFound) {
			continue // deleted meanwhile
		}
		if err != nil {
			return page, err
		}
		var d oci.Descriptor
		if err := json.Unmarshal(rec.Value, &d); err != nil {
			return page, fmt.Errorf("referrer %s is damaged: %w", key, err)
		}
		if artifactType != "" && d.ArtifactType != artifactType {
			continue
		}
		size += len(rec.Value)
		if !last.IsZero() && (size > maxReferrersPageBytes || len(page.Descriptors) >= MaxReferrersPage) {
			page.Next = last.String()
			return page, nil
		}
		page.Descriptors = append(page.Descriptors, d)
		last = d.Digest
	}
	return page, nil
}

// fallbackReferrers returns what clients recorded under the referrers tag
// while the storage was served by a registry without the referrers API
// (distribution-spec "Referrers Tag Schema"), and we have no entry of our own
// for. They come first on the first page.
func (r *Registry) fallbackReferrers(ctx context.Context, repo oci.Repository, subject oci.Digest, artifactType string) ([]oci.Descriptor, error) {
	hex := subject.Hex()
	tag, err := oci.ParseTag(string(subject.Algorithm()) + "-" + hex[:min(len(hex), 64)])
	if err != nil {
		return nil, err
	}
	stored, err := r.Manifest(ctx, repo, oci.Reference{Tag: tag})
	if oci.ErrorCode(err) == oci.CodeManifestUnknown {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found []oci.Descriptor
	for _, d := range childrenOf(stored.Content) {
		if artifactType != "" && d.ArtifactType != artifactType {
			continue
		}
		if _, err := r.records.Get(ctx, referrerKey(repo, subject, d.Digest)); err == nil {
			continue
		}
		if _, err := r.revision(ctx, repo, d.Digest, remembered); err == nil {
			found = append(found, d)
		}
	}
	return found, nil
}

// putReferrer records that the manifest d refers to its subject.
func (r *Registry) putReferrer(ctx context.Context, repo oci.Repository, d oci.Digest, m *oci.Manifest, size int64) error {
	value, err := json.Marshal(oci.Descriptor{
		MediaType: m.MediaType, Digest: d, Size: size,
		ArtifactType: m.ArtifactType, Annotations: m.Annotations,
	})
	if err != nil {
		return err
	}
	_, err = r.records.Put(ctx, referrerKey(repo, m.Subject.Digest, d), value, storage.Any)
	return err
}

// deleteReferrer removes the entry of a manifest, under all its names.
func (r *Registry) deleteReferrer(ctx context.Context, repo oci.Repository, names []oci.Digest, content []byte) error {
	if !strings.Contains(string(content), `"subject"`) {
		return nil
	}
	// What does not parse was stored by a program that was less strict, and so
	// was never indexed.
	if m, err := oci.ParseManifest("", content); err == nil && m.Subject != nil {
		for _, d := range names {
			if err := r.records.Delete(ctx, referrerKey(repo, m.Subject.Digest, d), storage.Any); err != nil {
				return err
			}
		}
	}
	return nil
}

// childrenOf returns what an index lists; of anything else, nothing.
func childrenOf(content []byte) []oci.Descriptor {
	if m, err := oci.ParseManifest("", content); err == nil {
		return m.Manifests
	}
	return nil
}
