package provider

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

type s3StorageModel struct {
	Bucket                          types.String `tfsdk:"bucket"`
	Region                          types.String `tfsdk:"region"`
	RootDirectory                   types.String `tfsdk:"root_directory"`
	Encryption                      types.Object `tfsdk:"encryption"`
	Versioning                      types.Bool   `tfsdk:"versioning"`
	AbortIncompleteMultipartDays    types.Int64  `tfsdk:"abort_incomplete_multipart_days"`
	NoncurrentVersionExpirationDays types.Int64  `tfsdk:"noncurrent_version_expiration_days"`
	DenyInsecureTransport           types.Bool   `tfsdk:"deny_insecure_transport"`
	AllowedPrincipalARNs            types.Set    `tfsdk:"allowed_principal_arns"`
	Tags                            types.Map    `tfsdk:"tags"`

	ForceDestroy types.Bool   `tfsdk:"force_destroy"`
	Verify       types.Bool   `tfsdk:"verify"`
	Timeouts     types.Object `tfsdk:"timeouts"`

	ARN                 types.String `tfsdk:"arn"`
	RegionalDomainName  types.String `tfsdk:"regional_domain_name"`
	IAMPolicyJSON       types.String `tfsdk:"iam_policy_json"`
	PolicyJSON          types.String `tfsdk:"policy_json"`
	Environment         types.Map    `tfsdk:"environment"`
	PublicAccessBlocked types.Bool   `tfsdk:"public_access_blocked"`
	ObjectOwnership     types.String `tfsdk:"object_ownership"`
	OtherLifecycleRules types.Set    `tfsdk:"other_lifecycle_rules"`
}

type encryptionModel struct {
	Algorithm        types.String `tfsdk:"algorithm"`
	KMSKeyID         types.String `tfsdk:"kms_key_id"`
	BucketKeyEnabled types.Bool   `tfsdk:"bucket_key_enabled"`
}

// settings are those that the bucket is to have. All of the model is known.
func (m *s3StorageModel) settings(ctx context.Context, diags *diag.Diagnostics) bucketSettings {
	s := bucketSettings{
		publicAccessBlocked: true,
		ownership:           ownerEnforced,
		policy:              m.PolicyJSON.ValueString(),
		versioning:          m.Versioning.ValueBool(),
		lifecycle: bucketLifecycle{
			abortDays:      int32(m.AbortIncompleteMultipartDays.ValueInt64()),    // the schema
			noncurrentDays: int32(m.NoncurrentVersionExpirationDays.ValueInt64()), // bounds both
		},
		tags: map[string]string{},
	}
	e := m.encryption(ctx, diags)
	s.encryption = bucketEncryption{e.Algorithm.ValueString(), e.KMSKeyID.ValueString(), e.BucketKeyEnabled.ValueBool()}
	diags.Append(m.Tags.ElementsAs(ctx, &s.tags, false)...)
	return s
}

func (m *s3StorageModel) encryption(ctx context.Context, diags *diag.Diagnostics) encryptionModel {
	v := values{ctx: ctx, diags: diags}
	var e encryptionModel
	v.object(m.Encryption, &e)
	return e
}

// observe writes what the bucket has into the model.
func (m *s3StorageModel) observe(ctx context.Context, s bucketSettings, diags *diag.Diagnostics) {
	v := values{ctx: ctx, diags: diags}
	m.PublicAccessBlocked = types.BoolValue(s.publicAccessBlocked)
	m.ObjectOwnership = types.StringValue(s.ownership)
	m.Encryption = encryptionValue(s.encryption)
	m.Versioning = types.BoolValue(s.versioning)
	m.AbortIncompleteMultipartDays = types.Int64Value(int64(s.lifecycle.abortDays))
	m.NoncurrentVersionExpirationDays = types.Int64Value(int64(s.lifecycle.noncurrentDays))
	m.OtherLifecycleRules = v.setOf(s.lifecycle.others, false)
	tags, more := types.MapValueFrom(ctx, types.StringType, s.tags)
	diags.Append(more...)
	m.Tags = tags

	access := m.access(encryptionModel{})
	deny, principals := readBucketPolicy(access, s.policy)
	m.DenyInsecureTransport = types.BoolValue(deny)
	m.AllowedPrincipalARNs = v.setOf(principals, false)
	if !samePolicy(m.PolicyJSON.ValueString(), s.policy) || m.PolicyJSON.IsNull() {
		m.PolicyJSON = types.StringValue(canonicalPolicy(s.policy))
	}
}

// readBucketPolicy returns which of our statements are in a policy: whether
// what comes without TLS is denied, and who is allowed what a server does.
func readBucketPolicy(access serverAccess, text string) (deny bool, principals []string) {
	var found struct{ Statement []json.RawMessage }
	if json.Unmarshal([]byte(canonicalPolicy(text)), &found) != nil {
		return false, nil
	}
	for _, statement := range found.Statement {
		var who struct{ Principal struct{ AWS []string } }
		_ = json.Unmarshal(statement, &who) // other principals are not ours
		if isStatement(statement, bucketPolicy(access, true, nil).Statement[0]) {
			deny = true
			continue
		}
		allow := bucketPolicy(access, false, who.Principal.AWS).Statement
		if len(allow) > 0 && isStatement(statement, allow[0]) {
			principals = who.Principal.AWS
		}
	}
	if len(principals) > 0 && !slices.ContainsFunc(found.Statement, func(statement json.RawMessage) bool {
		return isStatement(statement, bucketPolicy(access, false, principals).Statement[1])
	}) {
		return deny, nil // only half of it
	}
	return deny, principals
}

// isStatement reports whether a statement of a canonical policy is ours.
func isStatement(found json.RawMessage, ours policyStatement) bool {
	var document struct{ Statement []json.RawMessage }
	_ = json.Unmarshal([]byte(canonicalPolicy(newPolicy(ours).String())), &document)
	return len(document.Statement) == 1 && string(document.Statement[0]) == string(found)
}

// access is what a server does to the bucket; the region has to be known.
func (m *s3StorageModel) access(e encryptionModel) serverAccess {
	a := serverAccess{partition: partitionOf(m.Region.ValueString()).name, bucket: m.Bucket.ValueString(), root: m.RootDirectory.ValueString()}
	if e.Algorithm.ValueString() == algorithmKMS {
		a.key = e.KMSKeyID.ValueString()
	}
	return a
}

// outputs fills in what follows from the rest, as far as that is known.
func (m *s3StorageModel) outputs(ctx context.Context, conn *connection, diags *diag.Diagnostics) {
	m.ARN, m.RegionalDomainName, m.IAMPolicyJSON = types.StringUnknown(), types.StringUnknown(), types.StringUnknown()
	m.Environment = types.MapUnknown(types.StringType)
	if m.Bucket.IsUnknown() || m.Region.IsUnknown() {
		return
	}
	partition, name, region := partitionOf(m.Region.ValueString()), m.Bucket.ValueString(), m.Region.ValueString()
	m.ARN = types.StringValue(bucketARN(partition.name, name))
	m.RegionalDomainName = types.StringValue(name + ".s3." + region + "." + partition.dnsSuffix)
	if m.RootDirectory.IsUnknown() {
		return
	}
	if len(conn.aws.unknown) == 0 {
		m.Environment = m.environment(ctx, conn, diags)
	}
	e := m.encryption(ctx, diags)
	if !m.Encryption.IsUnknown() && !e.Algorithm.IsUnknown() && !e.KMSKeyID.IsUnknown() {
		m.IAMPolicyJSON = types.StringValue(newPolicy(m.access(e).statements()...).String())
	}
}

func (m *s3StorageModel) environment(ctx context.Context, conn *connection, diags *diag.Diagnostics) types.Map {
	environ := map[string]attr.Value{}
	set := func(name, value string) {
		if value != "" {
			environ["REGISTRY_STORAGE"+name] = types.StringValue(value)
		}
	}
	set("", "s3")
	set("_S3_BUCKET", m.Bucket.ValueString())
	set("_S3_REGION", m.Region.ValueString())
	set("_S3_ROOTDIRECTORY", m.RootDirectory.ValueString())
	endpoint, pathStyle, err := conn.aws.s3Environment(ctx, m.Region.ValueString())
	if err != nil {
		addAWSConfigError(diags, err)
	}
	set("_S3_REGIONENDPOINT", endpoint)
	if endpoint != "" {
		set("_S3_FORCEPATHSTYLE", strconv.FormatBool(pathStyle))
	}
	return types.MapValueMust(types.StringType, environ)
}

// desiredPolicy is the policy that the bucket is to have, in the words of had
// where that means the same.
func (m *s3StorageModel) desiredPolicy(ctx context.Context, had string, diags *diag.Diagnostics) types.String {
	v := values{ctx: ctx, diags: diags, unknown: m.Bucket.IsUnknown() || m.Region.IsUnknown() || m.RootDirectory.IsUnknown() || m.DenyInsecureTransport.IsUnknown()}
	principals := v.set(m.AllowedPrincipalARNs)
	if v.unknown {
		return types.StringUnknown()
	}
	text := ""
	if d := bucketPolicy(m.access(encryptionModel{}), m.DenyInsecureTransport.ValueBool(), principals); len(d.Statement) > 0 {
		text = d.String()
	}
	if samePolicy(text, had) {
		text = had
	}
	return types.StringValue(text)
}

// complete fills in all that was not known in the plan.
func (m *s3StorageModel) complete(ctx context.Context, conn *connection, diags *diag.Diagnostics) {
	if m.encryption(ctx, diags).BucketKeyEnabled.IsUnknown() {
		m.fillBucketKey(ctx, types.ObjectNull(encryptionTypes()), diags)
	}
	if m.PolicyJSON.IsUnknown() {
		m.PolicyJSON = m.desiredPolicy(ctx, "", diags)
	}
	m.outputs(ctx, conn, diags)
}

// fillBucketKey decides bucket_key_enabled where the configuration leaves it
// open.
func (m *s3StorageModel) fillBucketKey(ctx context.Context, config types.Object, diags *diag.Diagnostics) {
	v := values{ctx: ctx, diags: diags}
	var given, e encryptionModel
	v.object(config, &given)
	v.object(m.Encryption, &e)
	if m.Encryption.IsUnknown() || !config.IsNull() && !given.BucketKeyEnabled.IsNull() {
		return
	}
	e.BucketKeyEnabled = types.BoolUnknown()
	if !e.Algorithm.IsUnknown() {
		e.BucketKeyEnabled = types.BoolValue(e.Algorithm.ValueString() == algorithmKMS)
	}
	object, more := types.ObjectValueFrom(ctx, encryptionTypes(), e)
	diags.Append(more...)
	m.Encryption = object
}

// overTLS reports whether the requests are encrypted.
func (b bucket) overTLS() bool {
	o := b.api.Options()
	return !o.EndpointOptions.DisableHTTPS && !strings.HasPrefix(aws.ToString(o.BaseEndpoint), "http://")
}
