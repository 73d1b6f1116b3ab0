package provider

import (
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/int64default"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// mostHours bounds the validity: about 114 years, which fits a time.Duration.
const mostHours = 1_000_000

func certificateSchema() schema.Schema {
	return schema.Schema{
		MarkdownDescription: "A private key and an X.509 certificate for it: self-signed, a CA, or signed by a CA. It does what is otherwise done by hand with `openssl genrsa`, `openssl req` and `openssl x509 -days 730`, and needs no server.\n\n" +
			"A certificate is never replaced: when it is time to renew it, or when any input changes, it is issued again **in place**, with a new key, so that whatever uses it is updated and nothing is destroyed. " +
			"Terraform renews only when it runs, so run it regularly, at least once in `early_renewal_hours`.\n\n" +
			"~> **The private key is kept in the state**, marked sensitive. Keep the state where you would keep the key.",
		Attributes: merge(certificateInputs(), certificateOutputs()),
	}
}

func merge(a, b map[string]schema.Attribute) map[string]schema.Attribute {
	for name, attribute := range b {
		a[name] = attribute
	}
	return a
}

func certificateInputs() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"subject": subjectSchema(),
		"dns_names": schema.SetAttribute{
			Optional: true, Computed: true,
			ElementType:         types.StringType,
			MarkdownDescription: "Host names of the server, as clients write them; the first label may be `*`. Defaults to `subject.common_name` where that is a host name and the certificate is for a server; write `[]` for none.",
			Validators:          []validator.Set{setvalidator.ValueStringsAre(dnsNameRule())},
		},
		"ip_addresses": schema.SetAttribute{
			Optional: true, Computed: true,
			ElementType:         types.StringType,
			MarkdownDescription: "IP addresses of the server, for clients that use an address in place of a name. Defaults to `subject.common_name` where that is an IP address and the certificate is for a server.",
			Validators:          []validator.Set{setvalidator.ValueStringsAre(ipAddressRule())},
		},
		"key": keySchema(),
		"validity_period_hours": schema.Int64Attribute{
			Required:            true,
			MarkdownDescription: fmt.Sprintf("For how many hours from now on the certificate is valid, from 1 to %d; 730 days are `17520`. It begins one hour earlier, for clients whose clock is slow. A certificate ends with its issuer at the latest; if that costs it more than an hour, a warning says so.", mostHours),
			Validators:          []validator.Int64{int64validator.Between(1, mostHours)},
		},
		"early_renewal_hours": schema.Int64Attribute{
			Optional: true, Computed: true,
			Default:             int64default.StaticInt64(0),
			MarkdownDescription: "How many hours before its end a plan renews the certificate. Less than `validity_period_hours`. Defaults to `0`: renewed once it has ended. For a CA, use at least the `validity_period_hours` of what it signs. A change does not issue another certificate.",
			Validators:          []validator.Int64{int64validator.AtLeast(0)},
		},
		"is_ca_certificate": schema.BoolAttribute{
			Optional: true, Computed: true,
			Default:             booldefault.StaticBool(false),
			MarkdownDescription: "Whether this is the certificate of a CA, which can sign others. Defaults to `false`.",
		},
		"allowed_uses": schema.SetAttribute{
			Optional: true, Computed: true,
			ElementType: types.StringType,
			MarkdownDescription: "What the key may be used for, out of `" + strings.Join(allUses(), "`, `") + "`. " +
				"Defaults to `digital_signature` and `server_auth`, for RSA keys `key_encipherment` too; for a CA to `cert_signing` and `crl_signing`.",
			Validators: []validator.Set{
				setvalidator.SizeAtLeast(1),
				setvalidator.ValueStringsAre(stringvalidator.OneOf(allUses()...)),
			},
		},
		"issuer": issuerSchema(),
	}
}

func subjectSchema() schema.SingleNestedAttribute {
	part := func(most int, description string) schema.StringAttribute {
		return schema.StringAttribute{
			Optional:            true,
			MarkdownDescription: fmt.Sprintf("%s At most %d characters.", description, most),
			Validators:          []validator.String{subjectRule(most)},
		}
	}
	return schema.SingleNestedAttribute{
		Optional:            true,
		MarkdownDescription: "The distinguished name: what `openssl req` asks for. A CA needs one.",
		Attributes: map[string]schema.Attribute{
			"common_name":         part(64, "Common name (CN): the server's host name, or what a CA or user is called."),
			"organization":        part(64, "Organization (O)."),
			"organizational_unit": part(64, "Organizational unit (OU)."),
			"locality":            part(128, "Locality (L), such as the city."),
			"province":            part(128, "State or province (ST), in full."),
			"country": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Country (C): two capital letters of ISO 3166-1, such as `DE`.",
				Validators:          []validator.String{countryRule()},
			},
		},
	}
}

func keySchema() schema.SingleNestedAttribute {
	return schema.SingleNestedAttribute{
		Optional:            true,
		MarkdownDescription: "Which key to make. Defaults to ECDSA on P256, which every registry client takes and which is much faster than RSA.",
		Attributes: map[string]schema.Attribute{
			"algorithm": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "`ECDSA`, `RSA` or `ED25519`. Browsers and AWS load balancers do not take Ed25519. Defaults to `ECDSA`.",
				Validators:          []validator.String{stringvalidator.OneOf(algorithmECDSA, algorithmRSA, algorithmED25519)},
			},
			"rsa_bits": schema.Int64Attribute{
				Optional:            true,
				MarkdownDescription: "Size of an RSA key: `2048`, `3072` or `4096`. Defaults to `2048`.",
				Validators:          []validator.Int64{int64validator.OneOf(2048, 3072, 4096)},
			},
			"ecdsa_curve": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Curve of an ECDSA key: `P256`, `P384` or `P521`. Defaults to `P256`.",
				Validators:          []validator.String{stringvalidator.OneOf("P256", "P384", "P521")},
			},
		},
	}
}

func issuerSchema() schema.SingleNestedAttribute {
	return schema.SingleNestedAttribute{
		Optional:            true,
		MarkdownDescription: "The CA that signs the certificate, made here or elsewhere. Without one, the certificate signs itself. When the CA's certificate changes, this one is issued again.",
		Attributes: map[string]schema.Attribute{
			"certificate_pem": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Certificate of the CA in PEM. Further certificates may follow it, each signing the one before, as in `chain_pem` of another `registry_certificate`; they become part of this one's `chain_pem`.",
				Validators:          []validator.String{caBundleRule()},
			},
			"private_key_pem": schema.StringAttribute{
				Optional: true, Sensitive: true,
				MarkdownDescription: "Private key of the CA in PEM, unencrypted. Exactly one of `private_key_pem` and `private_key_pem_wo` is needed.",
			},
			"private_key_pem_wo": schema.StringAttribute{
				Optional: true, Sensitive: true, WriteOnly: true,
				MarkdownDescription: "The same as `private_key_pem`, but never kept in plan or state. It needs no version: it is used whenever a certificate is issued, and a change of it alone issues none.",
			},
		},
	}
}

func certificateOutputs() map[string]schema.Attribute {
	out := func(description string) schema.StringAttribute {
		return schema.StringAttribute{Computed: true, MarkdownDescription: description}
	}
	return map[string]schema.Attribute{
		"certificate_pem": out("The certificate in PEM."),
		"chain_pem":       out("The certificate, followed by that of its issuer and what the issuer's `certificate_pem` holds besides: what a server sends."),
		"private_key_pem": schema.StringAttribute{
			Computed: true, Sensitive: true,
			MarkdownDescription: "The private key in PEM (PKCS #8).",
		},
		"fingerprint_sha256":  out("SHA-256 of the certificate in hexadecimal, as `openssl x509 -noout -fingerprint -sha256` prints it but in lower case without colons."),
		"serial_number":       out("Serial number in hexadecimal: random, so that it changes with every renewal."),
		"validity_start_time": out("When the certificate begins to be valid (RFC 3339): one hour before it was issued."),
		"validity_end_time":   out("When the certificate ends (RFC 3339)."),
		"renewal_time":        out("From when on a plan renews the certificate (RFC 3339): `early_renewal_hours` before it ends."),
	}
}
