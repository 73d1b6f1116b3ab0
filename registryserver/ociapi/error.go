package ociapi

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// wireError is one entry of the spec's error body.
type wireError struct {
	Code    oci.Code `json:"code"`
	Message string   `json:"message"`
	Detail  any      `json:"detail,omitempty"`
}

// writeError is the only place that writes an error. What the client may see
// is in the *oci.Errors; everything else goes to the log.
func (a *API) writeError(w http.ResponseWriter, r *http.Request, req request, err error) {
	if gone := r.Context().Err() != nil || errors.Is(err, errClientGone); gone && oci.ErrorCode(err) == oci.CodeUnknown {
		// Nobody is there to read an answer.
		a.log(r, slog.LevelDebug, "client went away", err)
		w.WriteHeader(statusClientClosedRequest)
		return
	}
	wire := flatten(err)
	status := wire[0].Code.Status()
	switch {
	case status == http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", a.challenge(r, req))
	case status == http.StatusTooManyRequests && w.Header().Get("Retry-After") == "":
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter(err)))
	case status >= http.StatusInternalServerError:
		if errors.Is(err, storage.ErrUnavailable) {
			w.Header().Set("Retry-After", storageRetry)
		}
		a.log(r, slog.LevelError, "request failed", err)
	}
	drain(w, r)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Del("Content-Length")
	for _, name := range []string{"ETag", "Cache-Control", "Last-Modified"} {
		h.Del(name)
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_ = json.NewEncoder(w).Encode(map[string][]wireError{"errors": wire})
	}
}

// challenge says how to log in. /token itself takes a password, and so does what
// is fetched with curl.
func (a *API) challenge(r *http.Request, req request) string {
	if req.kind == kindToken || req.kind == kindArchive {
		return a.Gate.BasicChallenge()
	}
	return a.Gate.Challenge(r, req.repo, req.scope()...)
}

// flatten returns the errors for the client: those of a joined error each, and
// one that says nothing for what is not its business.
func flatten(err error) []wireError {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []wireError
		for _, e := range joined.Unwrap() {
			for _, w := range flatten(e) {
				said := func(other wireError) bool {
					return w.Detail == nil && w.Code == other.Code && w.Message == other.Message
				}
				if !slices.ContainsFunc(all, said) {
					all = append(all, w)
				}
			}
		}
		return all
	}
	var e *oci.Error
	if errors.As(err, &e) {
		return []wireError{{e.Code, e.Message, e.Detail}}
	}
	return []wireError{{Code: oci.CodeUnknown, Message: "the registry could not do this; its log has the cause under the request id of this answer"}}
}

// maxDrain and drainTime bound what is read of a body that nobody wants: a
// client that is still sending would otherwise see its connection break before
// it sees the answer.
const (
	maxDrain  = 2 * oci.MaxManifestSize
	drainTime = 5 * time.Second
)

func drain(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.ContentLength == 0 || r.ContentLength > maxDrain || r.Header.Get("Expect") != "" {
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(drainTime))
	_, _ = io.CopyN(io.Discard, r.Body, maxDrain)
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
}

// errClientGone marks an error that reading the request's body gave.
var errClientGone = errors.New("client went away")

// bodyReader marks the errors of a request's body, so that they can be told
// from those of the store.
type bodyReader struct{ io.Reader }

func (b bodyReader) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return n, &oci.Error{Code: oci.CodeRequestEntityTooLarge, Message: "the body is larger than " + strconv.FormatInt(tooLarge.Limit, 10) + " bytes", Err: err}
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return n, &oci.Error{Code: oci.CodeSizeInvalid, Message: "the body ended before the length that its Content-Length gives", Err: err}
		}
		err = errors.Join(errClientGone, err)
	}
	return n, err
}

// writeJSON writes a small answer of status 200.
func writeJSON(w http.ResponseWriter, contentType string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // an error here means that the client is gone
	return nil
}

// statusClientClosedRequest is what the access log shows for a request whose
// client did not wait for an answer, as nginx does.
const statusClientClosedRequest = 499

// log writes about a request that failed. Never its query: a Location's seals
// an upload.
func (a *API) log(r *http.Request, level slog.Level, message string, err error) {
	a.Log.LogAttrs(r.Context(), level, message,
		slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Any("error", err))
}

// storageRetry is Retry-After, in seconds, while the storage is full, read-only
// or not to be reached, which was tried for as long already. A client need not
// hurry; one that waits this long for each of its tries should still tell its
// user soon.
const storageRetry = "10"

// retryAfter is how many seconds a client should wait before it tries again.
func retryAfter(err error) int {
	var retry *auth.RetryError
	if errors.As(err, &retry) {
		return max(1, int(retry.After.Round(time.Second)/time.Second))
	}
	return 1
}
