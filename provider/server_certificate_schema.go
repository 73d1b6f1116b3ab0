package provider

import (
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

func certificateNameRule() stringRule {
	return ofOCI("certificate name", oci.ParseCertificateName)
}

func serverCertificateSchema() schema.Schema {
	out := func(description string) schema.StringAttribute {
		return schema.StringAttribute{Computed: true, MarkdownDescription: description}
	}
	names := func(description string) schema.SetAttribute {
		return schema.SetAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: description}
	}
	return schema.Schema{
		MarkdownDescription: "A certificate that is installed on the registry server and shown to clients at once, without a restart: to each client the one for the name that it asks for (SNI). Of several servers on one storage, the others show it within 5 seconds.\n\n" +
			"The server needs `http.tls` with `managed: true`, and an `http.secret`, under which it encrypts the private key; it never shows the key again. " +
			"A certificate that is renewed is replaced **in place**: the old one is shown until the new one is. When another certificate is found under the name, the plan shows it and apply installs the configured one again.",
		Attributes: map[string]schema.Attribute{
			"name": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "What the certificate is called on the server: 1 to 64 lower-case letters, digits, `.`, `_` and `-`, beginning and ending with a letter or digit. A change makes another one.",
				Validators:          []validator.String{certificateNameRule()},
				PlanModifiers:       []planmodifier.String{stringplanmodifier.RequiresReplace()},
			},
			"certificate_pem": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "The certificate in PEM with its chain: the server's own first, each followed by the one that signed it, as `chain_pem` of `registry_certificate`. How the PEM is written does not matter.",
				Validators:          []validator.String{stringRule{"must be certificates in PEM, the server's own first", "Invalid certificate", checkServerChain}},
			},
			"private_key_pem": schema.StringAttribute{
				Optional: true, Sensitive: true,
				MarkdownDescription: "Private key of the certificate in PEM, unencrypted. It is kept in the state; prefer `private_key_pem_wo`. Exactly one of the two is needed.",
				Validators:          []validator.String{stringvalidator.ExactlyOneOf(path.MatchRoot("private_key_pem_wo"))},
			},
			"private_key_pem_wo": schema.StringAttribute{
				Optional: true, Sensitive: true, WriteOnly: true,
				MarkdownDescription: "The same as `private_key_pem`, but never kept in plan or state; it may be ephemeral. It is sent whenever `certificate_pem` or `private_key_pem_wo_version` changes.",
			},
			"private_key_pem_wo_version": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Version of `private_key_pem_wo`: any text; change it to send the key again. A renewal needs no change, since it changes `certificate_pem`; `serial_number` of `registry_certificate` says which key it is.",
				Validators:          []validator.String{stringvalidator.AlsoRequires(path.MatchRoot("private_key_pem_wo"))},
			},
			"fingerprint_sha256":  out("SHA-256 of the certificate in hexadecimal."),
			"serial_number":       out("Serial number in hexadecimal."),
			"dns_names":           names("Host names that the certificate is for."),
			"ip_addresses":        names("IP addresses that the certificate is for."),
			"validity_start_time": out("When the certificate begins to be valid (RFC 3339)."),
			"validity_end_time":   out("When the certificate ends (RFC 3339)."),
			"served": schema.BoolAttribute{
				Computed:            true,
				MarkdownDescription: "Whether the server shows the certificate to clients. Where it does not, a warning says why.",
			},
		},
	}
}
