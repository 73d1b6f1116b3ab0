package server

import (
	"strings"
	"testing"
)

// FuzzLoadConfig reads any YAML and any variables (one a line). The secrets
// that are planted beside them must never show.
func FuzzLoadConfig(f *testing.F) {
	const secret = "pl4nt3d-s3cr3t"
	planted := []string{
		"REGISTRY_HTTP_SECRET=" + secret, "REGISTRY_ADMIN_PASSWORD=" + secret, "REGISTRY_HTTP_PREVIOUSSECRETS_0=" + secret,
		"REGISTRY_PROXY_PASSWORD=" + secret, "REGISTRY_REDIS_PASSWORD=*" + secret, "REGISTRY_REPORTING_BUGSNAG_APIKEY={" + secret,
		"REGISTRY_LOG_HOOKS_0_DISABLED=true", "REGISTRY_LOG_HOOKS_0_OPTIONS_SMTP_PASSWORD=" + secret,
	}
	for _, yaml := range []string{
		"", "version: 0.1", "version: 0.1\nhttp: {addr: ':1', headers: {A: [b]}, tls: {certificate: c, key: k, ciphersuites: [x]}}",
		"version: 0.1\nstorage: {filesystem: {rootdirectory: /x}, delete: {enabled: yes}, maintenance: {readonly: {enabled: on}}}",
		"version: 0.1\nx: &x {<<: *x}\n", "version: 0.1\nauth: {token: {realm: r, signingalgorithms: [ES256]}}\n",
		"version: 0.1\nlog: {fields: {a: 1, b: 1.5e3, c: .nan, d: ~, e: [1, {f: \"\\0\"}], f: 2020-01-01}}\nloglevel: warn",
		"version: 0.1\nnotifications: {endpoints: [{name: a, url: 'http://b:c@d/e?f', headers: {g: [h, i]}, timeout: 1s, ignore: {actions: [pull]}}, {disabled: true}]}",
		"version: 0.1\nvalidation: {manifests: {urls: {allow: [a]}, indexes: {platforms: list, platformlist: [{os: a, architecture: b}]}}}",
		"a: b\n---\nc: d", "- ? a\n", "version: 0.1\nadmin: {username: a, password: b}\nmiddleware: {storage: [{name: a, disabled: true}]}",
	} {
		f.Add([]byte(yaml), "REGISTRY_STORAGE=filesystem\nREGISTRY_LOG_FIELDS_A_0=b")
		f.Add([]byte(yaml), "REGISTRY_AUTH=htpasswd\nREGISTRY_AUTH_HTPASSWD_PATH=/x\nREGISTRY_HTTP_TLS_CLIENTCAS_0=b\nREGISTRY_HTTP={a: b}")
		f.Add([]byte(yaml), "REGISTRY_REDIS_OPTIONS={}\nREGISTRY_STORAGE_FOO_BAR=\nREGISTRY_HTTP_HEADERS_X_0='x'\nREGISTRY_VERSION=0.1")
	}
	f.Fuzz(func(t *testing.T, yaml []byte, variables string) {
		if strings.Contains(string(yaml)+variables, secret) {
			t.Skip("the secret is not a secret")
		}
		environ := append(strings.Split(variables, "\n"), planted...)
		c, warnings, err := LoadConfig(yaml, environ)
		shown := strings.Join(warnings, "\n")
		if err != nil {
			shown += err.Error()
		} else {
			shown += string(checkMasked(t, c))
		}
		if strings.Contains(shown, secret) {
			t.Errorf("the planted secret is shown:\n%s", shown)
		}
	})
}

// FuzzConfigVariable sets any variable to anything, without a file.
func FuzzConfigVariable(f *testing.F) {
	l := newConfigLoader(&node{})
	for _, s := range l.settings {
		f.Add(strings.TrimPrefix(envName(s.key), envPrefix), "true")
	}
	f.Add("STORAGE_FILESYSTEM_ROOTDIRECTORY", "tru\xa5")
	f.Add("HTTP_HEADERS", "pV: ")
	f.Add("HTTP_HEADERS_X\xff", "[a]")
	for _, value := range []string{"", "{}", "[a]", "{a: b}", "&a [*a]", "*a", "!!int x", "1h", "'", "\x00", "\xff"} {
		f.Add("HTTP_HEADERS", value)
		f.Add("LOG_FIELDS_A_B_0", value)
		f.Add("STORAGE", value)
		f.Add("AUTH", value)
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		c, _, err := LoadConfig(nil, []string{envPrefix + name + "=" + value})
		if err == nil {
			checkMasked(t, c)
		}
	})
}
