package ociapi

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
)

// session is an upload as its Location URL carries it. Sealed with the shared
// HTTP secret, so that any instance can go on with it and no client can make
// one up.
type session struct {
	ID      string    `json:"i"`
	Repo    string    `json:"r"`
	Offset  int64     `json:"o"` // the size when the Location was given out
	Started time.Time `json:"s"`
	State   []byte    `json:"u"` // the store's
	// Epoch is that in which the upload began.
	Epoch registry.Epoch `json:"e"`
}

const (
	sessionPurpose = "upload session"
	// maxSessionToken bounds what is unsealed; Locations stay under 2 KB.
	maxSessionToken = 4 << 10
	sessionQuery    = "_state"
)

func newSession(repo oci.Repository, now time.Time, epoch registry.Epoch) session {
	return session{Epoch: epoch, ID: uuid.NewString(), Repo: repo.String(), Started: now.UTC().Truncate(time.Second)}
}

// seal returns the path and query of the session's URL.
func (s session) seal(keys *auth.Keyring, prefix string) (string, error) {
	plain, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	sealed, err := keys.Seal(sessionPurpose, plain, []byte(s.Repo+" "+s.ID))
	if err != nil {
		return "", err
	}
	return prefix + "v2/" + s.Repo + "/blobs/uploads/" + s.ID + "?" + sessionQuery + "=" + base64.RawURLEncoding.EncodeToString(sealed), nil
}

// openSession returns the session of a request. It must be for the repository
// and upload in its path. BLOB_UPLOAD_INVALID for a state that is missing,
// forged, of another upload or too old.
func openSession(keys *auth.Keyring, req request, now time.Time, lifetime time.Duration) (session, error) {
	invalid := func(why string, cause error) (session, error) {
		return session{}, &oci.Error{Code: oci.CodeBlobUploadInvalid, Message: "upload session " + why + "; use the Location of the last answer, or start a new upload", Err: cause}
	}
	token := req.query.Get(sessionQuery)
	if token == "" {
		return invalid("has no "+sessionQuery+" parameter", nil)
	}
	if len(token) > maxSessionToken {
		return invalid("is too long", nil)
	}
	sealed, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return invalid("does not decode", err)
	}
	plain, err := keys.Open(sessionPurpose, sealed, []byte(req.repo.String()+" "+req.upload))
	if err != nil {
		return invalid("was not issued by this registry for this upload", err)
	}
	var s session
	if err := json.Unmarshal(plain, &s); err != nil {
		return invalid("does not parse", err)
	}
	if now.Sub(s.Started) > lifetime {
		return invalid("has expired", nil)
	}
	return s, nil
}

// contentRange parses the Content-Range of a chunk: "<start>-<end>", both
// inclusive (distribution-spec "Pushing a blob in chunks"); the forms of RFC
// 9110, "bytes start-end/size", are accepted too. ok is false without the
// header. RANGE_INVALID, SIZE_INVALID.
func contentRange(h http.Header, contentLength int64) (start int64, ok bool, err error) {
	value := h.Get("Content-Range")
	if value == "" {
		return 0, false, nil
	}
	m := contentRangeRE.FindStringSubmatch(value)
	if m == nil {
		return 0, false, oci.Errorf(oci.CodeRangeInvalid, "Content-Range is not <start>-<end>")
	}
	start, err1 := strconv.ParseInt(m[1], 10, 64)
	end, err2 := strconv.ParseInt(m[2], 10, 64)
	if err1 != nil || err2 != nil || end < start {
		return 0, false, oci.Errorf(oci.CodeRangeInvalid, "Content-Range is not <start>-<end> with start at most end")
	}
	if contentLength >= 0 && end-start+1 != contentLength {
		return 0, false, oci.Errorf(oci.CodeSizeInvalid, "Content-Range spans %d bytes, but the body has %d", end-start+1, contentLength)
	}
	return start, true, nil
}

// uploadRange is the Range header of an upload's answers. The spec has no way
// to say "nothing yet"; every registry says 0-0.
func uploadRange(size int64) string {
	return "0-" + strconv.FormatInt(max(size-1, 0), 10)
}
