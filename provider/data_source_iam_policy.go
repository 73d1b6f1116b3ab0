package provider

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

var _ datasource.DataSource = iamPolicyDataSource{}

// iamPolicyDataSource is registry_iam_policy: what a registry server may do to
// its bucket, as JSON. It asks nobody.
type iamPolicyDataSource struct{}

type iamPolicyModel struct {
	Bucket        types.String `tfsdk:"bucket"`
	Partition     types.String `tfsdk:"partition"`
	RootDirectory types.String `tfsdk:"root_directory"`
	KMSKeyARN     types.String `tfsdk:"kms_key_arn"`
	JSON          types.String `tfsdk:"json"`
}

func (iamPolicyDataSource) Metadata(_ context.Context, _ datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = "registry_iam_policy"
}

func (iamPolicyDataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "The least policy of IAM with which a registry server can work on its bucket: exactly the actions that the server uses. Give it to the role of the server. " +
			"It is made offline, without a server and without AWS, for a bucket that something else than `registry_s3_storage` manages; that resource has the same in `iam_policy_json`.",
		Attributes: map[string]schema.Attribute{
			"bucket": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Name of the bucket, or its ARN.",
				Validators:          []validator.String{bucketOrARNRule()},
			},
			"partition": schema.StringAttribute{
				Optional: true, Computed: true,
				MarkdownDescription: "Partition of AWS that the bucket is in: `" + strings.Join(partitionNames(), "`, `") + "`. Defaults to that of the ARN in `bucket`, else to `aws`.",
				Validators:          []validator.String{stringvalidator.OneOf(partitionNames()...)},
			},
			"root_directory": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "What every key of the server begins with (`REGISTRY_STORAGE_S3_ROOTDIRECTORY`), where it does not have the bucket for itself.",
				Validators:          []validator.String{rootDirectoryRule()},
			},
			"kms_key_arn": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "ARN of the key of KMS, or of an alias, that objects are encrypted with. Leave it out for the keys of S3 and for `aws/s3`, which need no permission.",
				Validators:          []validator.String{kmsARNRule()},
			},
			"json": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "The policy, as JSON that is always the same for the same arguments.",
			},
		},
	}
}

func (iamPolicyDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var m iamPolicyModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	partition, bucket := splitBucketARN(m.Bucket.ValueString())
	switch {
	case m.Partition.IsNull() && partition == "":
		partition = "aws"
	case !m.Partition.IsNull() && partition != "" && m.Partition.ValueString() != partition:
		resp.Diagnostics.AddAttributeError(path.Root("partition"), "Two partitions",
			fmt.Sprintf("The ARN of the bucket is of the partition %s. Leave partition out.", partition))
		return
	case !m.Partition.IsNull():
		partition = m.Partition.ValueString()
	}
	m.Partition = types.StringValue(partition)
	access := serverAccess{partition: partition, bucket: bucket, root: m.RootDirectory.ValueString(), key: m.KMSKeyARN.ValueString()}
	m.JSON = types.StringValue(newPolicy(access.statements()...).String())
	resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
}

var (
	bucketRE    = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	addressRE   = regexp.MustCompile(`^\d+\.\d+\.\d+\.\d+$`)
	bucketARNRE = regexp.MustCompile(`^arn:([a-z0-9-]+):s3:::([^:/]+)$`)
	kmsARNRE    = regexp.MustCompile(`^arn:[a-z0-9-]+:kms:[a-z0-9-]+:\d{12}:(key/[A-Za-z0-9-]+|alias/[A-Za-z0-9/_-]+)$`)
)

// checkBucketName holds a name to the rules of S3.
func checkBucketName(s string) error {
	switch {
	case !bucketRE.MatchString(s):
		return fmt.Errorf("%q is not the name of a bucket: 3 to 63 lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit", s)
	case strings.Contains(s, ".."), addressRE.MatchString(s):
		return fmt.Errorf("%q is not the name of a bucket: it must not hold two dots in a row, nor look like an IP address", s)
	case strings.HasPrefix(s, "xn--"), strings.HasPrefix(s, "sthree-"), strings.HasPrefix(s, "amzn-s3-demo-"),
		strings.HasSuffix(s, "-s3alias"), strings.HasSuffix(s, "--ol-s3"), strings.HasSuffix(s, ".mrap"), strings.HasSuffix(s, "--x-s3"), strings.HasSuffix(s, "--table-s3"):
		return fmt.Errorf("%q is a name that S3 keeps for itself; choose one that begins and ends otherwise", s)
	}
	return nil
}

func bucketNameRule() stringRule {
	return stringRule{"must be the name of a bucket", "Invalid bucket name", checkBucketName}
}

// splitBucketARN returns the partition, "" for none, and the name of a bucket.
func splitBucketARN(s string) (partition, bucket string) {
	if m := bucketARNRE.FindStringSubmatch(s); m != nil {
		return m[1], m[2]
	}
	return "", s
}

func bucketOrARNRule() stringRule {
	return stringRule{"must be the name or the ARN of a bucket", "Invalid bucket", func(s string) error {
		_, bucket := splitBucketARN(s)
		return checkBucketName(bucket)
	}}
}

func kmsARNRule() stringRule {
	return stringRule{"must be the ARN of a key of KMS", "Invalid key", func(s string) error {
		if !kmsARNRE.MatchString(s) {
			return fmt.Errorf("%q is not the ARN of a key or alias of KMS, such as arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab; an id alone names another key in every account", s)
		}
		return nil
	}}
}

// rootDirectoryRule is as strict as the server, and refuses what means
// something else in a policy.
func rootDirectoryRule() stringRule {
	return stringRule{"must be what keys begin with", "Invalid root directory", func(s string) error {
		switch {
		case len(s) > 120:
			return fmt.Errorf("it has %d bytes; at most 120 leave room for the keys below it", len(s))
		case strings.ContainsAny(s, "*?$\\\"") || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
			return errors.New("it holds *, ?, $, \\, a quote or a control character, which mean something else in a policy")
		case strings.Contains(s, "//"):
			return errors.New("it holds an empty directory (//)")
		}
		return nil
	}}
}
