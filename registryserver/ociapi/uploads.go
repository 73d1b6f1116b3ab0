package ociapi

import (
	"context"
	"net/http"
	"regexp"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

var contentRangeRE = regexp.MustCompile(`^(?:bytes[ =])?([0-9]{1,19})-([0-9]{1,19})(?:/(?:[0-9]{1,19}|\*))?$`)

// resume opens the session and the upload of a request.
func (a *API) resume(r *http.Request, req request) (session, storage.Upload, error) {
	s, err := openSession(a.Keys, req, a.Now(), a.SessionLifetime)
	if err != nil {
		return s, nil, err
	}
	up, err := a.Registry.ResumeUpload(r.Context(), s.State)
	return s, up, err
}

// keep lets go of an upload and answers with where to go on: Location, Range
// and Docker-Upload-UUID.
func (a *API) keep(w http.ResponseWriter, r *http.Request, s session, up storage.Upload, status int) error {
	if err := up.Close(); err != nil {
		return err
	}
	if err := a.setProgress(w, r, s, up); err != nil {
		return err
	}
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(status)
	return nil
}

func (a *API) setProgress(w http.ResponseWriter, r *http.Request, s session, up storage.Upload) error {
	s.Offset, s.State = up.Size(), up.State()
	location, err := s.seal(a.Keys, a.Prefix)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Location", a.url(r, location))
	h.Set("Range", uploadRange(s.Offset))
	h.Set("Docker-Upload-UUID", s.ID)
	return nil
}

// position checks that the body of the request goes where the upload ends.
// RANGE_INVALID says where that is, and the session goes on from there.
func (a *API) position(w http.ResponseWriter, r *http.Request, s session, up storage.Upload) error {
	start, ok, err := contentRange(r.Header, r.ContentLength)
	switch {
	case err != nil:
	case !ok && r.ContentLength == 0:
		return nil // closes the upload as it stands
	case !ok && s.Offset != up.Size():
		err = oci.Errorf(oci.CodeRangeInvalid, "this Location was for an upload of %d bytes, which by now has %d; go on from there with the Location of this answer", s.Offset, up.Size())
	case ok && start != up.Size():
		err = oci.Errorf(oci.CodeRangeInvalid, "the chunk begins at byte %d, but the upload has %d bytes; go on from there", start, up.Size())
	}
	if err == nil {
		return nil
	}
	if closeErr := up.Close(); closeErr != nil {
		return closeErr
	}
	if perr := a.setProgress(w, r, s, up); perr != nil {
		return perr
	}
	return err
}

// uploadStatus answers GET of an upload: how much of it has arrived.
func (a *API) uploadStatus(w http.ResponseWriter, r *http.Request, req request) error {
	s, err := openSession(a.Keys, req, a.Now(), a.SessionLifetime)
	if err != nil {
		return err
	}
	up, err := a.Registry.LatestUpload(r.Context(), s.State)
	if err != nil {
		return err
	}
	return a.keep(w, r, s, up, http.StatusNoContent)
}

// patchUpload answers PATCH: more bytes. When the client vanishes, what came
// before stays, and it can ask for the status and go on.
func (a *API) patchUpload(w http.ResponseWriter, r *http.Request, req request) error {
	s, up, err := a.resume(r, req)
	if err != nil {
		return err
	}
	if err := a.position(w, r, s, up); err != nil {
		return err
	}
	if _, err := up.ReadFrom(bodyReader{r.Body}); err != nil {
		_ = up.Close()
		return err
	}
	return a.keep(w, r, s, up, http.StatusAccepted)
}

// putUpload answers PUT ?digest=: perhaps more bytes, then the end.
func (a *API) putUpload(w http.ResponseWriter, r *http.Request, req request) error {
	if !req.query.Has("digest") {
		return oci.Errorf(oci.CodeDigestInvalid, "the PUT that ends an upload needs the parameter digest")
	}
	want, err := oci.ParseDigest(req.query.Get("digest"))
	if err != nil {
		return err
	}
	s, up, err := a.resume(r, req)
	if oci.ErrorCode(err) == oci.CodeBlobUploadUnknown && (a.alreadyThere(r.Context(), req.repo, want) || s.Offset > 0 && a.arrives(r.Context(), req.repo, want)) {
		// The answer to the first such PUT was lost.
		a.created(w, r, req.repo, want)
		return nil
	}
	if err != nil {
		return err
	}
	if err := a.position(w, r, s, up); err != nil {
		return err
	}
	up.Expect(want)
	if _, err := up.ReadFrom(bodyReader{r.Body}); err != nil {
		_ = up.Close()
		return err
	}
	return a.commit(w, r, req.repo, up, want, s.Epoch)
}

// alreadyThere reports whether the repository has the blob: then it was
// pushed here, and who may push here may know.
func (a *API) alreadyThere(ctx context.Context, repo oci.Repository, d oci.Digest) bool {
	_, err := a.Registry.StatBlob(ctx, repo, d)
	return err == nil
}

// cancelUpload answers DELETE of an upload.
func (a *API) cancelUpload(w http.ResponseWriter, r *http.Request, req request) error {
	_, up, err := a.resume(r, req)
	if err != nil {
		return err
	}
	if err := up.Abort(r.Context()); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
