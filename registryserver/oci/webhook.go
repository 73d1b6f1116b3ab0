package oci

import (
	"net/url"
	"slices"
	"strings"
)

// Bounds of a webhook.
const (
	MaxWebhookGlobs      = 100
	maxWebhookURL        = 2048
	minWebhookSecret     = 16
	maxWebhookCredential = 4096
)

// ParseWebhookName parses the name of a webhook, which follows the rules of
// policies' names.
func ParseWebhookName(s string) (string, error) {
	if !policyNameRE.MatchString(s) {
		return "", Errorf(CodeInvalid, "invalid webhook name %q; use 1 to 64 lower-case letters, digits, . _ and -, beginning and ending with a letter or digit", clip(s))
	}
	return s, nil
}

// WebhookActions returns what a webhook can tell of.
func WebhookActions() []string { return []string{"push", "pull", "delete", "mount"} }

// ParseWebhookAction parses one of WebhookActions.
func ParseWebhookAction(s string) (string, error) {
	if !slices.Contains(WebhookActions(), s) {
		return "", Errorf(CodeInvalid, "unknown action %q of a webhook; use push, pull, delete or mount", clip(s))
	}
	return s, nil
}

// WebhookFormats returns how a webhook can be told.
func WebhookFormats() []string { return []string{"distribution", "cloudevents"} }

// ParseWebhookFormat parses one of WebhookFormats.
func ParseWebhookFormat(s string) (string, error) {
	if !slices.Contains(WebhookFormats(), s) {
		return "", Errorf(CodeInvalid, "unknown format %q of a webhook; use distribution or cloudevents", clip(s))
	}
	return s, nil
}

// ParseWebhookURL checks the URL of a receiver. No error repeats it: it may hold
// a password.
func ParseWebhookURL(s string) (string, error) {
	u, err := url.Parse(s)
	switch {
	case len(s) > maxWebhookURL:
		return "", Errorf(CodeInvalid, "the url has %d bytes; at most %d are allowed", len(s), maxWebhookURL)
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return "", Errorf(CodeInvalid, "the url is not an absolute http or https URL, such as https://ci.example.com/hooks/registry")
	case u.User != nil:
		return "", Errorf(CodeInvalid, "the url holds a user name or password, which everybody who may list webhooks would see; put them into authorization")
	case strings.Contains(s, "#"):
		return "", Errorf(CodeInvalid, "the url has a fragment (#), which is never sent; remove it")
	}
	return s, nil
}

// CheckWebhookSecret returns why s cannot sign deliveries, or nil.
func CheckWebhookSecret(s string) error {
	if len(s) < minWebhookSecret || len(s) > maxWebhookCredential {
		return Errorf(CodeInvalid, "the secret has %d bytes; use %d to %d", len(s), minWebhookSecret, maxWebhookCredential)
	}
	return nil
}

// CheckWebhookAuthorization returns why s cannot be the Authorization header of
// deliveries, or nil.
func CheckWebhookAuthorization(s string) error {
	control := func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }
	if strings.TrimSpace(s) == "" || len(s) > maxWebhookCredential || strings.ContainsFunc(s, control) {
		return Errorf(CodeInvalid, "authorization cannot be a header; it must be one line of at most %d bytes, such as Bearer TOKEN", maxWebhookCredential)
	}
	return nil
}
