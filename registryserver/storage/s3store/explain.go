package s3store

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
)

const (
	settingKeys     = "storage.s3.accesskey and storage.s3.secretkey (REGISTRY_STORAGE_S3_ACCESSKEY, REGISTRY_STORAGE_S3_SECRETKEY)"
	settingRegion   = "storage.s3.region (REGISTRY_STORAGE_S3_REGION)"
	settingEndpoint = "storage.s3.regionendpoint (REGISTRY_STORAGE_S3_REGIONENDPOINT)"
)

// explain says in one line which setting or permission to change about an error
// of New or Check.
func explain(c Config, err error) error {
	advice := ""
	switch code(err) {
	case "NoSuchBucket":
		advice = "there is no such bucket: create it, or name another (storage.s3.bucket, REGISTRY_STORAGE_S3_BUCKET)"
	case "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken", "ExpiredToken", "XAdminUserNotFound":
		advice = "the access key is unknown or has expired: correct " + settingKeys + ", or remove both to use the role of the machine"
	case "SignatureDoesNotMatch":
		advice = "the secret key does not belong to the access key: correct storage.s3.secretkey (REGISTRY_STORAGE_S3_SECRETKEY)"
	case "AccessDenied", "Forbidden", "AllAccessDisabled":
		advice = c.denied(err)
	case "RequestTimeTooSkewed":
		advice = skewed(err).Error()
	case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "MovedPermanently":
		advice = fmt.Sprintf("it is not in the region %s: correct %s", c.Region, settingRegion)
	default:
		advice = c.misdirected(err)
	}
	if advice == "" {
		return err
	}
	return fmt.Errorf("%s (%w)", advice, err)
}

// misdirected is about errors that are not of an S3 server.
func (c Config) misdirected(err error) string {
	dns, isDNS := errors.AsType[*net.DNSError](err)
	_, isNetwork := errors.AsType[*net.OpError](err)
	switch {
	case errors.Is(err, errNoConditions), errors.Is(err, errNoETag):
		return ""
	case isDNS && c.RegionEndpoint == "":
		return fmt.Sprintf("%s does not resolve: correct %s", dns.Name, settingRegion)
	case isDNS && !c.ForcePathStyle:
		return fmt.Sprintf("%s does not resolve: correct %s, or set storage.s3.forcepathstyle to true (REGISTRY_STORAGE_S3_FORCEPATHSTYLE)", dns.Name, settingEndpoint)
	case isCertificate(err):
		return "its certificate cannot be verified: name the certificates of its CA in AWS_CA_BUNDLE or SSL_CERT_FILE, or correct " + settingEndpoint
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return fmt.Sprintf("%s does not speak https: write http:// before it in %s", c.RegionEndpoint, settingEndpoint)
	case status(err) == http.StatusMovedPermanently:
		return fmt.Sprintf("it is not in the region %s: correct %s", c.Region, settingRegion)
	case status(err) != 0 && c.RegionEndpoint != "" && !fromS3(err):
		return fmt.Sprintf("what answers at %s is no S3 server: correct %s", c.RegionEndpoint, settingEndpoint)
	case isDNS, isNetwork:
		return "its server cannot be reached: correct " + settingEndpoint + " or the network"
	case status(err) == 0 && code(err) == "":
		return "if there are no credentials: set " + settingKeys + ", or give the machine a role"
	}
	return ""
}

// notAuthorized is what AWS says about a denied request. It names the action
// even where the cause is another service, such as a key of KMS.
var notAuthorized = regexp.MustCompile(`not authorized to perform: ([a-z0-9-]+:\w+)(?: on resource: "?([^" ]+)"?)?`)

// denied names the action that was denied, and on what.
func (c Config) denied(err error) string {
	action, resource := "", ""
	if e, ok := errors.AsType[*actionError](err); ok {
		action, resource = e.action, c.arn(e.action)
	}
	message := ""
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		message = e.ErrorMessage()
	}
	if said := notAuthorized.FindStringSubmatch(message); said != nil {
		if said[1] != action || resource == "" {
			resource = said[2]
		}
		action = said[1]
	}
	on := ""
	if resource != "" {
		on = " on " + resource
	}
	switch {
	case action == "":
		return "these credentials may not use it: give them the policy in docs/operations.md, or give others: " + settingKeys
	case strings.Contains(message, "explicit deny"):
		return fmt.Sprintf("%s is denied%s by a policy that denies it explicitly: remove the Deny, or make an exception for these credentials", action, on)
	case action == actionPut && c.ObjectACL != "" && c.ObjectACL != "private":
		return fmt.Sprintf("%s is denied%s: add it, and s3:PutObjectAcl for storage.s3.objectacl, to the policy of the role or user, or give other credentials: %s", action, on, settingKeys)
	}
	return fmt.Sprintf("%s is denied%s: add it to the policy of the role or user, or give other credentials: %s", action, on, settingKeys)
}

// arn is what an action must be allowed on.
func (c Config) arn(action string) string {
	arn := "arn:" + partition(c.Region) + ":s3:::" + c.Bucket
	switch action {
	case actionList, actionListMultiparts:
		return arn
	}
	if root := strings.Trim(c.RootDirectory, "/"); root != "" {
		arn += "/" + root
	}
	return arn + "/*"
}

// partition is the part of AWS that a region is in.
func partition(region string) string {
	for _, p := range []struct{ prefix, name string }{
		{"cn-", "aws-cn"}, {"us-gov-", "aws-us-gov"}, {"us-iso-", "aws-iso"}, {"us-isob-", "aws-iso-b"},
		{"eu-isoe-", "aws-iso-e"}, {"us-isof-", "aws-iso-f"}, {"eusc-", "aws-eusc"},
	} {
		if strings.HasPrefix(region, p.prefix) {
			return p.name
		}
	}
	return "aws"
}

// skewed says how far the clock is off, by the date of the answer.
func skewed(err error) error {
	if e, ok := errors.AsType[*awshttp.ResponseError](err); ok && e.Response != nil {
		if there, parseErr := http.ParseTime(e.Response.Header.Get("Date")); parseErr == nil {
			if err := clockError(time.Since(there)); err != nil {
				return err
			}
		}
	}
	return errors.New("the clock of this machine is off by more than S3 allows: set the clock, and keep it right with a time service such as chrony or systemd-timesyncd")
}

// fromS3 reports whether an answer that is an error has S3's form. Of what has
// not, the SDK makes a code from the status.
func fromS3(err error) bool {
	c := code(err)
	return status(err) >= http.StatusInternalServerError ||
		c != "" && c != "UnknownError" && c != strings.ReplaceAll(http.StatusText(status(err)), " ", "")
}

func isCertificate(err error) bool {
	_, is := errors.AsType[*tls.CertificateVerificationError](err)
	return is
}
