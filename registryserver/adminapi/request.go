package adminapi

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// maxBody bounds the body of a request.
const maxBody = 1 << 20

// checkRequest refuses what no endpoint of this kind takes.
func checkRequest(r *http.Request, e endpoint) error {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return oci.Errorf(oci.CodeInvalid, "the query of the URL is malformed")
	}
	for name, values := range q {
		if !slices.Contains(e.query, name) {
			return oci.Errorf(oci.CodeInvalid, "unknown query parameter %q; this path knows %q", clip(name), e.query)
		}
		if len(values) > 1 {
			return oci.Errorf(oci.CodeInvalid, "the query parameter %s is given %d times", name, len(values))
		}
	}
	return nil
}

// decode reads the JSON body into v, an object with exactly the known fields.
// Its errors never hold a value: it may be a password.
func decode(r *http.Request, v any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		// A browser sends this type to another site only where that allows it.
		return oci.Errorf(oci.CodeInvalid, "the body must be JSON, with Content-Type: application/json")
	}
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return decodeError(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			return decodeError(err)
		}
		return oci.Errorf(oci.CodeInvalid, "the body holds more than one JSON document")
	}
	return nil
}

func decodeError(err error) error {
	var (
		tooLarge *http.MaxBytesError
		mismatch *json.UnmarshalTypeError
		syntax   *json.SyntaxError
	)
	switch {
	case errors.As(err, &tooLarge):
		return oci.Errorf(oci.CodeRequestEntityTooLarge, "the body is larger than %d bytes", tooLarge.Limit)
	case errors.As(err, &mismatch) && mismatch.Field != "":
		return oci.Errorf(oci.CodeInvalid, "the field %s has a value of the wrong type", clip(mismatch.Field))
	case errors.As(err, &mismatch):
		return oci.Errorf(oci.CodeInvalid, "the body is not a JSON object")
	case errors.As(err, &syntax):
		return oci.Errorf(oci.CodeInvalid, "the body is not valid JSON; see byte %d", syntax.Offset)
	case errors.Is(err, io.EOF):
		return oci.Errorf(oci.CodeInvalid, "the body is empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return oci.Errorf(oci.CodeInvalid, "the body ends in the middle of the JSON")
	}
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return oci.Errorf(oci.CodeInvalid, "unknown field %s", clip(field))
	}
	return &oci.Error{Code: oci.CodeInvalid, Message: "the body cannot be read", Err: err}
}

// condition returns what If-Match and If-None-Match ask of the object that a
// request changes. Whether it exists at all is found out first (RFC 9110
// section 13.2.1), so that "*" always holds for the one and never for the other.
func condition(r *http.Request) (auth.Condition, error) {
	tags, all, err := entityTags(r, "If-Match")
	if err != nil {
		return nil, err
	}
	not, none, err := entityTags(r, "If-None-Match")
	switch {
	case err != nil:
		return nil, err
	case none:
		return func(string) bool { return false }, nil
	case len(not) == 0 && (all || len(tags) == 0):
		return nil, nil
	}
	return func(revision string) bool {
		return !slices.Contains(not, revision) && (all || len(tags) == 0 || slices.Contains(tags, revision))
	}, nil
}

// noneMatch reports whether a GET finds what the client has already.
func noneMatch(r *http.Request, etag string) (bool, error) {
	tags, all, err := entityTags(r, "If-None-Match")
	return all || slices.Contains(tags, etag) || slices.Contains(tags, `W/"`+etag+`"`), err
}

// entityTags parses a list of entity tags (RFC 9110 section 8.8.3), or "*".
// Weak ones are kept under their quoted form: no revision of ours looks so.
func entityTags(r *http.Request, header string) (tags []string, all bool, err error) {
	for part := range strings.SplitSeq(strings.Join(r.Header.Values(header), ","), ",") {
		part = strings.TrimSpace(part)
		switch inner := strings.TrimSuffix(strings.TrimPrefix(part, `"`), `"`); {
		case part == "":
		case part == "*":
			all = true
		case strings.HasPrefix(part, `W/"`):
			tags = append(tags, part)
		case len(inner) == len(part)-2 && !strings.Contains(inner, `"`):
			tags = append(tags, inner)
		default:
			return nil, false, oci.Errorf(oci.CodeInvalid, `the header %s is malformed; write an ETag as it was received, in double quotes`, header)
		}
	}
	return tags, all, nil
}

// flag returns a query parameter that is true or false; without it, false.
func flag(r *http.Request, name string) (bool, error) {
	switch r.URL.Query().Get(name) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	if !r.URL.Query().Has(name) {
		return false, nil
	}
	return false, oci.Errorf(oci.CodeInvalid, "the query parameter %s is true or false", name)
}

// createKey returns the key by which a repeated POST is known.
func createKey(r *http.Request) (string, error) {
	key := r.Header.Get("Idempotency-Key")
	if len(key) > 128 || strings.ContainsFunc(key, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", oci.Errorf(oci.CodeInvalid, "the header Idempotency-Key is at most 128 printable characters, without spaces")
	}
	return key, nil
}

func clip(s string) string {
	const most = 100
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
