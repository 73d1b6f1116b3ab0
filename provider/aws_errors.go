package provider

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/hashicorp/terraform-plugin-framework/diag"
)

// awsConfig is the SDK's configuration, which has credentials, or says why there
// is none.
func (c *connection) awsConfig(ctx context.Context, region string, diags *diag.Diagnostics) (aws.Config, bool) {
	switch {
	case c == nil || c.aws == nil:
		diags.AddError("Provider not configured", "The provider was not configured. This is a bug of the provider; please report it.")
		return aws.Config{}, false
	case len(c.aws.unknown) > 0:
		diags.AddError("Provider configuration not known yet", fmt.Sprintf(
			"The provider's %s will be known only after apply, but AWS is needed now. Apply the resources that it comes from first, with -target.",
			strings.Join(c.aws.unknown, ", ")))
		return aws.Config{}, false
	}
	config, err := c.aws.config(ctx)
	if err != nil {
		addAWSConfigError(diags, err)
		return aws.Config{}, false
	}
	if region == "" {
		addNoRegion(diags)
		return aws.Config{}, false
	}
	search, cancel := context.WithTimeout(ctx, awsCredentialsTimeout)
	defer cancel()
	if _, err := config.Credentials.Retrieve(search); err != nil {
		c.aws.addNoCredentials(diags, err)
		return aws.Config{}, false
	}
	return config, true
}

// s3 returns a client for a region, or says why there is none and returns nil.
func (c *connection) s3(ctx context.Context, region string, diags *diag.Diagnostics) *s3.Client {
	config, ok := c.awsConfig(ctx, region, diags)
	if !ok {
		return nil
	}
	return c.aws.s3In(config, region)
}

// acm returns a client for a region, or says why there is none and returns nil.
func (c *connection) acm(ctx context.Context, region string, diags *diag.Diagnostics) *acm.Client {
	config, ok := c.awsConfig(ctx, region, diags)
	if !ok {
		return nil
	}
	return c.aws.acmIn(config, region)
}

// awsRegion is the region of an object that names none, "" with an error in
// diags if there is none, or if it is not known yet: then known is false.
func (c *connection) awsRegion(ctx context.Context, diags *diag.Diagnostics) (region string, known bool) {
	if c == nil || c.aws == nil || len(c.aws.unknown) > 0 {
		return "", false
	}
	region, err := c.aws.region(ctx)
	switch {
	case err != nil:
		addAWSConfigError(diags, err)
	case region == "":
		addNoRegion(diags)
	}
	return region, true
}

// awsUnreadable is unreadable for what lives in AWS.
func (c *connection) awsUnreadable(what string, diags *diag.Diagnostics) bool {
	if c == nil || c.aws == nil || len(c.aws.unknown) == 0 {
		return false
	}
	diags.AddWarning("Not refreshed: provider configuration not known yet", fmt.Sprintf(
		"The provider's %s will be known only after apply, so that %s was not compared with AWS. Plan once more afterwards.",
		strings.Join(c.aws.unknown, ", "), what))
	return true
}

func addAWSConfigError(diags *diag.Diagnostics, err error) {
	advice := "Correct the argument aws of the provider block, the AWS_* variables or the shared configuration files."
	if e, ok := errors.AsType[awsconfig.SharedConfigProfileNotExistError](err); ok {
		advice = fmt.Sprintf("There is no profile %q in the shared configuration files. Correct aws.profile or AWS_PROFILE, or add it with aws configure.", e.Profile)
	}
	diags.AddError("Invalid AWS configuration", sentence(err)+"\n\n"+advice)
}

func addNoRegion(diags *diag.Diagnostics) {
	diags.AddError("No AWS region", `This object lives in AWS, and nobody says in which region. Set region here, or aws = { region = "eu-central-1" } in the provider block, or AWS_REGION in the environment.`)
}

func (a *awsAccess) addNoCredentials(diags *diag.Diagnostics, err error) {
	if a.settings.assumeRoleARN != "" && awsStatus(err) != 0 {
		diags.AddError("Could not assume the role "+a.settings.assumeRoleARN, sentence(err)+
			"\n\nThe credentials must be allowed sts:AssumeRole on the role, and the role must trust them. Check aws.assume_role_external_id, too.")
		return
	}
	diags.AddError("No AWS credentials", "No credentials were found that AWS accepts. Set aws = { profile = … } or aws = { access_key = …, secret_key = … } in the provider block, "+
		"AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, or run where there is a role.\n\nThe search ended with: "+sentence(err))
}

// awsStatus is the HTTP status of an answer that is an error, else 0.
func awsStatus(err error) int {
	if e, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		return e.HTTPStatusCode()
	}
	return 0
}

// awsCode is the code of an error of AWS, else "".
func awsCode(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}

// permissionError is the error of a request that takes an action of IAM.
type permissionError struct {
	permission string
	err        error
}

func (e *permissionError) Error() string { return e.err.Error() }
func (e *permissionError) Unwrap() error { return e.err }

func needs(permission string, err error) error {
	if err == nil {
		return nil
	}
	return &permissionError{permission, err}
}

// addAWSError reports a failed request: what was tried, what AWS said, and what
// to do next.
func addAWSError(diags *diag.Diagnostics, action string, err error) {
	detail := sentence(err)
	if advice := awsAdvice(err); advice != "" {
		detail += "\n\n" + advice
	}
	diags.AddError("Could not "+action, detail)
}

// notAuthorizedRE is what AWS says about a denied request. It names the action
// even where the cause is another service, such as a key of KMS.
var notAuthorizedRE = regexp.MustCompile(`not authorized to perform: ([a-z0-9-]+:\w+)`)

func awsAdvice(err error) string {
	permission := "a permission"
	if e, ok := errors.AsType[*permissionError](err); ok {
		permission = e.permission
	}
	_, isNetwork := errors.AsType[*net.OpError](err)
	switch code := awsCode(err); {
	case code == "AccessDenied" || code == "AccessDeniedException" || code == "UnauthorizedOperation" || awsStatus(err) == http.StatusForbidden && code == "Forbidden":
		if said := notAuthorizedRE.FindStringSubmatch(err.Error()); said != nil {
			permission = said[1]
		}
		return fmt.Sprintf("The credentials lack %s: allow it in the policy of the user or role that Terraform uses. A policy of the bucket, the key or the organization may deny it, too.", permission)
	case code == "InvalidAccessKeyId" || code == "AuthFailure" || code == "UnrecognizedClientException" || code == "InvalidClientTokenId" || code == "ExpiredToken" || code == "ExpiredTokenException" || code == "InvalidToken":
		return "The access key is unknown or has expired. Renew the credentials, or set others in aws of the provider block."
	case code == "SignatureDoesNotMatch":
		return "The secret key does not belong to the access key."
	case code == "RequestTimeTooSkewed":
		return "The clock of this machine is off. Set it, and keep it right with a time service."
	case code == "PermanentRedirect" || code == "AuthorizationHeaderMalformed" || code == "IllegalLocationConstraintException":
		return "It is in another region than region says."
	case errors.Is(err, context.DeadlineExceeded):
		return "Time is up: allow more of it in timeouts, if AWS is only slow."
	case isNetwork:
		return "AWS cannot be reached. Check the network, region, and endpoints in aws of the provider block."
	}
	return ""
}
