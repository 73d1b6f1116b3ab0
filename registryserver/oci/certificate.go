package oci

// ParseCertificateName parses the name of an installed certificate, which
// follows the rules of policies' names.
func ParseCertificateName(s string) (string, error) {
	if !policyNameRE.MatchString(s) {
		return "", Errorf(CodeInvalid, "invalid certificate name %q; use 1 to 64 lower-case letters, digits, . _ and -, beginning and ending with a letter or digit", clip(s))
	}
	return s, nil
}
