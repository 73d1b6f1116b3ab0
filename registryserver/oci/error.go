package oci

import (
	"errors"
	"fmt"
)

// Code is an error code of the OCI distribution-spec 1.1 (section "Error
// Codes"), or one of the codes that CNCF distribution added to them.
type Code string

// The codes that the registry answers with.
const (
	CodeBlobUnknown           Code = "BLOB_UNKNOWN"
	CodeBlobUploadInvalid     Code = "BLOB_UPLOAD_INVALID"
	CodeBlobUploadUnknown     Code = "BLOB_UPLOAD_UNKNOWN"
	CodeDigestInvalid         Code = "DIGEST_INVALID"
	CodeManifestBlobUnknown   Code = "MANIFEST_BLOB_UNKNOWN"
	CodeManifestInvalid       Code = "MANIFEST_INVALID"
	CodeManifestUnknown       Code = "MANIFEST_UNKNOWN"
	CodeNameInvalid           Code = "NAME_INVALID"
	CodeNameUnknown           Code = "NAME_UNKNOWN"
	CodeSizeInvalid           Code = "SIZE_INVALID"
	CodeUnauthorized          Code = "UNAUTHORIZED"
	CodeDenied                Code = "DENIED"
	CodeUnsupported           Code = "UNSUPPORTED"
	CodeTooManyRequests       Code = "TOOMANYREQUESTS"
	CodeTagInvalid            Code = "TAG_INVALID"
	CodeRangeInvalid          Code = "RANGE_INVALID"
	CodePaginationInvalid     Code = "PAGINATION_NUMBER_INVALID"
	CodeUnavailable           Code = "UNAVAILABLE"
	CodeUnknown               Code = "UNKNOWN"
	CodeNotFound              Code = "NOT_FOUND"          // no such endpoint or object of the admin API
	CodeMethodNotAllowed      Code = "METHOD_NOT_ALLOWED" // the path exists, not with this method
	CodeInvalid               Code = "INVALID"            // a value in a request to the admin API breaks a rule
	CodeConflict              Code = "CONFLICT"           // the object exists already, or cannot go now
	CodePreconditionFailed    Code = "PRECONDITION_FAILED"
	CodeRequestEntityTooLarge Code = "REQUEST_TOO_LARGE"
)

// Error is an error that a client may see. Message and Detail go to the
// client; Err, the cause, goes to the log and never further.
type Error struct {
	Code    Code
	Message string
	Detail  any
	Err     error
}

// Errorf returns an *Error of the given code. A %w verb records the cause for
// errors.Is, but its text becomes part of Message: use it only for causes that
// a client may read.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), Err: errors.Unwrap(err)}
}

// Error returns code and message, and the cause where there is one.
func (e *Error) Error() string {
	if e.Err != nil && e.Err.Error() != e.Message {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.Err)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is an *Error of the same code, so that
// errors.Is(err, &oci.Error{Code: oci.CodeBlobUnknown}) works across the wire.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// ErrorCode returns the code of the first *Error in err's chain, or
// CodeUnknown.
func ErrorCode(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeUnknown
}

// Status returns the HTTP status that an error of the code is answered with,
// under /v2/ and /api/v1/ alike: that of the distribution-spec, and of CNCF
// distribution for the codes it added. An unknown code is 500.
func (c Code) Status() int {
	switch c {
	case CodeBlobUploadInvalid, CodeBlobUploadUnknown, CodeBlobUnknown, CodeManifestUnknown, CodeNameUnknown, CodeNotFound:
		return 404
	case CodeDigestInvalid, CodeManifestBlobUnknown, CodeManifestInvalid, CodeNameInvalid, CodeSizeInvalid,
		CodeTagInvalid, CodePaginationInvalid, CodeInvalid:
		return 400
	case CodeRangeInvalid:
		return 416
	case CodeUnauthorized:
		return 401
	case CodeDenied:
		return 403
	case CodeUnsupported, CodeMethodNotAllowed:
		return 405
	case CodeTooManyRequests:
		return 429
	case CodeConflict:
		return 409
	case CodePreconditionFailed:
		return 412
	case CodeRequestEntityTooLarge:
		return 413
	case CodeUnavailable:
		return 503
	}
	return 500
}
