package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Error is an answer of the server that is not what was asked for. Unwrap
// returns the *oci.Error that the server sent, so that oci.ErrorCode and
// errors.Is work on it.
type Error struct {
	Status    int    // HTTP status
	Method    string // of the request
	Path      string // of the request, without query
	RequestID string // what the server's log calls the request; may be empty
	// RetryAfter is how long the server asks to wait, or 0.
	RetryAfter time.Duration
	// Err is the first error of the body. Its code is UNKNOWN where the body is
	// not in the shape of this API, as when something else answers.
	Err *oci.Error
}

// Error returns what was asked, the status, and what the server said.
func (e *Error) Error() string {
	s := fmt.Sprintf("%s %s: %d %s", e.Method, e.Path, e.Status, e.Err.Message)
	if e.Err.Code != oci.CodeUnknown {
		s = fmt.Sprintf("%s %s: %s (%d): %s", e.Method, e.Path, e.Err.Code, e.Status, e.Err.Message)
	}
	if e.RequestID != "" {
		s += " (request " + e.RequestID + ")"
	}
	return s
}

// Unwrap returns what the server said.
func (e *Error) Unwrap() error { return e.Err }

// IsNotFound reports whether the server said that the object asked for does
// not exist. A 404 of anything else, such as a proxy or a wrong path in the
// endpoint, does not count: nothing was learned about the object.
func IsNotFound(err error) bool {
	var e *Error
	if !errors.As(err, &e) || e.Status != http.StatusNotFound {
		return false
	}
	switch e.Err.Code {
	case oci.CodeNameUnknown, oci.CodeManifestUnknown:
		return true
	case oci.CodeNotFound:
		_, object := e.Err.Detail.(Missing)
		return object
	}
	return false
}

// IsConflict reports whether the object exists already, is in use, or was
// changed by somebody else since its revision was read.
func IsConflict(err error) bool {
	c := oci.ErrorCode(err)
	return c == oci.CodeConflict || c == oci.CodePreconditionFailed
}

// IsImmutable reports whether the server refused because a tag is immutable by
// the settings of its repository. The message says which one and what to do.
func IsImmutable(err error) bool {
	var e *Error
	if !errors.As(err, &e) || e.Err.Code != oci.CodeDenied {
		return false
	}
	detail, _ := e.Err.Detail.(map[string]any)
	return detail["immutable_tag_pattern"] != nil
}

// responseError makes an *Error of an answer whose status is not 2xx.
func responseError(resp *http.Response, body []byte) *Error {
	e := &Error{
		Status:     resp.StatusCode,
		Method:     resp.Request.Method,
		Path:       resp.Request.URL.Path,
		RequestID:  clip(resp.Header.Get("X-Request-Id")),
		RetryAfter: retryAfter(resp.Header, time.Now()),
	}
	if loc := resp.Header.Get("Location"); resp.StatusCode/100 == 3 && loc != "" {
		e.Err = oci.Errorf(oci.CodeUnknown, "the server redirects to %s; if that is the registry, use it as the endpoint", redirectTarget(resp, loc))
		return e
	}
	var parsed struct {
		Errors []struct {
			Code    oci.Code
			Message string
			Detail  json.RawMessage
		}
	}
	if json.Unmarshal(body, &parsed) != nil || len(parsed.Errors) == 0 || parsed.Errors[0].Code == "" {
		e.Err = oci.Errorf(oci.CodeUnknown, "the answer is not from the admin API of a registry (%s)", describeBody(resp, body))
		return e
	}
	first := parsed.Errors[0]
	e.Err = &oci.Error{Code: first.Code, Message: first.Message}
	var missing Missing
	switch {
	case len(first.Detail) == 0:
	case json.Unmarshal(first.Detail, &missing) == nil && missing.Kind != "":
		e.Err.Detail = missing
	default:
		_ = json.Unmarshal(first.Detail, &e.Err.Detail)
	}
	return e
}

// redirectTarget returns the scheme and host that a Location header names; its
// path and query may hold secrets and help nobody.
func redirectTarget(resp *http.Response, loc string) string {
	u, err := resp.Request.URL.Parse(loc)
	if err != nil {
		return "an invalid address"
	}
	return u.Scheme + "://" + u.Host
}

// describeBody says what an unexpected body looks like, in one short line.
func describeBody(resp *http.Response, body []byte) string {
	kind := resp.Header.Get("Content-Type")
	if kind == "" {
		kind = "no content type"
	}
	text := strings.Join(strings.Fields(strings.ToValidUTF8(string(body[:min(len(body), 400)]), "�")), " ")
	if text == "" {
		return clip(kind) + ", empty"
	}
	return fmt.Sprintf("%s: %q", clip(kind), clip(text))
}

func clip(s string) string {
	const most = 120
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
