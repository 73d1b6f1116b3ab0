package provider

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// create makes the bucket. A request whose answer was lost is repeated, and that
// the bucket is there then means that it was carried out.
func (b bucket) create(ctx context.Context) error {
	in := &s3.CreateBucketInput{Bucket: &b.name, ObjectOwnership: s3types.ObjectOwnershipBucketOwnerEnforced}
	if region := b.api.Options().Region; region != "us-east-1" { // whose name S3 refuses here
		in.CreateBucketConfiguration = &s3types.CreateBucketConfiguration{LocationConstraint: s3types.BucketLocationConstraint(region)}
	}
	maybe := false
	once := func(o *s3.Options) { o.Retryer = aws.NopRetryer{} }
	// A name may be in use for a while after a bucket was deleted: as long as there is time.
	p := settling()
	p.most = longestTimeout
	err := p.until(ctx, func(err error) bool { return lost(err) || throttled(err) || awsCode(err) == "OperationAborted" }, func() error {
		_, err := b.api.CreateBucket(ctx, in, once)
		if maybe && awsCode(err) == "BucketAlreadyOwnedByYou" {
			return nil
		}
		maybe = maybe || err != nil && lost(err)
		return err
	})
	if err != nil && maybe && ctx.Err() != nil {
		look, cancel := context.WithTimeout(context.WithoutCancel(ctx), awsAnswerTimeout)
		defer cancel()
		if _, missing := b.locate(look); missing == nil {
			return nil // the state has to know of it; the settings will find that time is up
		}
	}
	return needs("s3:CreateBucket", err)
}

// write changes the settings in which the bucket differs from what it should
// have, and waits until it has them. passes says which errors pass by
// themselves.
func (b bucket) write(ctx context.Context, have, want bucketSettings, passes func(error) bool) error {
	writers := map[string]func(context.Context, bucketSettings) error{
		"public access block": b.writePublicAccess, "object ownership": b.writeOwnership, "bucket policy": b.writePolicy,
		"encryption": b.writeEncryption, "versioning": b.writeVersioning, "lifecycle": b.writeLifecycle, "tags": b.writeTags,
	}
	for _, name := range want.differences(have) {
		err := settling().until(ctx, func(err error) bool { return passes(err) || newPrincipal(err) }, func() error { return writers[name](ctx, want) })
		if err != nil {
			return fmt.Errorf("set its %s: %w", name, err)
		}
	}
	unsettled := func(err error) bool { return passes(err) || errors.Is(err, errUnsettled) }
	return settling().until(ctx, unsettled, func() error {
		now, err := b.read(ctx)
		if err != nil {
			return err
		}
		if left := want.differences(now); len(left) > 0 {
			return fmt.Errorf("%w: %s", errUnsettled, strings.Join(left, ", "))
		}
		return nil
	})
}

// errUnsettled: reads lag behind writes, or somebody else changes the bucket at
// the same time.
var errUnsettled = errors.New("S3 confirmed the settings, but the bucket does not have them")

// newPrincipal: a role that was made a moment ago is not known everywhere yet.
func newPrincipal(err error) bool {
	return awsCode(err) == "MalformedPolicy" && strings.Contains(err.Error(), "Invalid principal")
}

func (b bucket) writePublicAccess(ctx context.Context, s bucketSettings) error {
	on := aws.Bool(s.publicAccessBlocked)
	_, err := b.api.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{Bucket: &b.name, PublicAccessBlockConfiguration: &s3types.PublicAccessBlockConfiguration{
		BlockPublicAcls: on, BlockPublicPolicy: on, IgnorePublicAcls: on, RestrictPublicBuckets: on,
	}})
	return needs("s3:PutBucketPublicAccessBlock", err)
}

func (b bucket) writeOwnership(ctx context.Context, s bucketSettings) error {
	_, err := b.api.PutBucketOwnershipControls(ctx, &s3.PutBucketOwnershipControlsInput{Bucket: &b.name, OwnershipControls: &s3types.OwnershipControls{
		Rules: []s3types.OwnershipControlsRule{{ObjectOwnership: s3types.ObjectOwnership(s.ownership)}},
	}})
	return needs("s3:PutBucketOwnershipControls", err)
}

func (b bucket) writePolicy(ctx context.Context, s bucketSettings) error {
	if s.policy == "" {
		_, err := b.api.DeleteBucketPolicy(ctx, &s3.DeleteBucketPolicyInput{Bucket: &b.name})
		return needs("s3:DeleteBucketPolicy", err)
	}
	_, err := b.api.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: &b.name, Policy: &s.policy})
	return needs("s3:PutBucketPolicy", err)
}

func (b bucket) writeEncryption(ctx context.Context, s bucketSettings) error {
	rule := s3types.ServerSideEncryptionRule{
		ApplyServerSideEncryptionByDefault: &s3types.ServerSideEncryptionByDefault{SSEAlgorithm: s3types.ServerSideEncryption(s.encryption.algorithm)},
		BucketKeyEnabled:                   aws.Bool(s.encryption.bucketKey),
	}
	if s.encryption.key != "" {
		rule.ApplyServerSideEncryptionByDefault.KMSMasterKeyID = &s.encryption.key
	}
	_, err := b.api.PutBucketEncryption(ctx, &s3.PutBucketEncryptionInput{Bucket: &b.name, ServerSideEncryptionConfiguration: &s3types.ServerSideEncryptionConfiguration{
		Rules: []s3types.ServerSideEncryptionRule{rule},
	}})
	return needs("s3:PutEncryptionConfiguration", err)
}

func (b bucket) writeVersioning(ctx context.Context, s bucketSettings) error {
	status := s3types.BucketVersioningStatusSuspended
	if s.versioning {
		status = s3types.BucketVersioningStatusEnabled
	}
	_, err := b.api.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: &b.name, VersioningConfiguration: &s3types.VersioningConfiguration{Status: status}})
	return needs("s3:PutBucketVersioning", err)
}

func (b bucket) writeLifecycle(ctx context.Context, s bucketSettings) error {
	_, err := b.api.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{Bucket: &b.name,
		LifecycleConfiguration: &s3types.BucketLifecycleConfiguration{Rules: s.lifecycle.rules()}})
	return needs("s3:PutLifecycleConfiguration", err)
}

// rules are ours; there is always one.
func (l bucketLifecycle) rules() []s3types.LifecycleRule {
	all := func() *s3types.LifecycleRuleFilter { return &s3types.LifecycleRuleFilter{Prefix: aws.String("")} }
	rules := []s3types.LifecycleRule{{
		ID: aws.String(abortRule), Status: s3types.ExpirationStatusEnabled, Filter: all(),
		AbortIncompleteMultipartUpload: &s3types.AbortIncompleteMultipartUpload{DaysAfterInitiation: &l.abortDays},
	}}
	if l.noncurrentDays > 0 {
		rules = append(rules, s3types.LifecycleRule{
			ID: aws.String(noncurrentRule), Status: s3types.ExpirationStatusEnabled, Filter: all(),
			NoncurrentVersionExpiration: &s3types.NoncurrentVersionExpiration{NoncurrentDays: &l.noncurrentDays},
			Expiration:                  &s3types.LifecycleExpiration{ExpiredObjectDeleteMarker: aws.Bool(true)},
		})
	}
	return rules
}

// writeTags sends the tags of AWS itself back, which would otherwise be lost.
func (b bucket) writeTags(ctx context.Context, s bucketSettings) error {
	had, err := b.tags(ctx)
	if err != nil {
		return err
	}
	tags := slices.DeleteFunc(had, func(t s3types.Tag) bool { return !isAWSTag(aws.ToString(t.Key)) })
	for key, value := range s.tags {
		tags = append(tags, s3types.Tag{Key: &key, Value: &value})
	}
	if len(tags) == 0 {
		_, err = b.api.DeleteBucketTagging(ctx, &s3.DeleteBucketTaggingInput{Bucket: &b.name})
	} else {
		_, err = b.api.PutBucketTagging(ctx, &s3.PutBucketTaggingInput{Bucket: &b.name, Tagging: &s3types.Tagging{TagSet: tags}})
	}
	return needs("s3:PutBucketTagging", err)
}
