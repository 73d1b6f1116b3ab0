package provider

import (
	"context"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/terraform-plugin-framework/function"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

var _ function.Function = htpasswdEntryFunction{}

// htpasswdEntryFunction is provider::registry::htpasswd_entry. It takes a hash
// and no password: a salted hash differs with every call, and a function must
// not.
type htpasswdEntryFunction struct{}

func (htpasswdEntryFunction) Metadata(_ context.Context, _ function.MetadataRequest, resp *function.MetadataResponse) {
	resp.Name = "htpasswd_entry"
}

func (htpasswdEntryFunction) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	resp.Definition = function.Definition{
		Summary: "Makes a line of an htpasswd file",
		MarkdownDescription: "Makes a line of an htpasswd file, as `registryserver` and CNCF distribution read it, out of a user name and a bcrypt hash. " +
			"It takes the hash and not the password, since a salted hash is another one each time and would make every plan differ; make it with `htpasswd -nBC 10 USER`.",
		Parameters: []function.Parameter{
			function.StringParameter{
				Name:                "username",
				MarkdownDescription: "The user's name: not empty, no colon, no white space at its ends, not beginning with `#`.",
			},
			function.StringParameter{
				Name:                "bcrypt_hash",
				MarkdownDescription: "The bcrypt hash of the password (`$2y$…`, `$2b$…` or `$2a$…`, 60 characters, cost 4 to 15).",
			},
		},
		Return: function.StringReturn{},
	}
}

func (htpasswdEntryFunction) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	var username, hash string
	resp.Error = req.Arguments.Get(ctx, &username, &hash)
	if resp.Error != nil {
		return
	}
	if err := checkHtpasswdName(username); err != nil {
		resp.Error = function.NewArgumentFuncError(0, phrase(err))
		return
	}
	if err := oci.CheckPasswordHash(hash); err != nil {
		resp.Error = function.NewArgumentFuncError(1, phrase(err))
		return
	}
	resp.Error = resp.Result.Set(ctx, username+":"+hash)
}

// checkHtpasswdName returns why a line of an htpasswd file cannot begin with
// the name, or nil.
func checkHtpasswdName(s string) error {
	switch {
	case s == "":
		return errors.New("the user name is empty")
	case strings.Contains(s, ":"):
		return errors.New("the user name holds a colon, which ends the name in an htpasswd file")
	case strings.HasPrefix(s, "#"):
		return errors.New("the user name begins with #, which makes the line a comment")
	case strings.TrimSpace(s) != s:
		return errors.New("the user name has white space at its ends")
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return errors.New("the user name holds a control character or is not valid UTF-8")
	}
	return nil
}
