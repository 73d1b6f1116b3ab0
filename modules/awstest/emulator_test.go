package awstest_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/registrykit/terraform-provider-registry/modules/awstest"
)

// What is called is written down with the action that a policy has to allow and with the role that called; what is there is listed.
func TestCallsAndLeft(t *testing.T) {
	t.Parallel()
	e := awstest.Start(t, awstest.Options{})
	const role = "arn:aws:iam::" + awstest.Account + ":role/instance"
	given, err := sts.NewFromConfig(e.Config()).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String(role), RoleSessionName: aws.String("i-1")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.S3().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("images")}); err == nil {
		t.Error("a bucket of eu-central-1 is made without saying where")
	}
	_, err = e.S3().CreateBucket(t.Context(), &s3.CreateBucketInput{
		Bucket: aws.String("images"), CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(awstest.Region)},
	})
	if err != nil {
		t.Fatal(err)
	}
	asRole := s3.NewFromConfig(e.Config(), func(o *s3.Options) {
		o.UsePathStyle = true
		o.Credentials = credentials.NewStaticCredentialsProvider(*given.Credentials.AccessKeyId, *given.Credentials.SecretAccessKey, *given.Credentials.SessionToken)
	})
	if _, err := asRole.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("images"), Key: aws.String("a/b"), Body: strings.NewReader("c")}); err != nil {
		t.Fatal(err)
	}
	if _, err := asRole.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("images")}); err != nil {
		t.Fatal(err)
	}

	var got []string
	for _, c := range e.Calls(t) {
		if c.Principal == role {
			got = append(got, c.Service+":"+c.Action+" "+c.Resource)
		}
	}
	if want := []string{"s3:PutObject images/a/b", "s3:ListBucket images"}; !slices.Equal(got, want) {
		t.Errorf("the role called %q, want %q", got, want)
	}
	if left, want := e.Left(t), []string{"s3.buckets aws/images"}; !slices.Equal(left, want) {
		t.Errorf("there is %q, want %q", left, want)
	}
	e.Keep(t)
	if left := e.Left(t); len(left) > 0 {
		t.Errorf("after Keep there is %q", left)
	}
}
