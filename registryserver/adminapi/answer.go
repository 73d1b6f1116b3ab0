package adminapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// answer is what a handler returns where there is no error.
type answer struct {
	status   int    // 0 is 200
	body     any    // JSON; nil is none
	raw      []byte // instead of body
	kind     string // content type of raw
	etag     string // without quotes; "" is made of the body
	location string // below client.BasePath
	next     string // value of ?after= of the next page
}

func (a answer) write(w http.ResponseWriter, r *http.Request) error {
	body := a.raw
	if a.body != nil {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(a.body); err != nil {
			return err
		}
		body, a.kind = b.Bytes(), "application/json"
	}
	h := w.Header()
	if a.location != "" {
		h.Set("Location", client.BasePath+a.location)
	}
	if a.next != "" {
		q := r.URL.Query()
		q.Set("after", a.next)
		h.Set("Link", "<?"+q.Encode()+`>; rel="next"`)
	}
	if body == nil {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if a.etag == "" {
		sum := sha256.Sum256(body)
		a.etag = base64.RawURLEncoding.EncodeToString(sum[:16])
	}
	h.Set("ETag", strconv.Quote(a.etag))
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		if unchanged, err := noneMatch(r, a.etag); err == nil && unchanged {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	h.Set("Content-Type", a.kind)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if a.status != 0 {
		w.WriteHeader(a.status)
	}
	_, _ = w.Write(body) // an error here means that the client is gone
	return nil
}

// statusClientClosedRequest is for the access log: nobody reads that answer.
const statusClientClosedRequest = 499

// writeError is the only place that writes errors. What a client may see is in
// an *oci.Error; everything else goes to the log.
func (a *api) writeError(w http.ResponseWriter, r *http.Request, err error) {
	var e *oci.Error
	switch {
	case errors.Is(r.Context().Err(), context.Canceled):
		w.WriteHeader(statusClientClosedRequest)
		return
	case !errors.As(err, &e):
		e = &oci.Error{Code: oci.CodeUnknown, Message: "the server could not do this; its log has the cause under the request id of this answer"}
	}
	status := e.Code.Status()
	h := w.Header()
	switch {
	case status == http.StatusUnauthorized:
		h.Set("WWW-Authenticate", a.Gate.BasicChallenge())
	case status == http.StatusTooManyRequests:
		after := time.Second
		var retry *auth.RetryError
		if errors.As(err, &retry) {
			after = retry.After
		}
		h.Set("Retry-After", strconv.Itoa(int((after+time.Second-1)/time.Second)))
	case status >= http.StatusInternalServerError:
		if errors.Is(err, storage.ErrUnavailable) {
			h.Set("Retry-After", "10") // as below /v2/
		}
		a.Log.LogAttrs(r.Context(), slog.LevelError, "admin API request failed",
			slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Any("error", err))
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(client.ErrorBody{Errors: []client.ErrorItem{{Code: e.Code, Message: e.Message, Detail: e.Detail}}})
}

// page cuts one page of names out of all, which are sorted.
func page[T any](r *http.Request, all []T, name func(T) string) (client.Page[T], error) {
	limit, after, err := paging(r)
	if err != nil {
		return client.Page[T]{}, err
	}
	return collect(limit, name, func(yield func(T, error) bool) {
		for _, item := range all {
			if name(item) > after && !yield(item, nil) {
				return
			}
		}
	})
}

// collect reads one page from a sequence that begins after what came before.
func collect[T any](limit int, name func(T) string, seq func(func(T, error) bool)) (client.Page[T], error) {
	p := client.Page[T]{Items: []T{}}
	for item, err := range seq {
		if err != nil {
			return client.Page[T]{}, err
		}
		if len(p.Items) == limit {
			p.Next = name(p.Items[limit-1])
			break
		}
		p.Items = append(p.Items, item)
	}
	return p, nil
}

// The bounds of ?limit=.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

func paging(r *http.Request) (limit int, after string, err error) {
	q := r.URL.Query()
	limit = defaultLimit
	if s := q.Get("limit"); q.Has("limit") {
		limit, err = strconv.Atoi(s)
		if err != nil || limit < 1 || limit > maxLimit {
			return 0, "", oci.Errorf(oci.CodePaginationInvalid, "the parameter limit is a number from 1 to %d", maxLimit)
		}
	}
	after = q.Get("after")
	if len(after) > oci.MaxRepositoryLength {
		return 0, "", oci.Errorf(oci.CodeInvalid, "the parameter after is longer than any name")
	}
	return limit, after, nil
}

// escaped is a name as a segment of a path.
func escaped(name string) string { return url.PathEscape(name) }
