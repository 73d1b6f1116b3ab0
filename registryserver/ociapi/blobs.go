package ociapi

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/events"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/proxycache"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// getBlob answers GET and HEAD of a blob, with ranges and If-None-Match.
func (a *API) getBlob(w http.ResponseWriter, r *http.Request, req request) error {
	info, coming, err := a.findBlob(r, req)
	if err != nil {
		return err
	}
	if coming != nil {
		defer coming.Close()
	}
	if ranges := r.Header.Get("Range"); !strings.HasPrefix(ranges, "bytes=") {
		r.Header.Del("Range") // a unit that we do not know is to be ignored (RFC 9110, 14.2)
	} else if r.Header.Get("If-Range") == "" && unsatisfiable(ranges, info.Size) {
		w.Header().Set("Content-Range", "bytes */"+strconv.FormatInt(info.Size, 10))
		return oci.Errorf(oci.CodeRangeInvalid, "the Range lies outside of the blob's %d bytes", info.Size)
	}
	h := w.Header()
	h.Set("Docker-Content-Digest", req.digest.String())
	h.Set("ETag", `"`+req.digest.String()+`"`)
	h.Set("Cache-Control", "max-age=31536000")
	h.Set("Content-Type", "application/octet-stream")
	if r.Method == http.MethodHead {
		http.ServeContent(w, r, "", time.Time{}, &lazyBlob{size: info.Size})
		return nil
	}
	if coming != nil {
		return a.sendComing(w, r, coming)
	}
	sent, err := a.redirect(w, r, info)
	if sent {
		a.notifyBlob(r, req.repo, events.Event{Action: events.Pull, Digest: req.digest.String(), Size: info.Size})
	}
	if sent || err != nil {
		return err
	}
	content, err := a.Registry.OpenBlob(r.Context(), req.repo, info, 0)
	if err != nil {
		return err
	}
	defer content.Close()
	a.notifyBlob(r, req.repo, events.Event{Action: events.Pull, Digest: req.digest.String(), Size: info.Size})
	seeker, ok := content.(io.ReadSeeker)
	if !ok {
		seeker = &lazyBlob{size: info.Size, open: func(offset int64) (io.ReadCloser, error) {
			return a.Registry.OpenBlob(r.Context(), req.repo, info, offset)
		}}
	}
	http.ServeContent(w, r, "", time.Time{}, seeker)
	return nil
}

// findBlob describes a blob. A GET of one that a pull-through cache has to fetch
// returns it as it comes.
func (a *API) findBlob(r *http.Request, req request) (info storage.BlobInfo, coming *proxycache.Stream, err error) {
	switch {
	case a.Proxy == nil:
		info, err = a.Registry.StatBlob(r.Context(), req.repo, req.digest)
	case r.Method == http.MethodHead:
		info, err = a.Proxy.StatBlob(r.Context(), req.repo, req.digest)
	default:
		return a.Proxy.Blob(r.Context(), req.repo, req.digest)
	}
	return info, nil, err
}

// sendComing sends a blob while a pull-through cache fetches it.
func (a *API) sendComing(w http.ResponseWriter, r *http.Request, coming *proxycache.Stream) error {
	http.ServeContent(w, r, "", time.Time{}, coming)
	if err := coming.Err(); err != nil && r.Context().Err() == nil {
		// The status is sent, so only an answer that ends early can say it.
		a.log(r, slog.LevelWarn, "a blob that was being fetched was cut off", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

// redirect sends a client to where the store itself serves the blob, and
// reports whether there is such a place. What it is sent is as good as the
// content until it expires, so no cache may keep it.
func (a *API) redirect(w http.ResponseWriter, r *http.Request, info storage.BlobInfo) (bool, error) {
	if a.RedirectExpiry <= 0 || r.Header.Get("If-None-Match") != "" {
		return false, nil
	}
	location, err := a.Registry.BlobURL(r.Context(), info, a.RedirectExpiry)
	if location == "" || err != nil {
		return false, err
	}
	h := w.Header()
	h.Del("ETag")
	h.Del("Content-Type")
	h.Set("Cache-Control", "no-store")
	h.Set("Location", location)
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusTemporaryRedirect)
	return true, nil
}

// lazyBlob is a blob as http.ServeContent wants it, over a store that can only
// open at an offset: seeking costs nothing until something is read.
type lazyBlob struct {
	size, offset int64
	open         func(offset int64) (io.ReadCloser, error)
	content      io.ReadCloser
}

func (b *lazyBlob) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += b.offset
	case io.SeekEnd:
		offset += b.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning of a blob")
	}
	if b.content != nil && offset != b.offset {
		_ = b.content.Close()
		b.content = nil
	}
	b.offset = offset
	return offset, nil
}

func (b *lazyBlob) Read(p []byte) (int, error) {
	if b.open == nil {
		return 0, io.EOF
	}
	if b.content == nil {
		content, err := b.open(b.offset)
		if err != nil {
			return 0, err
		}
		b.content = content
	}
	n, err := b.content.Read(p)
	b.offset += int64(n)
	return n, err
}

// deleteBlob answers DELETE of a blob.
func (a *API) deleteBlob(w http.ResponseWriter, r *http.Request, req request) error {
	if err := a.Registry.DeleteBlob(r.Context(), req.repo, req.digest); err != nil {
		return err
	}
	a.notifyBlob(r, req.repo, events.Event{Action: events.Delete, Digest: req.digest.String()})
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// notifyBlob tells of what happened to a blob.
func (a *API) notifyBlob(r *http.Request, repo oci.Repository, e events.Event) {
	e.Blob, e.MediaType, e.Repository = true, events.BlobType, repo.String()
	e.URL = a.absolute(r, a.Prefix+"v2/"+e.Repository+"/blobs/"+e.Digest)
	a.Notify(r, e)
}

// startUpload answers POST blobs/uploads/: a mount, a whole blob in one
// request, or a new session.
func (a *API) startUpload(w http.ResponseWriter, r *http.Request, req request) error {
	if req.query.Has("digest") {
		return a.pushWhole(w, r, req)
	}
	if req.query.Has("mount") {
		mounted, from, err := a.mount(r.Context(), req)
		if err != nil {
			return err
		}
		if !mounted.IsZero() {
			a.notifyBlob(r, req.repo, events.Event{Action: events.Mount, Digest: mounted.String(), From: from.String()})
			a.created(w, r, req.repo, mounted)
			return nil
		}
	}
	since := a.Registry.Epoch()
	up, err := a.Registry.StartUpload(r.Context())
	if err != nil {
		return err
	}
	s := newSession(req.repo, a.Now(), since)
	return a.keep(w, r, s, up, http.StatusAccepted)
}

// mount tries to link a blob that another repository has. Where that cannot
// be, it returns no digest and the client uploads: a caller who may not pull
// from the source learns nothing of what it holds.
func (a *API) mount(ctx context.Context, req request) (d oci.Digest, from oci.Repository, err error) {
	d, err = oci.ParseDigest(req.query.Get("mount"))
	if err != nil {
		return d, from, err
	}
	who := identity(ctx)
	if name := req.query.Get("from"); name != "" {
		from, err = oci.ParseRepository(name)
		if err == nil && !who.MayMount(from) {
			err = a.Gate.Authorize(ctx, who, oci.Pull, from)
		}
		if code := oci.ErrorCode(err); code == oci.CodeUnauthorized || code == oci.CodeDenied {
			return oci.Digest{}, from, nil
		}
	} else {
		// Only where policies allow it: many repositories are looked at.
		from, err = a.Registry.FindBlob(ctx, d, who.MayMount)
	}
	if err == nil {
		err = a.Registry.MountBlob(ctx, from, req.repo, d)
	}
	if oci.ErrorCode(err) == oci.CodeBlobUnknown {
		return oci.Digest{}, from, nil
	}
	return d, from, err
}

// pushWhole answers POST ?digest= with the blob as its body.
func (a *API) pushWhole(w http.ResponseWriter, r *http.Request, req request) error {
	want, err := oci.ParseDigest(req.query.Get("digest"))
	if err != nil {
		return err
	}
	since := a.Registry.Epoch()
	up, err := a.Registry.StartUpload(r.Context())
	if err != nil {
		return err
	}
	up.Expect(want)
	if _, err := up.ReadFrom(bodyReader{r.Body}); err != nil {
		// Nobody has a Location to go on with.
		return errors.Join(err, up.Abort(context.WithoutCancel(r.Context())))
	}
	return a.commit(w, r, req.repo, up, want, since)
}

// commit ends an upload and answers 201.
func (a *API) commit(w http.ResponseWriter, r *http.Request, repo oci.Repository, up storage.Upload, want oci.Digest, since registry.Epoch) error {
	// A client, or a load balancer before it, may lose patience. What it sent is
	// all here, so it is stored all the same, and its next try finds it done.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), commitTime)
	defer cancel()
	info, err := a.Registry.CommitUpload(ctx, repo, up, want, since)
	if err != nil {
		_ = up.Close()
	} else {
		a.notifyBlob(r, repo, events.Event{Action: events.Push, Digest: want.String(), Size: info.Size})
	}
	if oci.ErrorCode(err) == oci.CodeBlobUploadUnknown && a.arrives(ctx, repo, want) {
		err = nil // another request has ended the upload meanwhile
	}
	if err != nil {
		return err
	}
	a.created(w, r, repo, want)
	return nil
}

// commitTime is how long the end of an upload may take: a server-side copy of the
// largest blob there can be.
const commitTime = 15 * time.Minute

// arrives waits a moment for a blob that another request may be about to link.
func (a *API) arrives(ctx context.Context, repo oci.Repository, d oci.Digest) bool {
	for wait := 50 * time.Millisecond; ; wait *= 2 {
		if a.alreadyThere(ctx, repo, d) {
			return true
		}
		if wait > time.Second {
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
	}
}

// created answers 201 for a blob.
func (a *API) created(w http.ResponseWriter, r *http.Request, repo oci.Repository, d oci.Digest) {
	h := w.Header()
	h.Set("Location", a.url(r, a.Prefix+"v2/"+repo.String()+"/blobs/"+d.String()))
	h.Set("Docker-Content-Digest", d.String())
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusCreated)
}
