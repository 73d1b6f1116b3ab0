package s3store

import (
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"
)

type smithyStack = middleware.Stack

// contentType is that of every object, as distribution has it.
const contentType = "application/octet-stream"

// attributes are what every new object gets, however it is made.
type attributes struct {
	acl        types.ObjectCannedACL
	class      types.StorageClass
	encryption types.ServerSideEncryption
	keyID      *string
}

func (s *Store) attributes() attributes {
	var a attributes
	if c := s.config; c.Encrypt {
		a.encryption = types.ServerSideEncryptionAes256
		if c.KeyID != "" {
			a.encryption, a.keyID = types.ServerSideEncryptionAwsKms, aws.String(c.KeyID)
		}
	}
	switch class := strings.ToUpper(s.config.StorageClass); class {
	case "", "NONE", "STANDARD":
	default:
		a.class = types.StorageClass(class)
	}
	switch acl := s.config.ObjectACL; acl {
	case "", "private":
	default:
		a.acl = types.ObjectCannedACL(acl)
	}
	return a
}

func (s *Store) putInput(key *string, body io.Reader) *s3.PutObjectInput {
	a := s.attributes()
	return &s3.PutObjectInput{
		Bucket: s.bucket, Key: key, Body: body, ContentType: aws.String(contentType),
		ACL: a.acl, StorageClass: a.class, ServerSideEncryption: a.encryption, SSEKMSKeyId: a.keyID,
	}
}

func (s *Store) multipartInput(key *string) *s3.CreateMultipartUploadInput {
	a := s.attributes()
	return &s3.CreateMultipartUploadInput{
		Bucket: s.bucket, Key: key, ContentType: aws.String(contentType),
		ACL: a.acl, StorageClass: a.class, ServerSideEncryption: a.encryption, SSEKMSKeyId: a.keyID,
	}
}

func (s *Store) copyInput(key *string, source *string) *s3.CopyObjectInput {
	a := s.attributes()
	return &s3.CopyObjectInput{
		Bucket: s.bucket, Key: key, CopySource: source, ContentType: aws.String(contentType), MetadataDirective: types.MetadataDirectiveReplace,
		ACL: a.acl, StorageClass: a.class, ServerSideEncryption: a.encryption, SSEKMSKeyId: a.keyID,
	}
}
