package ociapi

import (
	"bytes"
	"context"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/events"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
)

// maxTagParameters bounds ?tag= on one push, as the spec suggests at least 10.
const maxTagParameters = 100

// getManifest answers GET and HEAD of a manifest: always the stored bytes,
// whatever Accept says. A client that cannot read them says so better than a
// 404 would.
func (a *API) getManifest(w http.ResponseWriter, r *http.Request, req request) error {
	m, err := a.manifest(r.Context(), req.repo, req.ref)
	if err != nil {
		return err
	}
	if r.Method == http.MethodGet {
		a.Registry.Pulled(req.repo, req.ref)
	}
	h := w.Header()
	h.Set("Content-Type", m.MediaType)
	h.Set("Docker-Content-Digest", m.Digest.String())
	h.Set("ETag", `"`+m.Digest.String()+`"`)
	if r.Method == http.MethodGet {
		a.Notify(r, a.event(r, req.repo, events.Event{Action: events.Pull, Tag: req.ref.Tag.String(), Digest: m.Digest.String(), MediaType: m.MediaType, Size: int64(len(m.Content))}))
	}
	r.Header.Del("Range") // of a document that is read whole there are no parts
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(m.Content))
	return nil
}

// manifest returns a manifest, which a pull-through cache may have to fetch.
func (a *API) manifest(ctx context.Context, repo oci.Repository, ref oci.Reference) (registry.Manifest, error) {
	if a.Proxy != nil {
		return a.Proxy.Manifest(ctx, repo, ref)
	}
	return a.Registry.Manifest(ctx, repo, ref)
}

// putManifest answers PUT of a manifest by tag, or by digest with any number
// of ?tag= parameters.
func (a *API) putManifest(w http.ResponseWriter, r *http.Request, req request) error {
	tags, err := pushedTags(req)
	if err != nil {
		return err
	}
	contentType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return oci.Errorf(oci.CodeManifestInvalid, "the Content-Type is missing or malformed; use one of %s", strings.Join(oci.ManifestMediaTypes(), ", "))
	}
	if r.ContentLength > oci.MaxManifestSize {
		return oci.Errorf(oci.CodeRequestEntityTooLarge, "manifest of %d bytes is too large; at most %d are allowed", r.ContentLength, oci.MaxManifestSize)
	}
	body, err := io.ReadAll(bodyReader{http.MaxBytesReader(w, r.Body, oci.MaxManifestSize)})
	if err != nil {
		return err
	}
	pushed, err := a.Registry.PutManifest(r.Context(), registry.Push{
		Repository: req.repo, Digest: req.ref.Digest, Tags: tags, ContentType: contentType, Body: body,
	})
	if err != nil {
		return err
	}
	a.notifyPush(r, req.repo, tags, events.Event{Action: events.Push, Digest: pushed.Digest.String(), MediaType: contentType, Size: int64(len(body))})
	h := w.Header()
	h.Set("Location", a.url(r, a.manifestPath(req.repo, pushed.Digest.String())))
	h.Set("Docker-Content-Digest", pushed.Digest.String())
	if !pushed.Subject.IsZero() {
		h.Set("OCI-Subject", pushed.Subject.String())
	}
	if req.query.Has("tag") {
		for _, tag := range tags {
			h.Add("OCI-Tag", tag.String())
		}
	}
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusCreated)
	return nil
}

// notifyPush tells of a push, once for each tag.
func (a *API) notifyPush(r *http.Request, repo oci.Repository, tags []oci.Tag, e events.Event) {
	e = a.event(r, repo, e)
	if len(tags) == 0 {
		a.Notify(r, e)
	}
	for _, tag := range tags {
		e.Tag = tag.String()
		a.Notify(r, e)
	}
}

// event adds to an event where it happened.
func (a *API) event(r *http.Request, repo oci.Repository, e events.Event) events.Event {
	e.Repository = repo.String()
	if e.Digest != "" {
		e.URL = a.absolute(r, a.manifestPath(repo, e.Digest))
	}
	return e
}

func (a *API) manifestPath(repo oci.Repository, digest string) string {
	return a.Prefix + "v2/" + repo.String() + "/manifests/" + digest
}

func pushedTags(req request) ([]oci.Tag, error) {
	if !req.ref.Tag.IsZero() {
		return []oci.Tag{req.ref.Tag}, nil
	}
	names := req.query["tag"]
	if len(names) > maxTagParameters {
		return nil, oci.Errorf(oci.CodeTagInvalid, "%d tag parameters are too many; at most %d are allowed", len(names), maxTagParameters)
	}
	var tags []oci.Tag
	for _, name := range names {
		tag, err := oci.ParseTag(name)
		if err != nil {
			return nil, err
		}
		tags = append(tags, tag)
	}
	return tags, nil
}

// deleteManifest answers DELETE by tag, which removes the tag alone, or by
// digest, which removes the manifest and its tags.
func (a *API) deleteManifest(w http.ResponseWriter, r *http.Request, req request) error {
	var err error
	if req.ref.Digest.IsZero() {
		err = a.Registry.DeleteTag(r.Context(), req.repo, req.ref.Tag)
	} else {
		err = a.Registry.DeleteManifest(r.Context(), req.repo, req.ref.Digest)
	}
	if err != nil {
		return err
	}
	e := events.Event{Action: events.Delete, Tag: req.ref.Tag.String()}
	if !req.ref.Digest.IsZero() {
		e.Digest = req.ref.Digest.String()
	}
	a.Notify(r, a.event(r, req.repo, e))
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusAccepted)
	return nil
}
