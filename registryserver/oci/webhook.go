package oci

// ParseWebhookName parses the name of a webhook, which follows the rules of
// policies' names.
func ParseWebhookName(s string) (string, error) {
	if !policyNameRE.MatchString(s) {
		return "", Errorf(CodeInvalid, "invalid webhook name %q; use 1 to 64 lower-case letters, digits, . _ and -, beginning and ending with a letter or digit", clip(s))
	}
	return s, nil
}
