package provider

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/terraform-plugin-framework/diag"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// addAPIError reports the failure of a call of the admin API: what was tried,
// what the server said, and what to do next. action is such as
// "create the user \"alice\"", need names the right that it takes.
func (c *connection) addAPIError(diags *diag.Diagnostics, action, need string, err error) {
	detail := sentence(err)
	if advice := c.advice(need, err); advice != "" {
		detail += "\n\n" + advice
	}
	diags.AddError("Could not "+action, detail)
}

// advice says what can be done about err, or nothing.
func (c *connection) advice(need string, err error) string {
	var (
		answer    *client.Error
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		dial      *net.OpError
	)
	switch {
	case errors.As(err, &authority):
		return "The certificate of the server is not signed by an authority that this machine trusts. Set ca_certificate in the provider block to the certificate of the authority that signed it (or to the server's own, if it is self-signed)."
	case errors.As(err, &hostname):
		return "The certificate of the server is for another name. Use that name in endpoint, or give the server a certificate with this one."
	case errors.As(err, &dial) && dial.Op == "dial":
		return "Nobody answers there. Start the server, or mend endpoint and network, and run Terraform again. If the server is gone for good, with all that it kept, let Terraform forget its objects: terraform state rm ADDRESS, for each that terraform state list shows."
	case !errors.As(err, &answer):
		return ""
	case answer.Status == http.StatusUnauthorized && c.login == "":
		return "The provider has no credentials. Set username and password (REGISTRY_USERNAME, REGISTRY_PASSWORD), or token."
	case answer.Status == http.StatusUnauthorized:
		return fmt.Sprintf("The server does not accept the provider's credentials (%s): the password or token is wrong or has ended, or the user is disabled or gone.", c.login)
	case client.IsImmutable(err): // which says what to do
	case answer.Status == http.StatusForbidden:
		return fmt.Sprintf("The provider logs in with %s, which lacks %s.", c.who(), need)
	case client.IsNotFound(err):
		return "Somebody else has deleted it since Terraform read it. Plan and apply again to create it."
	case oci.ErrorCode(err) == oci.CodePreconditionFailed:
		return "It has changed since Terraform read it: somebody else was faster, or the answer to a first try was lost. Plan and apply again."
	}
	return ""
}

func (c *connection) who() string {
	if c.login == "" {
		return "no credentials"
	}
	return c.login
}

// exists reports whether an object could be read.
func exists[T any](_ T, err error) bool { return err == nil }

// addExists reports that something to create is there already, and how to take
// it over.
func addExists(diags *diag.Diagnostics, kind, resourceType, id string) {
	diags.AddError(fmt.Sprintf("The %s %q exists already", kind, id), fmt.Sprintf(
		"Terraform does not take over what it did not make. To manage the existing %s, import it:\n\n"+
			"  terraform import %s.NAME %s\n\n"+
			"where NAME is what this resource is called in the configuration. To make another one, choose another name.",
		kind, resourceType, id))
}

// phrase is the text of an error without its code, where no server was asked
// and the code thus adds nothing.
func phrase(err error) string {
	var known *oci.Error
	if errors.As(err, &known) && err.Error() == known.Error() {
		return known.Message
	}
	return err.Error()
}

// sentence makes a diagnostic's sentence of an error.
func sentence(err error) string {
	s := phrase(err)
	first, size := utf8.DecodeRuneInString(s)
	s = string(unicode.ToUpper(first)) + s[size:]
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}
