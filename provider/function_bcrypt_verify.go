package provider

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/function"
	"golang.org/x/crypto/bcrypt"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

var _ function.Function = bcryptVerifyFunction{}

// bcryptVerifyFunction is provider::registry::bcrypt_verify.
type bcryptVerifyFunction struct{}

func (bcryptVerifyFunction) Metadata(_ context.Context, _ function.MetadataRequest, resp *function.MetadataResponse) {
	resp.Name = "bcrypt_verify"
}

func (bcryptVerifyFunction) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	resp.Definition = function.Definition{
		Summary: "Says whether a bcrypt hash is that of a password",
		MarkdownDescription: "Says whether a bcrypt hash, such as the `password_hash` of a `registry_user`, is that of a password: for checks and conditions, since hashing the password again would give another hash. " +
			"The result is sensitive or ephemeral where the password is. It takes as long as a login does, by design of bcrypt.",
		Parameters: []function.Parameter{
			function.StringParameter{
				Name:                "bcrypt_hash",
				MarkdownDescription: "The bcrypt hash (`$2y$…`, `$2b$…` or `$2a$…`, 60 characters, cost 4 to 15).",
			},
			function.StringParameter{
				Name:                "password",
				MarkdownDescription: "The password, of at most 72 bytes: bcrypt reads no more, and a longer one would match whatever follows.",
			},
		},
		Return: function.BoolReturn{},
	}
}

func (bcryptVerifyFunction) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	var hash, password string
	resp.Error = req.Arguments.Get(ctx, &hash, &password)
	if resp.Error != nil {
		return
	}
	if err := oci.CheckPasswordHash(hash); err != nil {
		resp.Error = function.NewArgumentFuncError(0, phrase(err))
		return
	}
	same, err := bcryptVerify(hash, password)
	if err != nil {
		resp.Error = function.NewArgumentFuncError(1, phrase(err))
		return
	}
	resp.Error = resp.Result.Set(ctx, same)
}

// bcryptVerify compares. Its errors hold neither hash nor password.
func bcryptVerify(hash, password string) (bool, error) {
	if len(password) > oci.MaxPasswordBytes {
		return false, fmt.Errorf("the password is %d bytes long; bcrypt reads at most %d", len(password), oci.MaxPasswordBytes)
	}
	err := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password))
	if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, nil
	}
	return err == nil, err
}
