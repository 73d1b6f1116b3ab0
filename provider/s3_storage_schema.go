package provider

import (
	"fmt"
	"regexp"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/mapvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/int64default"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/mapdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/objectdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/setdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// The algorithms of encryption at rest.
const (
	algorithmAES256 = "AES256"
	algorithmKMS    = "aws:kms"
)

// longestUploadDays is for how long a server goes on with an upload: it gives
// up abandoned ones after 168 h by itself (storage.maintenance.uploadpurging).
// A rule that aborts sooner breaks uploads.
const longestUploadDays = 7

func s3StorageSchema() schema.Schema {
	return schema.Schema{
		MarkdownDescription: "A bucket in S3 made for the images of a registry: no public access, no ACLs, TLS only, encrypted, with rules that remove what uploads and deletions leave behind. " +
			"It comes with the least IAM policy (`iam_policy_json`) and the variables (`environment`) for the server that works on it. It needs credentials of AWS (`aws` in the provider block), and no registry server.\n\n" +
			"The resource owns the whole configuration that it lists: also the bucket policy, the lifecycle rules and the tags as a whole. What others change or add there shows in the next plan, which puts it right in place. A bucket that exists already is never taken over, but by import.\n\n" +
			"~> **The images are in the bucket.** Destroying a bucket that is not empty is an error, unless `force_destroy = true` has been *applied* before.\n\n" +
			"The credentials need, on the bucket, `s3:CreateBucket`, `s3:DeleteBucket`, `s3:ListBucket`, `s3:GetBucketPublicAccessBlock`, `s3:PutBucketPublicAccessBlock`, " +
			"`s3:GetBucketOwnershipControls`, `s3:PutBucketOwnershipControls`, `s3:GetBucketPolicy`, `s3:PutBucketPolicy`, `s3:DeleteBucketPolicy`, " +
			"`s3:GetEncryptionConfiguration`, `s3:PutEncryptionConfiguration`, `s3:GetBucketVersioning`, `s3:PutBucketVersioning`, " +
			"`s3:GetLifecycleConfiguration`, `s3:PutLifecycleConfiguration`, `s3:GetBucketTagging` and `s3:PutBucketTagging`; " +
			"for `force_destroy` also `s3:ListBucketVersions`, `s3:DeleteObject`, `s3:DeleteObjectVersion`, `s3:ListBucketMultipartUploads` and `s3:AbortMultipartUpload`; " +
			"for `verify` also what is in `iam_policy_json`.",
		Attributes: merge(merge(s3StorageInputs(), s3StorageBehaviour()), s3StorageOutputs()),
	}
}

func s3StorageInputs() map[string]schema.Attribute {
	replace := []planmodifier.String{stringplanmodifier.UseStateForUnknown(), stringplanmodifier.RequiresReplace()}
	return map[string]schema.Attribute{
		"bucket": schema.StringAttribute{
			Required:            true,
			MarkdownDescription: "Name of the bucket, which nobody else in the world may have. A change makes another bucket.",
			Validators:          []validator.String{bucketNameRule()},
			PlanModifiers:       replace[1:],
		},
		"region": schema.StringAttribute{
			Optional: true, Computed: true,
			MarkdownDescription: "Region of the bucket: that of the servers. Defaults to the region of the provider when the bucket is made. A change makes another bucket.",
			Validators:          []validator.String{regionRule()},
			PlanModifiers:       replace,
		},
		"root_directory": schema.StringAttribute{
			Optional:            true,
			MarkdownDescription: "What every key of the server begins with, for a bucket that holds other things, too. It becomes part of `iam_policy_json` and `environment`.",
			Validators:          []validator.String{rootDirectoryRule()},
		},
		"encryption": encryptionSchema(),
		"versioning": schema.BoolAttribute{
			Optional: true, Computed: true,
			Default:             booldefault.StaticBool(false),
			MarkdownDescription: "Whether deleted and overwritten objects are kept for `noncurrent_version_expiration_days`, so that mistakes can be undone. Defaults to `false`; a bucket that had it once suspends it.",
		},
		"abort_incomplete_multipart_days": schema.Int64Attribute{
			Optional: true, Computed: true,
			Default: int64default.StaticInt64(longestUploadDays + 1),
			MarkdownDescription: fmt.Sprintf("After how many days S3 removes the parts of uploads that never ended: a safety net, since the server does so itself. Defaults to `%d`, which is more than the %d days for which a server goes on with an upload. Warns when that is not so.",
				longestUploadDays+1, longestUploadDays),
			Validators: []validator.Int64{int64validator.Between(1, 3650)},
		},
		"noncurrent_version_expiration_days": schema.Int64Attribute{
			Optional: true, Computed: true,
			Default:             int64default.StaticInt64(30),
			MarkdownDescription: "After how many days S3 removes versions that are no longer current, and then their delete markers; `0` keeps them. Defaults to `30`. It means something once the bucket has `versioning`.",
			Validators:          []validator.Int64{int64validator.Between(0, 3650)},
		},
		"deny_insecure_transport": schema.BoolAttribute{
			Optional: true, Computed: true,
			Default:             booldefault.StaticBool(true),
			MarkdownDescription: "Whether the bucket policy denies everything to requests without TLS. Defaults to `true`. Turn it off only for emulators that do not understand the condition; warns when `false`.",
		},
		"allowed_principal_arns": schema.SetAttribute{
			Optional: true, Computed: true,
			ElementType: types.StringType,
			Default:     setdefault.StaticValue(types.SetValueMust(types.StringType, nil)),
			MarkdownDescription: "ARNs of users and roles that the bucket policy itself allows what a registry server does: for servers in another account. Within one account give the role `iam_policy_json` instead. Defaults to none. " +
				"With `aws:kms`, the policy of the key has to allow them, too.",
			Validators: []validator.Set{setvalidator.ValueStringsAre(principalARNRule()), setvalidator.NoNullValues(), setvalidator.SizeAtMost(50)},
		},
		"tags": schema.MapAttribute{
			Optional: true, Computed: true,
			ElementType:         types.StringType,
			Default:             mapdefault.StaticValue(types.MapValueMust(types.StringType, nil)),
			MarkdownDescription: "Tags of the bucket, at most 50. Defaults to none.",
			Validators:          tagRules(),
		},
	}
}

func encryptionSchema() schema.SingleNestedAttribute {
	return schema.SingleNestedAttribute{
		Optional: true, Computed: true,
		Default: objectdefault.StaticValue(encryptionValue(bucketEncryption{algorithm: algorithmAES256})),
		MarkdownDescription: "How objects are encrypted at rest, unless the server asks for something else (it does not, by default). " +
			"A change holds for new objects. Defaults to the keys of S3 (`AES256`).",
		Attributes: map[string]schema.Attribute{
			"algorithm": schema.StringAttribute{
				Optional: true, Computed: true,
				Default:             stringdefault.StaticString(algorithmAES256),
				MarkdownDescription: "`AES256`, with keys of S3, or `aws:kms`, with a key of KMS. Defaults to `AES256`.",
				Validators:          []validator.String{stringvalidator.OneOf(algorithmAES256, algorithmKMS)},
			},
			"kms_key_id": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "ARN of the key of KMS, or of an alias for it, with `aws:kms`. Without one S3 uses the key `aws/s3` of the account, which servers of other accounts cannot use.",
				Validators:          []validator.String{kmsARNRule()},
			},
			"bucket_key_enabled": schema.BoolAttribute{
				Optional: true, Computed: true,
				MarkdownDescription: "Whether S3 derives the keys of objects from a key for the bucket, which saves nearly all requests to KMS. Defaults to `true` with `aws:kms`; it is only for that.",
			},
		},
	}
}

// s3StorageBehaviour is what says how Terraform works; it is in the state only.
func s3StorageBehaviour() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"force_destroy": schema.BoolAttribute{
			Optional: true, Computed: true,
			Default:             booldefault.StaticBool(false),
			MarkdownDescription: "Whether destroying the bucket also removes **every object in it**, with all versions and unfinished uploads. It has to be applied before the run that destroys. Defaults to `false`.",
		},
		"verify": schema.BoolAttribute{
			Optional: true, Computed: true,
			Default: booldefault.StaticBool(false),
			MarkdownDescription: "Whether to try, each time that the bucket is made or changed, all that a server does there, with an object of its own that is removed again: so that a missing permission, or a key of KMS that may not be used, is an error now and not when the first image is pushed. " +
				"It is tried with the credentials of the provider; to try those of a server, use a provider with its role in `aws.assume_role_arn`. Defaults to `false`.",
		},
		"timeouts": timeoutsSchema("create", "update", "delete"),
	}
}

func s3StorageOutputs() map[string]schema.Attribute {
	out := func(description string) schema.StringAttribute {
		return schema.StringAttribute{Computed: true, MarkdownDescription: description}
	}
	return map[string]schema.Attribute{
		"arn":                  out("ARN of the bucket."),
		"regional_domain_name": out("Host name of the bucket, which clients are redirected to for the bytes of images: they must reach it on port 443."),
		"iam_policy_json":      out("The least policy of IAM with which a registry server can work on the bucket, as JSON: for the role of the server. The use of the key is part of it where `encryption` names one."),
		"policy_json":          out("The policy of the bucket itself, as JSON; empty for none. The resource owns it: what others put there shows as a change, and is replaced."),
		"environment": schema.MapAttribute{
			Computed: true, ElementType: types.StringType,
			MarkdownDescription: "The `REGISTRY_STORAGE_*` variables with which a registry server works on the bucket. Credentials are not among them: give the server a role.",
		},
		"public_access_blocked": schema.BoolAttribute{
			Computed: true, Default: booldefault.StaticBool(true),
			MarkdownDescription: "Whether all four public access blocks are on. The resource sees to it that they are.",
		},
		"object_ownership": schema.StringAttribute{
			Computed: true, Default: stringdefault.StaticString(ownerEnforced),
			MarkdownDescription: "Who owns objects. The resource sees to it that it is `BucketOwnerEnforced`, so that there are no ACLs.",
		},
		"other_lifecycle_rules": schema.SetAttribute{
			Computed: true, ElementType: types.StringType,
			Default:             setdefault.StaticValue(types.SetValueMust(types.StringType, nil)),
			MarkdownDescription: "Ids of lifecycle rules that others have added. The resource removes them: a rule that expires or archives objects breaks images.",
		},
	}
}

var (
	principalARNRE = regexp.MustCompile(`^arn:[a-z0-9-]+:(iam::\d{12}:(root|(user|role)/[\w+=,.@/-]+)|sts::\d{12}:(assumed-role|federated-user)/[\w+=,.@/-]+)$`)
	tagKeyRE       = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,128}$`)
	tagValueRE     = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]{0,256}$`)
)

func principalARNRule() stringRule {
	return stringRule{"must be the ARN of a user, role or account", "Invalid principal", func(s string) error {
		if !principalARNRE.MatchString(s) {
			return fmt.Errorf("%q is not the ARN of a user, role or account, such as arn:aws:iam::123456789012:role/registry", s)
		}
		return nil
	}}
}

func tagRules() []validator.Map {
	return []validator.Map{
		mapvalidator.SizeAtMost(50),
		mapvalidator.NoNullValues(),
		mapvalidator.KeysAre(stringvalidator.RegexMatches(tagKeyRE, "must be 1 to 128 letters, digits, spaces and _ . : / = + - @"), notOfAWS()),
		mapvalidator.ValueStringsAre(stringvalidator.RegexMatches(tagValueRE, "must be at most 256 letters, digits, spaces and _ . : / = + - @")),
	}
}

func notOfAWS() stringRule {
	return stringRule{"must not begin with aws:", "Invalid tag", func(s string) error {
		if isAWSTag(s) {
			return fmt.Errorf("%q begins with aws:, which AWS keeps for itself", s)
		}
		return nil
	}}
}

// timeoutsSchema is the attribute timeouts for these operations.
func timeoutsSchema(operations ...string) schema.SingleNestedAttribute {
	return timeoutsSchemaFor(defaultTimeout, operations...)
}

// timeoutsSchemaFor is timeoutsSchema for operations that take another time by
// default.
func timeoutsSchemaFor(standard func(operation string) time.Duration, operations ...string) schema.SingleNestedAttribute {
	s := schema.SingleNestedAttribute{
		Optional:            true,
		MarkdownDescription: "For how long AWS is tried, as durations such as `90s` or `10m`.",
		Attributes:          map[string]schema.Attribute{},
	}
	for _, operation := range operations {
		s.Attributes[operation] = schema.StringAttribute{
			Optional:            true,
			MarkdownDescription: fmt.Sprintf("For the operation %s. Defaults to `%s`.", operation, shortDuration(standard(operation))),
			Validators:          []validator.String{timeoutRule()},
		}
	}
	return s
}

// shortDuration writes 10m0s as 10m.
func shortDuration(d time.Duration) string { return fmt.Sprintf("%dm", int(d.Minutes())) }

// encryptionValue makes the object encryption.
func encryptionValue(e bucketEncryption) types.Object {
	key := types.StringNull()
	if e.key != "" {
		key = types.StringValue(e.key)
	}
	return types.ObjectValueMust(encryptionTypes(), map[string]attr.Value{
		"algorithm": types.StringValue(e.algorithm), "kms_key_id": key, "bucket_key_enabled": types.BoolValue(e.bucketKey),
	})
}

func encryptionTypes() map[string]attr.Type {
	return map[string]attr.Type{"algorithm": types.StringType, "kms_key_id": types.StringType, "bucket_key_enabled": types.BoolType}
}
