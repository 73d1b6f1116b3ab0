package provider

import (
	"fmt"
	"regexp"

	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/mapdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

func acmCertificateSchema() schema.Schema {
	return schema.Schema{
		MarkdownDescription: "A certificate in the certificate manager of AWS (ACM), for the load balancer before the servers: imported from PEM, such as that of a `registry_certificate`. It needs credentials of AWS (`aws` in the provider block), and no registry server.\n\n" +
			"When the certificate is renewed, it is imported again under the **same ARN**: load balancers go on with it at once, and nothing is replaced. Certificate, key and chain always go together, and are checked before: whether they belong to each other, are valid now, and are of a kind that load balancers take.\n\n" +
			"What ACM really has is compared with every plan, but for the key, which ACM does not give out.\n\n" +
			"The credentials need `acm:ImportCertificate`, `acm:GetCertificate`, `acm:DescribeCertificate`, `acm:DeleteCertificate`, `acm:ListTagsForCertificate`, `acm:AddTagsToCertificate` and `acm:RemoveTagsFromCertificate`; " +
			"and `acm:ListCertificates`, so that a certificate is not imported twice when an answer was lost.",
		Attributes: merge(acmCertificateInputs(), acmCertificateOutputs()),
	}
}

func acmCertificateInputs() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"region": schema.StringAttribute{
			Optional: true, Computed: true,
			MarkdownDescription: "Region of the load balancer. Defaults to the region of the provider when the certificate is imported first. A change makes another one.",
			Validators:          []validator.String{regionRule()},
			PlanModifiers:       []planmodifier.String{stringplanmodifier.UseStateForUnknown(), stringplanmodifier.RequiresReplace()},
		},
		"certificate_pem": schema.StringAttribute{
			Required:            true,
			MarkdownDescription: "The certificate in PEM, without its chain. Its key must be RSA with 2048, 3072 or 4096 bits, or ECDSA on P256, P384 or P521.",
			Validators:          []validator.String{leafRule()},
		},
		"certificate_chain_pem": schema.StringAttribute{
			Optional:            true,
			MarkdownDescription: "The certificates between it and a root in PEM, each of which has signed the one before. It may begin with the certificate itself, as the `chain_pem` of a `registry_certificate` does. A self-signed certificate needs none.",
			Validators:          []validator.String{caBundleRule()},
		},
		"private_key_pem": schema.StringAttribute{
			Optional: true, Sensitive: true,
			MarkdownDescription: "Private key of the certificate in PEM, unencrypted. It is kept in the state; prefer `private_key_pem_wo`. Exactly one of the two is needed.",
			Validators: []validator.String{
				privateKeyRule(),
				stringvalidator.ExactlyOneOf(path.MatchRoot("private_key_pem"), path.MatchRoot("private_key_pem_wo")),
			},
		},
		"private_key_pem_wo": schema.StringAttribute{
			Optional: true, Sensitive: true, WriteOnly: true,
			MarkdownDescription: "Private key as for `private_key_pem`, but never kept in plan or state; it may be ephemeral. It is sent whenever the certificate is imported: when `certificate_pem`, `certificate_chain_pem` or `private_key_pem_wo_version` changes.",
			Validators: []validator.String{
				privateKeyRule(),
				stringvalidator.AlsoRequires(path.MatchRoot("private_key_pem_wo_version")),
			},
		},
		"private_key_pem_wo_version": schema.StringAttribute{
			Optional:            true,
			MarkdownDescription: "Version of `private_key_pem_wo`: any text; a change imports everything again. Take what changes with the key, such as the `serial_number` of a `registry_certificate`.",
			Validators:          []validator.String{stringvalidator.LengthBetween(1, 256), stringvalidator.AlsoRequires(path.MatchRoot("private_key_pem_wo"))},
		},
		"tags": schema.MapAttribute{
			Optional: true, Computed: true,
			ElementType:         types.StringType,
			Default:             mapdefault.StaticValue(types.MapValueMust(types.StringType, nil)),
			MarkdownDescription: "Tags of the certificate in ACM, at most 50. Defaults to none.",
			Validators:          tagRules(),
		},
		"timeouts": timeoutsSchema("create", "update", "delete"),
	}
}

func acmCertificateOutputs() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"arn": schema.StringAttribute{
			Computed:            true,
			MarkdownDescription: "ARN of the certificate, for the listener of the load balancer. It stays the same when the certificate is renewed.",
			PlanModifiers:       []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
		},
		"fingerprint_sha256": schema.StringAttribute{
			Computed:            true,
			MarkdownDescription: "SHA-256 of the certificate in hexadecimal, as of a `registry_certificate`.",
		},
		"validity_end_time": schema.StringAttribute{
			Computed:            true,
			MarkdownDescription: "When the certificate ends (RFC 3339). ACM does not renew what was imported.",
		},
	}
}

func leafRule() stringRule {
	return stringRule{"must be a certificate in PEM that load balancers take", "Invalid certificate", func(s string) error {
		_, err := parseLeaf(s)
		return err
	}}
}

// privateKeyRule never repeats the value: it is a secret.
func privateKeyRule() stringRule {
	return stringRule{"must be an unencrypted private key in PEM", "Invalid private key", func(s string) error {
		_, err := parsePrivateKey(s)
		return err
	}}
}

var acmARNRE = regexp.MustCompile(`^arn:[a-z0-9-]+:acm:([a-z0-9-]+):\d{12}:certificate/[A-Za-z0-9-]+$`)

// regionOfARN is the region of a certificate, "" if the ARN is not one.
func regionOfARN(arn string) string {
	if m := acmARNRE.FindStringSubmatch(arn); m != nil {
		return m[1]
	}
	return ""
}

func acmARNRule() stringRule {
	return stringRule{"must be the ARN of a certificate", "Invalid ARN", func(s string) error {
		if regionOfARN(s) == "" {
			return fmt.Errorf("%q is not the ARN of a certificate, such as arn:aws:acm:eu-central-1:123456789012:certificate/1234abcd-12ab-34cd-56ef-1234567890ab", s)
		}
		return nil
	}}
}
