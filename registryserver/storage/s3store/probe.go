package s3store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/uuid"
)

var errNoConditions = errors.New("its server does not honour conditional writes (If-Match, If-None-Match), without which tags and uploads could be damaged: use AWS S3, or a server that does")

// probe tries what the store relies on, with an object of its own.
func (s *Store) probe(ctx context.Context) (err error) {
	key := s.key(probesDir + "/" + uuid.NewString())
	put := func(change func(*s3.PutObjectInput)) error {
		in := s.putInput(key, bytes.NewReader([]byte("probe")))
		change(in)
		_, err := s.api.PutObject(ctx, in)
		return err
	}
	absent := func(in *s3.PutObjectInput) { in.IfNoneMatch = aws.String("*") }
	wrong := aws.String(`"00000000000000000000000000000000"`)
	if err := put(absent); err != nil {
		return err
	}
	defer func() {
		_, e := s.api.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: s.bucket, Key: key})
		err = errors.Join(err, e)
	}()
	if err := mustFail(put(absent)); err != nil {
		return err
	}
	if err := mustFail(put(func(in *s3.PutObjectInput) { in.IfMatch = wrong })); err != nil {
		return err
	}
	_, err = s.api.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: s.bucket, Key: key, IfMatch: wrong})
	if err := mustFail(err); err != nil {
		return err
	}
	head, err := s.api.HeadObject(ctx, &s3.HeadObjectInput{Bucket: s.bucket, Key: key})
	if notThere(err) {
		return errNoConditions // the conditional delete deleted it
	}
	if err == nil && aws.ToString(head.ETag) == "" {
		return errors.New("its server gives objects no ETag, without which tags and uploads could be damaged")
	}
	return err
}

// mustFail turns the error of a condition that does not hold into none, and
// success into an error.
func mustFail(err error) error {
	switch {
	case err == nil, status(err) == http.StatusNotImplemented:
		return errNoConditions
	case preconditionFailed(err):
		return nil
	}
	return err
}

// explain says which setting to change about an error of New.
func explain(c Config, err error) error {
	if errors.Is(err, errNoConditions) {
		return err
	}
	advice := ""
	dns, isDNS := errors.AsType[*net.DNSError](err)
	switch code(err) {
	case "NoSuchBucket":
		advice = "there is no such bucket: create it, or name another (storage.s3.bucket, REGISTRY_STORAGE_S3_BUCKET)"
	case "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken", "ExpiredToken", "XAdminUserNotFound":
		advice = "the access key is unknown or has expired: correct storage.s3.accesskey and storage.s3.secretkey (REGISTRY_STORAGE_S3_ACCESSKEY, REGISTRY_STORAGE_S3_SECRETKEY), or remove both to use the role of the machine"
	case "SignatureDoesNotMatch":
		advice = "the secret key does not belong to the access key: correct storage.s3.secretkey (REGISTRY_STORAGE_S3_SECRETKEY)"
	case "AccessDenied", "Forbidden", "AllAccessDisabled":
		advice = "these credentials may not use it: allow s3:ListBucket, s3:ListBucketMultipartUploads on the bucket and s3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload, s3:ListMultipartUploadParts on its objects, or give others (storage.s3.accesskey, REGISTRY_STORAGE_S3_ACCESSKEY)"
	case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "MovedPermanently":
		advice = fmt.Sprintf("it is not in the region %s: correct storage.s3.region (REGISTRY_STORAGE_S3_REGION)", c.Region)
	case "":
		switch {
		case isDNS && c.RegionEndpoint == "":
			advice = fmt.Sprintf("%s does not resolve: correct storage.s3.region (REGISTRY_STORAGE_S3_REGION)", dns.Name)
		case isDNS, isNetwork(err):
			advice = "its server cannot be reached: correct storage.s3.regionendpoint (REGISTRY_STORAGE_S3_REGIONENDPOINT) or the network"
		case status(err) == http.StatusMovedPermanently:
			advice = fmt.Sprintf("it is not in the region %s: correct storage.s3.region (REGISTRY_STORAGE_S3_REGION)", c.Region)
		case status(err) == 0:
			advice = "if there are no credentials: set storage.s3.accesskey and storage.s3.secretkey (REGISTRY_STORAGE_S3_ACCESSKEY, REGISTRY_STORAGE_S3_SECRETKEY), or give the machine a role"
		}
	}
	if advice == "" {
		return err
	}
	return fmt.Errorf("%s (%w)", advice, err)
}

func isNetwork(err error) bool {
	_, ok := errors.AsType[*net.OpError](err)
	return ok
}
