package server

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestConfigVariablesOverFile covers what variables do to a file. TestConfigKeys has every key.
func TestConfigVariablesOverFile(t *testing.T) {
	const file = `version: 0.1
storage:
  filesystem: {rootdirectory: /data, maxthreads: 50}
  delete: {enabled: true}
  cache: {blobdescriptor: inmemory}
  redirect: {disable: true}
  maintenance: {uploadpurging: {age: 1h}}
  tag: {concurrencylimit: 3}
auth:
  htpasswd: {realm: R, path: /h}
http:
  headers: {X-A: [a]}
  tls: {certificate: /c, key: /k, clientcas: [/a, /b]}
`
	base := mustLoad(t, file)
	for _, test := range []struct {
		name     string
		environ  []string
		want     func(c *Config)
		warnings []string
	}{
		{name: "purging off keeps its age", environ: []string{"REGISTRY_STORAGE_MAINTENANCE_UPLOADPURGING_ENABLED=false"}, want: func(c *Config) { c.Storage.UploadPurging.Enabled = false }},
		{name: "read-only beside purging", environ: []string{"REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED=true"}, want: func(c *Config) { c.Storage.ReadOnly = true }},
		{name: "read-only as JSON beside purging", environ: []string{`REGISTRY_STORAGE_MAINTENANCE_READONLY={"enabled":true}`}, want: func(c *Config) { c.Storage.ReadOnly = true }},
		{name: "a section replaces the section", environ: []string{`REGISTRY_STORAGE_MAINTENANCE={"readonly":{"enabled":true}}`}, want: func(c *Config) {
			c.Storage.ReadOnly, c.Storage.UploadPurging.Age = true, 168*time.Hour
		}},
		{name: "one parameter keeps the others", environ: []string{"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/d"}, want: func(c *Config) { c.Storage.Filesystem.RootDirectory = "/d" }},
		{name: "the driver by name is new, what is beside it stays", environ: []string{"REGISTRY_STORAGE=filesystem", "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/d"}, want: func(c *Config) {
			c.Storage.Filesystem = FilesystemConfig{RootDirectory: "/d", MaxThreads: 100}
		}, warnings: []string{"storage (REGISTRY_STORAGE): starts filesystem anew, as in distribution: storage.filesystem (line 3) no longer counts"}},
		{name: "the whole storage as a mapping", environ: []string{"REGISTRY_STORAGE={filesystem: {rootdirectory: /d}}"}, want: func(c *Config) {
			c.Storage = StorageConfig{
				Filesystem: FilesystemConfig{RootDirectory: "/d", MaxThreads: 100}, Cache: CacheConfig{Size: 10000, Lifetime: time.Minute},
				RedirectExpiry: 20 * time.Minute,
				UploadPurging:  UploadPurgingConfig{Enabled: true, Age: 168 * time.Hour, Interval: 24 * time.Hour},
			}
		}},
		{name: "the same auth by name", environ: []string{"REGISTRY_AUTH=htpasswd"}},
		{name: "the same auth and a parameter", environ: []string{"REGISTRY_AUTH_HTPASSWD_PATH=/x", "REGISTRY_AUTH=htpasswd"}, want: func(c *Config) { c.Auth.HTPasswd.Path = "/x" }},
		{name: "no auth", environ: []string{"REGISTRY_AUTH=none"}, want: func(c *Config) { c.Auth = AuthConfig{None: true} }},
		{name: "another auth", environ: []string{"REGISTRY_AUTH=token", "REGISTRY_AUTH_TOKEN_REALM=r", "REGISTRY_AUTH_TOKEN_SERVICE=s", "REGISTRY_AUTH_TOKEN_ISSUER=i", "REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE=/b"}, want: func(c *Config) {
			c.Auth = AuthConfig{Token: &TokenConfig{Realm: "r", Service: "s", Issuer: "i", RootCertBundle: "/b", SigningAlgorithms: signingAlgorithms()}}
		}},
		{name: "list items", environ: []string{"REGISTRY_HTTP_TLS_CLIENTCAS_0=/x", "REGISTRY_HTTP_TLS_CLIENTCAS_2=/y"}, want: func(c *Config) { c.HTTP.TLS.ClientCAs = []string{"/x", "/b", "/y"} }},
		{name: "a whole list", environ: []string{"REGISTRY_HTTP_TLS_CLIENTCAS=[/x]"}, want: func(c *Config) { c.HTTP.TLS.ClientCAs = []string{"/x"} }},
		{name: "a whole list and its next item", environ: []string{"REGISTRY_HTTP_TLS_CLIENTCAS_1=/y", "REGISTRY_HTTP_TLS_CLIENTCAS=[/x]"}, want: func(c *Config) { c.HTTP.TLS.ClientCAs = []string{"/x", "/y"} }},
		{name: "a header, whatever its case", environ: []string{"REGISTRY_HTTP_HEADERS_X-A=[b]", "REGISTRY_HTTP_HEADERS_X-C_0=d"}, want: func(c *Config) {
			c.HTTP.Headers = map[string][]string{"X-A": {"b"}, "X-C": {"d"}}
		}},
		{name: "an empty variable unsets", environ: []string{"REGISTRY_STORAGE_DELETE_ENABLED=", "REGISTRY_HTTP_TLS="}, want: func(c *Config) { c.Storage.Delete, c.HTTP.TLS = nil, nil }},
		{name: "variables of others", environ: []string{
			"REGISTRY_CONFIGURATION_PATH=/x", "REGISTRY_ENDPOINT=https://x", "REGISTRY_USERNAME=u", "REGISTRY_PASSWORD=p", "REGISTRY_TOKEN=t",
			"REGISTRY_CA_CERTIFICATE=c", "REGISTRY_INSECURE=1", "REGISTRY_SERVICE_HOST=10.0.0.1", "REGISTRY_SERVICE_PORT=5000", "REGISTRY_SERVICE_PORT_HTTP=5000",
			"REGISTRY_PORT=tcp://10.0.0.1:5000", "REGISTRY_PORT_5000_TCP=tcp://10.0.0.1:5000", "REGISTRY_PORT_5000_TCP_ADDR=10.0.0.1",
			"HTTP_ADDR=:1", "PATH=/bin", "registry_HTTP_ADDR=:1", "REGISTRY", "", "=", "OTEL_TRACES_EXPORTER=none",
		}},
		{name: "unknown variables", environ: []string{"REGISTRY_HTTP_SECERT=hunter2", "REGISTRY_ADMIN_PASSWORD_FILE=/x", "REGISTRY_DUCKS=quack", "REGISTRY_=x", "REGISTRY_HTTP__ADDR=x", "REGISTRY_PORT=5000"}, warnings: []string{
			"REGISTRY_: the variable is unknown and has no effect",
			"REGISTRY_ADMIN_PASSWORD_FILE: the variable is unknown and has no effect; did you mean REGISTRY_ADMIN_PASSWORDFILE?",
			"REGISTRY_DUCKS: the variable is unknown and has no effect",
			"REGISTRY_HTTP__ADDR: the variable is unknown and has no effect; did you mean REGISTRY_HTTP_ADDR?",
			"REGISTRY_HTTP_SECERT: the variable is unknown and has no effect; did you mean REGISTRY_HTTP_SECRET?",
			"REGISTRY_PORT: the variable is unknown and has no effect",
		}},
		{name: "field names of distribution", environ: []string{
			"REGISTRY_NOTIFICATIONS_EVENTCONFIG_INCLUDEREFERENCES=true", "REGISTRY_HEALTH_FILECHECKERS=[]", "REGISTRY_REDIS_OPTIONS_POOLSIZE=5",
			"REGISTRY_LOG_HOOKS_0_MAILOPTIONS_FROM=x", "REGISTRY_LOG_HOOKS_0_DISABLED=true",
		}},
		{name: "tracing", environ: []string{"OTEL_TRACES_EXPORTER=otlp"}, warnings: []string{"OTEL_TRACES_EXPORTER: traces are not exported by registryserver; set it to none or remove it"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := mustLoad(t, file)
			if test.want != nil {
				test.want(want)
			} else if diff := cmp.Diff(base, want, sameValues); diff != "" {
				t.Fatal(diff)
			}
			got, warnings, err := LoadConfig([]byte(file), test.environ)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, sameValues); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !slices.Equal(warnings, test.warnings) {
				t.Errorf("warnings %q, want %q", warnings, test.warnings)
			}
		})
	}
}

// TestConfigTextOfVariables covers how the value of a variable becomes text.
func TestConfigTextOfVariables(t *testing.T) {
	for _, test := range []struct{ value, text, secret string }{
		{"plain", "plain", "plain"},
		{" plain ", "plain", "plain"},
		{`"quoted"`, "quoted", "quoted"},
		{`'it''s'`, "it's", "it's"},
		{`"a\tb"`, "a\tb", "a\tb"},
		{"a #b", "a", "a #b"},
		{"#b", "", "#b"},
		{"0x10", "0x10", "0x10"},
		{"true", "true", "true"},
		{"~", "", "~"},
		{"*a", "*a", "*a"},
		{"&a b", "b", "&a b"},
		{"!a b", "!a b", "!a b"},
		{"{a", "{a", "{a"},
		{"[a]", "[a]", "[a]"},
		{"a: b", "a: b", "a: b"},
		{`"a" #b`, "a", `"a" #b`},
		{`"a`, `"a`, `"a`},
		{"a\nb", "a b", "a\nb"},
		{"", "", ""},
	} {
		c := mustLoad(t, "", "REGISTRY_AUTH_TOKEN_REALM=r", "REGISTRY_AUTH_TOKEN_SERVICE=s", "REGISTRY_AUTH_TOKEN_ISSUER=i",
			"REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE=/b", "REGISTRY_AUTH_TOKEN_JWKS="+test.value, "REGISTRY_HTTP_SECRET="+test.value)
		if got := c.Auth.Token.JWKS; got != test.text {
			t.Errorf("text of %q is %q, want %q", test.value, got, test.text)
		}
		if got := string(c.HTTP.Secret); got != test.secret {
			t.Errorf("secret of %q is %q, want %q", test.value, got, test.secret)
		}
	}
}

func TestConfigVariableOrder(t *testing.T) {
	var got []string
	for _, v := range registryVariables([]string{"REGISTRY_A_10=", "REGISTRY_A_9=", "REGISTRY_A=", "REGISTRY_A_B=", "REGISTRY_A_B_C=", "REGISTRY_AA="}) {
		got = append(got, v.name)
	}
	want := []string{"REGISTRY_A", "REGISTRY_A_9", "REGISTRY_A_10", "REGISTRY_A_B", "REGISTRY_A_B_C", "REGISTRY_AA"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestConfigWarnings(t *testing.T) {
	for _, test := range []struct {
		yaml string
		want []string
	}{
		{"http:\n  adr: :1\n", []string{"http.adr (line 3): the key is unknown and has no effect; did you mean http.addr?"}},
		{"HTTP: {addr: ':1'}", []string{"HTTP (line 2): the key is unknown and has no effect; did you mean http?"}},
		{"http: {certificate: /c}", []string{"http.certificate (line 2): the key is unknown and has no effect; did you mean http.tls.certificate?"}},
		{"storage: {filesystem: {}, delte: {enabled: true}}", []string{"storage.delte (line 2): the key is unknown and has no effect; did you mean storage.delete?"}},
		{"notifications: {endpoints: [{disabled: true, ur: x}]}", []string{"notifications.endpoints[0].ur (line 2): the key is unknown and has no effect; did you mean notifications.endpoints[].url?"}},
		{"quite: different", []string{"quite (line 2): the key is unknown and has no effect"}},
		{"\"a\\nb\": c", []string{`"a\nb" (line 2): the key is unknown and has no effect`}},
		{"auth: {htpasswd: {path: /h}}", []string{"auth.htpasswd.realm: is missing, so it is Registry; write the name that clients show when they ask for a password"}},
		{"storage: {cache: {blobdescriptor: memcached}}", []string{`storage.cache.blobdescriptor (line 2): "memcached" is no cache, so there is none, as in distribution; use inmemory`}},
		{"storage: {filesystem: {maxthreads: 1}}", []string{"storage.filesystem.maxthreads (line 2): 1 is raised to 25, as in distribution"}},
		{"http: {tls: {letsencrypt: {cachefile: /c, hosts: [r.example.com]}}}", []string{"http.tls.letsencrypt.cachefile (line 2): has no effect: account and certificates are kept in the registry's storage; remove it"}},
		{"http: {tls: {certificate: /c, key: /k, minimumtls: tls1.0}}", []string{"http.tls.minimumtls (line 2): allows versions of TLS that are broken; use tls1.2 or tls1.3"}},
		{"http: {tls: {certificate: /c, key: /k, minimumtls: tls1.3, ciphersuites: [TLS_AES_128_GCM_SHA256]}}", []string{"http.tls.ciphersuites (line 2): has no effect with http.tls.minimumtls tls1.3, whose cipher suites cannot be chosen"}},
		{"http: {tls: {certificate: /c, key: /k, ciphersuites: [TLS_RSA_WITH_RC4_128_SHA]}}", []string{"http.tls.ciphersuites (line 2): TLS_RSA_WITH_RC4_128_SHA is insecure; remove it"}},
		{"http: {tls: {certificate: /c, key: /k, clientauth: request-client-cert}}", []string{"http.tls.clientauth (line 2): has no effect without http.tls.clientcas, as in distribution"}},
		{"http: {tls: {clientcas: [/a]}}", []string{"http.tls.clientcas (line 2): has no effect without http.tls.certificate: clients are not asked for certificates"}},
		{"http: {host: 'https://r/path'}", []string{"http.host (line 2): only scheme and host are used, as in distribution; for a path in front of /v2/ set http.prefix"}},
		{"http: {host: 'https://r', relativeurls: true}", []string{"http.relativeurls (line 2): has no effect beside http.host, as in distribution"}},
		{"http: {debug: {prometheus: {enabled: true}}}", []string{"http.debug.prometheus.enabled (line 2): has no effect without http.debug.addr, the address to serve metrics at"}},
		{"reporting: {bugsnag: {apikey: hunter2}}", []string{"reporting (line 2): has no effect in registryserver; remove it"}},
		{"compatibility: {schema1: {enabled: true, signingkeyfile: /k}}", []string{"compatibility.schema1 (line 2): has no effect in registryserver; remove it"}},
	} {
		c, got, err := LoadConfig([]byte("version: 0.1\n"+test.yaml), nil)
		if err != nil {
			t.Errorf("%s: %v", test.yaml, err)
			continue
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.yaml, got, test.want)
		}
		checkMasked(t, c)
	}
}
