package provider

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// awsModel is the argument aws of the provider block.
type awsModel struct {
	Region                types.String `tfsdk:"region"`
	Profile               types.String `tfsdk:"profile"`
	AccessKey             types.String `tfsdk:"access_key"`
	SecretKey             types.String `tfsdk:"secret_key"`
	Token                 types.String `tfsdk:"token"`
	AssumeRoleARN         types.String `tfsdk:"assume_role_arn"`
	AssumeRoleExternalID  types.String `tfsdk:"assume_role_external_id"`
	AssumeRoleSessionName types.String `tfsdk:"assume_role_session_name"`
	S3UsePathStyle        types.Bool   `tfsdk:"s3_use_path_style"`
	Endpoints             types.Object `tfsdk:"endpoints"`
}

type awsEndpointsModel struct {
	S3  types.String `tfsdk:"s3"`
	ACM types.String `tfsdk:"acm"`
	EBS types.String `tfsdk:"ebs"`
	EC2 types.String `tfsdk:"ec2"`
	SSM types.String `tfsdk:"ssm"`
	STS types.String `tfsdk:"sts"`
}

// awsSettings is the argument aws, without what it leaves to the SDK.
type awsSettings struct {
	region, profile, accessKey, secretKey, token               string
	assumeRoleARN, assumeRoleExternalID, assumeRoleSessionName string
	s3Endpoint, acmEndpoint, ssmEndpoint, stsEndpoint          string
	ebsEndpoint, ec2Endpoint                                   string
	s3UsePathStyle                                             types.Bool
}

// s3PathStyle is as it is in the server: where there is an endpoint, unless
// something else is said.
func (s awsSettings) s3PathStyle() bool {
	if s.s3UsePathStyle.IsNull() {
		return s.s3Endpoint != ""
	}
	return s.s3UsePathStyle.ValueBool()
}

// resolveAWS reads the argument aws. Arguments whose values are not known yet
// come back as unknown.
func resolveAWS(ctx context.Context, object types.Object, diags *diag.Diagnostics) (s awsSettings, unknown []string) {
	if object.IsUnknown() {
		return s, []string{"aws"}
	}
	v := values{ctx: ctx, diags: diags}
	var m awsModel
	v.object(object, &m)
	var e awsEndpointsModel
	v.object(m.Endpoints, &e)
	for name, value := range map[string]attr.Value{
		"region": m.Region, "profile": m.Profile, "access_key": m.AccessKey, "secret_key": m.SecretKey, "token": m.Token,
		"assume_role_arn": m.AssumeRoleARN, "assume_role_external_id": m.AssumeRoleExternalID, "assume_role_session_name": m.AssumeRoleSessionName,
		"s3_use_path_style": m.S3UsePathStyle, "endpoints": m.Endpoints, "endpoints.s3": e.S3, "endpoints.acm": e.ACM, "endpoints.ebs": e.EBS, "endpoints.ec2": e.EC2, "endpoints.ssm": e.SSM, "endpoints.sts": e.STS,
	} {
		if value.IsUnknown() {
			unknown = append(unknown, "aws."+name)
		}
	}
	slices.Sort(unknown)
	session := m.AssumeRoleSessionName.ValueString()
	if session == "" {
		session = "terraform-provider-registry"
	}
	return awsSettings{
		region: m.Region.ValueString(), profile: m.Profile.ValueString(),
		accessKey: m.AccessKey.ValueString(), secretKey: m.SecretKey.ValueString(), token: m.Token.ValueString(),
		assumeRoleARN: m.AssumeRoleARN.ValueString(), assumeRoleExternalID: m.AssumeRoleExternalID.ValueString(), assumeRoleSessionName: session,
		s3Endpoint: e.S3.ValueString(), acmEndpoint: e.ACM.ValueString(), ssmEndpoint: e.SSM.ValueString(), stsEndpoint: e.STS.ValueString(),
		ebsEndpoint: e.EBS.ValueString(), ec2Endpoint: e.EC2.ValueString(),
		s3UsePathStyle: m.S3UsePathStyle,
	}, unknown
}

func awsSchema() schema.SingleNestedAttribute {
	sibling := func(name string) path.Expression { return path.MatchRelative().AtParent().AtName(name) }
	text := func(description string, rules ...validator.String) schema.StringAttribute {
		return schema.StringAttribute{Optional: true, MarkdownDescription: description, Validators: append(rules, stringvalidator.LengthAtLeast(1))}
	}
	secret := func(description string, rules ...validator.String) schema.StringAttribute {
		a := text(description, rules...)
		a.Sensitive = true
		return a
	}
	role := stringvalidator.AlsoRequires(sibling("assume_role_arn"))
	return schema.SingleNestedAttribute{
		Optional: true,
		MarkdownDescription: "How to reach AWS, for `registry_s3_storage`, `registry_acm_certificate`, `registry_server_image` and `boot_reports` only. " +
			"What is left open comes from where the AWS SDK and its command line look for it: `AWS_*` variables, the shared configuration files, a web identity, the role of the container or instance. Nothing of it is read before an object needs it.",
		Attributes: map[string]schema.Attribute{
			"region":                   text("Region of objects that name none, such as `eu-central-1`. Defaults to `AWS_REGION`, or the region of the profile.", regionRule()),
			"profile":                  text("Profile of the shared configuration files. Defaults to `AWS_PROFILE`.", stringvalidator.ConflictsWith(sibling("access_key"))),
			"access_key":               text("Access key id. Prefer a profile or a role.", stringvalidator.AlsoRequires(sibling("secret_key"))),
			"secret_key":               secret("Secret access key of `access_key`; it may be ephemeral.", stringvalidator.AlsoRequires(sibling("access_key"))),
			"token":                    secret("Session token of `access_key`, where the key is temporary; it may be ephemeral.", stringvalidator.AlsoRequires(sibling("access_key"))),
			"assume_role_arn":          text("ARN of a role to assume with the credentials found.", roleARNRule()),
			"assume_role_external_id":  text("External id that the role asks for.", role),
			"assume_role_session_name": text("Name of the session of the role, as CloudTrail shows it. Defaults to `terraform-provider-registry`.", role),
			"s3_use_path_style": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "Whether the bucket is part of the path of a request and not of its host, as most servers that are not AWS want it. Defaults to `true` with `endpoints.s3`, else to `false`.",
			},
			"endpoints": schema.SingleNestedAttribute{
				Optional:            true,
				MarkdownDescription: "URLs in place of those of AWS: for an S3 server of your own, an emulator, or the endpoint of a VPC.",
				Attributes: map[string]schema.Attribute{
					"s3":  text("URL of S3, such as `http://127.0.0.1:9000`.", awsEndpointRule()),
					"acm": text("URL of the certificate manager (ACM).", awsEndpointRule()),
					"ebs": text("URL of the EBS direct API, in every region.", awsEndpointRule()),
					"ec2": text("URL of EC2, in every region.", awsEndpointRule()),
					"ssm": text("URL of Systems Manager (SSM), whose parameter `boot_reports` names.", awsEndpointRule()),
					"sts": text("URL of the security token service (STS), which `assume_role_arn` asks.", awsEndpointRule()),
				},
			},
		},
	}
}

var (
	regionRE  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)
	roleARNRE = regexp.MustCompile(`^arn:[a-z0-9-]+:iam::\d{12}:role/[\w+=,.@/-]+$`)
)

func regionRule() stringRule {
	return stringRule{"must be the name of a region of AWS", "Invalid region", func(s string) error {
		if !regionRE.MatchString(s) {
			return fmt.Errorf("%q is not the name of a region, such as eu-central-1", s)
		}
		return nil
	}}
}

func roleARNRule() stringRule {
	return stringRule{"must be the ARN of an IAM role", "Invalid role", func(s string) error {
		if !roleARNRE.MatchString(s) {
			return fmt.Errorf("%q is not the ARN of a role, such as arn:aws:iam::123456789012:role/deploy", s)
		}
		return nil
	}}
}

func awsEndpointRule() stringRule {
	return stringRule{"must be the URL of a server", "Invalid endpoint", func(s string) error {
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return fmt.Errorf("write the URL of a server, such as https://s3.example.com, without credentials and query")
		}
		return nil
	}}
}
