package provider

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const ownerEnforced = string(s3types.ObjectOwnershipBucketOwnerEnforced)

// bucket is a bucket and its settings as S3 has them. Its requests come one
// after the other: S3 refuses two changes of a bucket at once.
type bucket struct {
	api  *s3.Client
	name string
}

// bucketSettings is what a registry_s3_storage decides about a bucket, or what
// the bucket has.
type bucketSettings struct {
	publicAccessBlocked bool
	ownership           string
	policy              string // "" for none
	encryption          bucketEncryption
	versioning          bool
	lifecycle           bucketLifecycle
	tags                map[string]string // without those of AWS itself
}

type bucketEncryption struct {
	algorithm string // "" for none
	key       string // ARN, for aws:kms; "" for that of the account
	bucketKey bool
}

type bucketLifecycle struct {
	abortDays, noncurrentDays int32    // 0 for none
	others                    []string // ids of rules that are not ours
}

// differences names the settings in which two differ.
func (s bucketSettings) differences(t bucketSettings) []string {
	var names []string
	differ := func(name string, yes bool) {
		if yes {
			names = append(names, name)
		}
	}
	differ("public access block", s.publicAccessBlocked != t.publicAccessBlocked)
	differ("object ownership", s.ownership != t.ownership)
	differ("bucket policy", !samePolicy(s.policy, t.policy))
	differ("encryption", s.encryption != t.encryption)
	differ("versioning", s.versioning != t.versioning)
	differ("lifecycle", !s.lifecycle.equal(t.lifecycle))
	differ("tags", !maps.Equal(s.tags, t.tags))
	return names
}

func (l bucketLifecycle) equal(m bucketLifecycle) bool {
	return l.abortDays == m.abortDays && l.noncurrentDays == m.noncurrentDays && slices.Equal(l.others, m.others)
}

func isAWSTag(key string) bool { return strings.HasPrefix(strings.ToLower(key), "aws:") }

// isMissing reports whether an error says that the bucket is not there.
func isMissing(err error) bool {
	code := awsCode(err)
	return code == "NoSuchBucket" || code == "NotFound"
}

// locate returns the region of the bucket, asking in a region that may be
// another one. It is as in the client's where S3 does not say.
func (b bucket) locate(ctx context.Context) (string, error) {
	here := b.api.Options().Region
	out, err := b.api.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &b.name})
	if err != nil {
		if there := regionIn(err); there != "" && there != here && !isMissing(err) {
			return there, nil
		}
		return "", needs("s3:ListBucket", err)
	}
	if there := aws.ToString(out.BucketRegion); there != "" {
		return there, nil
	}
	return here, nil
}

// regionIn is the region that S3 points to when it refuses a request because it
// went to another one.
func regionIn(err error) string {
	e, ok := errors.AsType[*awshttp.ResponseError](err)
	if !ok || e.Response == nil || e.HTTPStatusCode() == http.StatusNotFound {
		return ""
	}
	return e.Response.Header.Get("X-Amz-Bucket-Region")
}

// read returns the settings that the bucket has.
func (b bucket) read(ctx context.Context) (bucketSettings, error) {
	var s bucketSettings
	for _, part := range []func(context.Context, *bucketSettings) error{
		b.readPublicAccess, b.readOwnership, b.readPolicy, b.readEncryption, b.readVersioning, b.readLifecycle, b.readTags,
	} {
		if err := part(ctx, &s); err != nil {
			return s, err
		}
	}
	return s, nil
}

// absent turns the error that there is no such setting into none.
func absent(err error, codes ...string) error {
	if slices.Contains(codes, awsCode(err)) {
		return nil
	}
	return err
}

func (b bucket) readPublicAccess(ctx context.Context, s *bucketSettings) error {
	out, err := b.api.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: &b.name})
	if err == nil && out.PublicAccessBlockConfiguration != nil {
		c := out.PublicAccessBlockConfiguration
		s.publicAccessBlocked = aws.ToBool(c.BlockPublicAcls) && aws.ToBool(c.BlockPublicPolicy) && aws.ToBool(c.IgnorePublicAcls) && aws.ToBool(c.RestrictPublicBuckets)
	}
	return needs("s3:GetBucketPublicAccessBlock", absent(err, "NoSuchPublicAccessBlockConfiguration"))
}

func (b bucket) readOwnership(ctx context.Context, s *bucketSettings) error {
	out, err := b.api.GetBucketOwnershipControls(ctx, &s3.GetBucketOwnershipControlsInput{Bucket: &b.name})
	if err == nil && out.OwnershipControls != nil && len(out.OwnershipControls.Rules) > 0 {
		s.ownership = string(out.OwnershipControls.Rules[0].ObjectOwnership)
	}
	return needs("s3:GetBucketOwnershipControls", absent(err, "OwnershipControlsNotFoundError"))
}

func (b bucket) readPolicy(ctx context.Context, s *bucketSettings) error {
	out, err := b.api.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: &b.name})
	if err == nil {
		s.policy = aws.ToString(out.Policy)
	}
	return needs("s3:GetBucketPolicy", absent(err, "NoSuchBucketPolicy"))
}

func (b bucket) readEncryption(ctx context.Context, s *bucketSettings) error {
	out, err := b.api.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: &b.name})
	if err == nil && out.ServerSideEncryptionConfiguration != nil {
		for _, rule := range out.ServerSideEncryptionConfiguration.Rules {
			if d := rule.ApplyServerSideEncryptionByDefault; d != nil {
				s.encryption = bucketEncryption{algorithm: string(d.SSEAlgorithm), key: aws.ToString(d.KMSMasterKeyID)}
				// With keys of S3 it means nothing, whatever S3 says.
				s.encryption.bucketKey = aws.ToBool(rule.BucketKeyEnabled) && d.SSEAlgorithm != s3types.ServerSideEncryptionAes256
			}
		}
	}
	return needs("s3:GetEncryptionConfiguration", absent(err, "ServerSideEncryptionConfigurationNotFoundError"))
}

func (b bucket) readVersioning(ctx context.Context, s *bucketSettings) error {
	out, err := b.api.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &b.name})
	if err == nil {
		s.versioning = out.Status == s3types.BucketVersioningStatusEnabled
	}
	return needs("s3:GetBucketVersioning", err)
}

// The ids of our lifecycle rules.
const (
	abortRule      = "registry-abort-incomplete-uploads"
	noncurrentRule = "registry-expire-noncurrent-versions"
)

func (b bucket) readLifecycle(ctx context.Context, s *bucketSettings) error {
	out, err := b.api.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &b.name})
	if err == nil {
		s.lifecycle = lifecycleOf(out.Rules)
	}
	return needs("s3:GetLifecycleConfiguration", absent(err, "NoSuchLifecycleConfiguration"))
}

// lifecycleOf recognises our rules. One that somebody has made do something
// else is none of ours.
func lifecycleOf(rules []s3types.LifecycleRule) bucketLifecycle {
	var l bucketLifecycle
	for _, rule := range rules {
		plain := rule.Status == s3types.ExpirationStatusEnabled && len(rule.Transitions)+len(rule.NoncurrentVersionTransitions) == 0 && everything(rule)
		abort, versions, expiration := rule.AbortIncompleteMultipartUpload, rule.NoncurrentVersionExpiration, rule.Expiration
		switch id := aws.ToString(rule.ID); {
		case id == abortRule && plain && abort != nil && versions == nil && expiration == nil:
			l.abortDays = aws.ToInt32(abort.DaysAfterInitiation)
		case id == noncurrentRule && plain && abort == nil && versions != nil && versions.NewerNoncurrentVersions == nil && onlyMarkers(expiration):
			l.noncurrentDays = aws.ToInt32(versions.NoncurrentDays)
		default:
			l.others = append(l.others, id)
		}
	}
	slices.Sort(l.others)
	return l
}

// everything reports whether a rule holds for all objects.
func everything(rule s3types.LifecycleRule) bool {
	f := rule.Filter
	return aws.ToString(rule.Prefix) == "" && (f == nil || //nolint:staticcheck // the old place of the prefix still works
		f.And == nil && f.Tag == nil && aws.ToString(f.Prefix) == "" && f.ObjectSizeGreaterThan == nil && f.ObjectSizeLessThan == nil)
}

func onlyMarkers(e *s3types.LifecycleExpiration) bool {
	return e != nil && aws.ToBool(e.ExpiredObjectDeleteMarker) && e.Date == nil && aws.ToInt32(e.Days) == 0
}

func (b bucket) readTags(ctx context.Context, s *bucketSettings) error {
	tags, err := b.tags(ctx)
	s.tags = map[string]string{}
	for _, tag := range tags {
		if !isAWSTag(aws.ToString(tag.Key)) {
			s.tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
		}
	}
	return err
}

func (b bucket) tags(ctx context.Context) ([]s3types.Tag, error) {
	out, err := b.api.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: &b.name})
	if err != nil {
		return nil, needs("s3:GetBucketTagging", absent(err, "NoSuchTagSet"))
	}
	return out.TagSet, nil
}

func (b bucket) String() string { return fmt.Sprintf("the bucket %q", b.name) }
