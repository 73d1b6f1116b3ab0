package provider

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"

	"github.com/hashicorp/terraform-plugin-framework/schema/validator"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// stringRule is a validator made of a description, the summary of its
// diagnostics, and a function that returns what is wrong with a value. It
// skips null and unknown values, as every validator must.
type stringRule struct {
	description string
	summary     string
	check       func(string) error
}

func (r stringRule) Description(context.Context) string         { return r.description }
func (r stringRule) MarkdownDescription(context.Context) string { return r.description }

func (r stringRule) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	if err := r.check(req.ConfigValue.ValueString()); err != nil {
		resp.Diagnostics.AddAttributeError(req.Path, r.summary, sentence(err))
	}
}

// ofOCI makes a rule of one of the parsers that the server uses too.
func ofOCI[T any](what string, parse func(string) (T, error)) stringRule {
	return stringRule{
		description: "must be a valid " + what,
		summary:     "Invalid " + what,
		check: func(s string) error {
			_, err := parse(s)
			return err
		},
	}
}

func usernameRule() stringRule   { return ofOCI("user name", oci.ParseUsername) }
func policyNameRule() stringRule { return ofOCI("policy name", oci.ParsePolicyName) }
func globRule() stringRule       { return ofOCI("repository glob", oci.ParseGlob) }
func actionRule() stringRule     { return ofOCI("action", oci.ParseAction) }
func repositoryRule() stringRule { return ofOCI("repository name", oci.ParseRepository) }
func tagPatternRule() stringRule { return ofOCI("tag pattern", oci.ParseTagPattern) }

func descriptionRule() stringRule {
	return stringRule{"must be a short text", "Invalid description", oci.CheckDescription}
}

// The two below never repeat the value: it is a secret.

func passwordRule() stringRule {
	return stringRule{"must be a password that the server accepts", "Invalid password", oci.CheckPassword}
}

func passwordHashRule() stringRule {
	return stringRule{"must be a bcrypt hash", "Invalid password hash", oci.CheckPasswordHash}
}

func endpointRule() stringRule {
	return stringRule{"must be the URL of a server", "Invalid endpoint", func(s string) error {
		_, err := client.New(client.Config{Endpoint: s})
		return err
	}}
}

func readyTimeoutRule() stringRule {
	return stringRule{"must be a duration from 0s to 1h", "Invalid duration", func(s string) error {
		_, err := parseReadyTimeout(s)
		return err
	}}
}

func caBundleRule() stringRule {
	return stringRule{"must be certificates in PEM", "Invalid certificate", func(s string) error {
		_, err := parseCertificates(s)
		return err
	}}
}

// parseCertificates parses one or more certificates in PEM.
func parseCertificates(s string) ([]*x509.Certificate, error) {
	var found []*x509.Certificate
	for rest := []byte(s); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, errors.New("the PEM holds something else than certificates; only blocks of type CERTIFICATE belong here")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errors.New("the PEM holds a block of type CERTIFICATE that is no X.509 certificate")
		}
		found = append(found, c)
	}
	if len(found) == 0 {
		return nil, errors.New("there is no certificate in PEM (-----BEGIN CERTIFICATE-----)")
	}
	return found, nil
}
