package server

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

func marshal(t testing.TB, n *node) string {
	t.Helper()
	out, err := yaml.Marshal(n.yaml())
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// checkMasked checks that the printed configuration is the same one, but for its secrets.
func checkMasked(t testing.TB, c *Config) []byte {
	t.Helper()
	out, err := c.Masked()
	if err != nil {
		t.Fatalf("Masked: %v", err)
	}
	again, _, err := LoadConfig(out, nil)
	if err != nil {
		t.Fatalf("the printed configuration does not load: %v\n%s", err, out)
	}
	if diff := cmp.Diff(masked(c), again, sameValues); diff != "" {
		t.Errorf("the printed configuration differs (-effective +printed):\n%s\n%s", diff, out)
	}
	return out
}

// masked is c with *** for its secrets.
func masked(c *Config) *Config {
	m := *c
	hide := func(s *Secret) {
		if *s != "" {
			*s = secretMask
		}
	}
	hide(&m.HTTP.Secret)
	hide(&m.Admin.Password)
	hide(&m.Proxy.Password)
	if c.Redis != nil {
		redis := *c.Redis
		hide(&redis.Password)
		hide(&redis.SentinelPassword)
		m.Redis = &redis
	}
	m.Endpoints = nil
	for _, e := range c.Endpoints {
		e.URL = e.shownURL()
		headers := map[string][]Secret{}
		for name, values := range e.Headers {
			headers[name] = slices.Repeat([]Secret{secretMask}, len(values))
		}
		if e.Headers = headers; len(headers) == 0 {
			e.Headers = nil
		}
		m.Endpoints = append(m.Endpoints, e)
	}
	m.HTTP.PreviousSecrets = nil
	for range c.HTTP.PreviousSecrets {
		m.HTTP.PreviousSecrets = append(m.HTTP.PreviousSecrets, secretMask)
	}
	return &m
}

func TestConfigMasked(t *testing.T) {
	c := mustLoad(t, `version: 0.1
http: {secret: s3cr3t-1, previoussecrets: [s3cr3t-2, s3cr3t-3], host: "https://r.example.com"}
admin: {password: s3cr3t-4}
auth: none
storage: {delete: {enabled: false}}
`)
	out := string(checkMasked(t, c))
	if strings.Contains(out, "s3cr3t") {
		t.Errorf("a secret is printed:\n%s", out)
	}
	for _, want := range []string{"version: 0.1\n", "secret: '***'", "- '***'", "password: '***'", "host: https://r.example.com", "age: 168h\n", "none: {}"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing:\n%s", want, out)
		}
	}
}

// TestConfigSecretsStayInside writes every secret key in wrong ways, and one of
// each kind in every wrong way there is.
func TestConfigSecretsStayInside(t *testing.T) {
	const secret = "hunter2"
	some := []string{secret, "[" + secret, "{a: " + secret + "}"}
	every := append([]string{
		"*" + secret, "&" + secret, "!" + secret, "{" + secret, "[" + secret + "]", "{" + secret + ": 1}", "'" + secret, `"\x` + secret,
		"a: " + secret + ": b", "- " + secret, "a\n" + secret, "%" + secret, "!!int " + secret, "!!binary " + secret, "a #" + secret,
		"`" + secret, "@" + secret, "<<: " + secret, "{<<: " + secret + "}", secret + "\n---\n" + secret,
		"[&" + secret + " a, *" + secret + "]", "",
	}, some...)
	l := newConfigLoader(&node{})
	for _, s := range l.settings {
		list := s.value.shape() == listShape && s.value.item().shape() == secretShape
		if s.value.shape() != secretShape && !list {
			continue
		}
		key := strings.ReplaceAll(s.key, "*", "x")
		variable := strings.ReplaceAll(envName(s.key), "<NAME>", "X")
		values := some
		if s.key == "http.secret" || s.key == "http.previoussecrets" || s.key == "redis.password" {
			values = every
		}
		for _, value := range values {
			checkNoSecret(t, secret, "", variable+"="+value)
			checkNoSecret(t, secret, "", variable+"_0="+value)
			checkNoSecret(t, secret, "", variable+"_FOO="+value)
			checkNoSecret(t, secret, yamlAt(key, value))
		}
	}
	checkNoSecret(t, secret, "version: 0.1\nhttp: {host: 'https://user:hunter2@r.example.com'}")
	checkNoSecret(t, secret, "version: 0.1\nhttp: {host: 'user:hunter2@r.example.com'}")
}

// yamlAt writes a value, right or wrong, at a key.
func yamlAt(key, value string) string {
	var b strings.Builder
	b.WriteString("version: 0.1\n")
	indent := ""
	for _, segment := range splitKey(key) {
		if segment == anyItem {
			b.WriteString(indent + "-\n")
		} else {
			b.WriteString(indent + segment + ":\n")
		}
		indent += " "
	}
	return strings.TrimSuffix(b.String(), "\n") + " " + value + "\n"
}

func checkNoSecret(t *testing.T, secret, yaml string, environ ...string) {
	t.Helper()
	c, warnings, err := LoadConfig([]byte(yaml), environ)
	shown := strings.Join(warnings, "\n")
	if err != nil {
		shown += err.Error()
	} else {
		out, err := c.Masked()
		if err != nil {
			t.Errorf("Masked: %v", err)
		}
		shown += string(out)
	}
	if strings.Contains(shown, secret) {
		t.Errorf("a secret is shown for %q %q:\n%s", yaml, environ, shown)
	}
}
