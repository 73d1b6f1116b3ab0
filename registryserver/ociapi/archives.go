package ociapi

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/distribution/reference"

	"github.com/registrykit/terraform-provider-registry/registryserver/archive"
	"github.com/registrykit/terraform-provider-registry/registryserver/events"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// ArchivesPath is where archives lie, below the prefix of the API.
const ArchivesPath = "api/v1/archives/"

// archiveTimeout is how long one write of an archive may take: a client that
// reads nothing for that long is gone, or means ill.
const archiveTimeout = 2 * time.Minute

// ServeArchive answers GET and HEAD below ArchivesPath: an image as a tar file
// for docker load. It takes the way of every request; whoever may pull may do
// it.
func (a *API) ServeArchive(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	for name, values := range a.Headers {
		h[name] = values
	}
	h.Set("X-Content-Type-Options", "nosniff")
	req, err := parseArchive(r.Method, strings.TrimPrefix(r.URL.EscapedPath(), a.Prefix), r.URL.RawQuery)
	if err == nil {
		err = a.serve(w, r, req)
	}
	if err != nil {
		a.writeError(w, r, req, err)
	}
}

// parseArchive turns a path such as api/v1/archives/team/app:v1 into a request.
// As parse, it is a pure function.
func parseArchive(method, path, query string) (request, error) {
	req := request{kind: kindArchive, method: method}
	text, err := url.PathUnescape(strings.TrimPrefix(path, ArchivesPath))
	if err == nil {
		req.query, err = url.ParseQuery(query)
	}
	if err != nil {
		return req, oci.Errorf(oci.CodeInvalid, "the URL is not well-formed; escape what is not a letter or digit")
	}
	name, digest, byDigest := strings.Cut(text, "@")
	name, tag, byTag := strings.Cut(name, ":")
	if req.repo, err = oci.ParseRepository(name); err != nil {
		return req, err
	}
	switch {
	case byDigest:
		req.ref.Digest, err = oci.ParseDigest(digest)
	case byTag:
		req.ref.Tag, err = oci.ParseTag(tag)
	default:
		req.ref.Tag, err = oci.ParseTag("latest") // as docker pull does
	}
	return req, err
}

// getArchive answers with an image as a tar file. Its length is known before
// anything is read but manifests.
func (a *API) getArchive(w http.ResponseWriter, r *http.Request, req request) error {
	from := repositorySource{a, req.repo}
	m, err := a.manifest(r.Context(), req.repo, req.ref)
	if err != nil {
		return err
	}
	if r.Method == http.MethodGet {
		a.Registry.Pulled(req.repo, req.ref)
	}
	platform := req.query.Get("platform")
	chosen, err := archive.Choose(r.Context(), from, m.Digest, platform)
	if err != nil {
		return err
	}
	var names []string
	if name := a.imageName(r, req); name != "" {
		names = append(names, name)
	}
	plan, err := archive.NewPlan(r.Context(), from, chosen, names)
	if err != nil {
		return err
	}
	size, err := plan.Size()
	if err == nil {
		err = from.have(r.Context(), plan.Blobs())
	}
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/x-tar")
	h.Set("Content-Length", strconv.FormatInt(size, 10))
	h.Set("Content-Disposition", `attachment; filename="`+fileName(req)+`"`)
	h.Set("Docker-Content-Digest", chosen.String())
	h.Set("Cache-Control", "no-store") // a tag moves, and rights end
	if r.Method == http.MethodHead {
		return nil
	}
	a.Notify(r, a.event(r, req.repo, events.Event{Action: events.Pull, Tag: req.ref.Tag.String(), Digest: m.Digest.String(), MediaType: m.MediaType, Size: int64(len(m.Content))}))
	if err := plan.Write(r.Context(), patientWriter{w, http.NewResponseController(w)}, from); err != nil {
		// The status is sent, so only an answer that ends early can say it.
		a.log(r, slog.LevelWarn, "an archive was cut off", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

// imageName is what docker load calls the image: what docker pull would. A
// digest is no name.
func (a *API) imageName(r *http.Request, req request) string {
	if req.ref.Tag.IsZero() {
		return ""
	}
	host := r.Host
	if a.Host != nil {
		host = a.Host.Host
	}
	name := host + "/" + req.repo.String() + ":" + req.ref.Tag.String()
	if named, err := reference.ParseNormalizedNamed(name); err != nil || reference.Domain(named) != host {
		return req.repo.String() + ":" + req.ref.Tag.String()
	}
	return name
}

// fileName is what a browser is to call the archive.
func fileName(req request) string {
	name := strings.ReplaceAll(req.repo.String(), "/", "_")
	if !req.ref.Tag.IsZero() {
		return name + "_" + req.ref.Tag.String() + ".tar"
	}
	return name + "_" + req.ref.Digest.Hex()[:12] + ".tar"
}

// repositorySource is a repository as an archive is made from it: what it does
// not have is not there.
type repositorySource struct {
	api  *API
	repo oci.Repository
}

func (s repositorySource) Manifest(ctx context.Context, d oci.Digest) ([]byte, error) {
	m, err := s.api.manifest(ctx, s.repo, oci.Reference{Digest: d})
	return m.Content, err
}

func (s repositorySource) Open(ctx context.Context, d oci.Digest, offset int64) (io.ReadCloser, int64, error) {
	info, err := s.stat(ctx, d)
	if err != nil {
		return nil, 0, err
	}
	content, err := s.api.Registry.OpenBlob(ctx, s.repo, info, offset)
	return content, info.Size, err
}

// stat describes a blob, once it is stored.
func (s repositorySource) stat(ctx context.Context, d oci.Digest) (storage.BlobInfo, error) {
	if s.api.Proxy != nil {
		return s.api.Proxy.StoredBlob(ctx, s.repo, d)
	}
	return s.api.Registry.StatBlob(ctx, s.repo, d)
}

// have looks for blobs while there is still an answer to say in that one is
// missing. BLOB_UNKNOWN.
func (s repositorySource) have(ctx context.Context, blobs []oci.Descriptor) error {
	for _, b := range blobs {
		info, err := s.stat(ctx, b.Digest)
		if err != nil {
			return err
		}
		if info.Size != b.Size {
			return oci.Errorf(oci.CodeManifestInvalid, "the manifest says that blob %s has %d bytes, and it has %d", b.Digest, b.Size, info.Size)
		}
	}
	return nil
}

// patientWriter gives each write of an answer its time.
type patientWriter struct {
	io.Writer
	control *http.ResponseController
}

func (w patientWriter) Write(p []byte) (int, error) {
	_ = w.control.SetWriteDeadline(time.Now().Add(archiveTimeout))
	n, err := w.Writer.Write(p)
	if err == nil {
		_ = w.control.SetWriteDeadline(time.Time{})
	}
	return n, err
}
