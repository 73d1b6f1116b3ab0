package server

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sameValues compares what cmp cannot look into.
var sameValues = cmp.Options{cmp.Comparer(func(a, b *regexp.Regexp) bool {
	return a == b || a != nil && b != nil && a.String() == b.String()
}), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })}

func mustLoad(t *testing.T, yaml string, environ ...string) *Config {
	t.Helper()
	c, warnings, err := LoadConfig([]byte(yaml), environ)
	if err != nil {
		t.Fatalf("LoadConfig: %v", err)
	}
	if len(warnings) > 0 {
		t.Errorf("unexpected warnings: %q", warnings)
	}
	return c
}

// want starts from the defaults, so that a case says what differs.
func want(t *testing.T, change func(c *Config)) *Config {
	t.Helper()
	c := mustLoad(t, "")
	if change != nil {
		change(c)
	}
	return c
}

func TestConfigDefaults(t *testing.T) {
	want := &Config{
		Log: LogConfig{Level: slog.LevelInfo, Formatter: "text"},
		HTTP: HTTPConfig{
			Net: "tcp", Addr: ":5000", DrainTimeout: 30 * time.Second, MaxConnections: 10_000,
			Timeouts: TimeoutsConfig{Header: 10 * time.Second, Idle: 2 * time.Minute, Body: time.Minute},
			Debug:    DebugConfig{Prometheus: PrometheusConfig{Path: "/metrics"}},
		},
		Storage: StorageConfig{
			Filesystem:     FilesystemConfig{RootDirectory: "/var/lib/registry", MaxThreads: 100},
			Cache:          CacheConfig{Size: 10000, Lifetime: time.Minute},
			RedirectExpiry: 20 * time.Minute,
			UploadPurging:  UploadPurgingConfig{Enabled: true, Age: 168 * time.Hour, Interval: 24 * time.Hour},
		},
		Catalog:    CatalogConfig{MaxEntries: 1000},
		Tags:       TagsConfig{MaxTags: 1000},
		Health:     HealthConfig{StorageDriver: StorageHealthConfig{Interval: 10 * time.Second}},
		Validation: ValidationConfig{Indexes: IndexesConfig{Platforms: "all"}},
		Audit:      AuditConfig{Pulls: true, Storage: true},
		GC:         GCConfig{Interval: 24 * time.Hour, Grace: 24 * time.Hour, Concurrency: 16, PullInterval: time.Hour},
	}
	for _, yaml := range []string{"", "version: 0.1", `version: "0.1"`, "# nothing\n", "---\n", "version: 0.1\nstorage:\n  filesystem:\n", "version: 0.1\nstorage: filesystem\nauth:\n"} {
		if diff := cmp.Diff(want, mustLoad(t, yaml), sameValues); diff != "" {
			t.Errorf("%q (-want +got):\n%s", yaml, diff)
		}
	}
}

// TestConfigKeys has every supported key once in the file and once as a variable.
func TestConfigKeys(t *testing.T) {
	yes, no := true, false
	tlsPair := []string{"http.tls.certificate=/c", "http.tls.key=/k"}
	withTLS := func(change func(c *TLSConfig)) func(c *Config) {
		return func(c *Config) {
			c.HTTP.TLS = &TLSConfig{Certificate: "/c", Key: "/k", MinVersion: tls.VersionTLS12}
			change(c.HTTP.TLS)
		}
	}
	acmeHosts := []string{"http.tls.letsencrypt.hosts=[r.example.com]"}
	withACME := func(change func(c *LetsEncryptConfig)) func(c *Config) {
		return func(c *Config) {
			c.HTTP.TLS = &TLSConfig{MinVersion: tls.VersionTLS12, LetsEncrypt: LetsEncryptConfig{Hosts: []string{"r.example.com"}}}
			change(&c.HTTP.TLS.LetsEncrypt)
		}
	}
	token := []string{"auth.token.realm=https://t", "auth.token.service=s", "auth.token.issuer=i", "auth.token.rootcertbundle=/b"}
	withToken := func(change func(c *TokenConfig)) func(c *Config) {
		return func(c *Config) {
			c.Auth.Token = &TokenConfig{Realm: "https://t", Service: "s", Issuer: "i", RootCertBundle: "/b", SigningAlgorithms: signingAlgorithms()}
			change(c.Auth.Token)
		}
	}
	for _, test := range []struct {
		set  string   // key=value, the value in YAML
		with []string // others that it needs
		want func(c *Config)
	}{
		{set: "version=0.1"},
		{set: "log.level=debug", want: func(c *Config) { c.Log.Level = slog.LevelDebug }},
		{set: "log.level=WARN", want: func(c *Config) { c.Log.Level = slog.LevelWarn }},
		{set: "loglevel=error", want: func(c *Config) { c.Log.Level = slog.LevelError }},
		{set: "loglevel=error", with: []string{"log.level=debug"}, want: func(c *Config) { c.Log.Level = slog.LevelDebug }},
		{set: "log.formatter=json", want: func(c *Config) { c.Log.Formatter = "json" }},
		{set: "log.formatter=logstash", want: func(c *Config) { c.Log.Formatter = "logstash" }},
		{set: "log.fields={service: registry, n: 5, x: 1.5, on: true, l: [a]}", want: func(c *Config) {
			c.Log.Fields = map[string]any{"service": "registry", "n": int64(5), "x": 1.5, "on": true, "l": []any{"a"}}
		}},
		{set: "log.fields.service=registry", want: func(c *Config) { c.Log.Fields = map[string]any{"service": "registry"} }},
		{set: "log.reportcaller=true", want: func(c *Config) { c.Log.ReportCaller = true }},
		{set: "log.accesslog.disabled=true", want: func(c *Config) { c.Log.AccessLogDisabled = true }},
		{set: `log.accesslog.disabled="true"`, want: func(c *Config) { c.Log.AccessLogDisabled = true }},
		{set: "log.accesslog.disabled=on", want: func(c *Config) { c.Log.AccessLogDisabled = true }},
		{set: "tracing.enabled=true", want: func(c *Config) { c.TracingEnabled = true }},
		{set: "http.addr=127.0.0.1:80", want: func(c *Config) { c.HTTP.Addr = "127.0.0.1:80" }},
		{set: "http.net=unix", with: []string{"http.addr=/run/r.sock"}, want: func(c *Config) { c.HTTP.Net, c.HTTP.Addr = "unix", "/run/r.sock" }},
		{set: "http.prefix=/a/b/", want: func(c *Config) { c.HTTP.Prefix = "/a/b/" }},
		{set: "http.prefix=/a", want: func(c *Config) { c.HTTP.Prefix = "/a/" }},
		{set: "http.prefix=/", want: func(c *Config) {}},
		{set: "http.host=https://r.example.com:5000", want: func(c *Config) { c.HTTP.Host = &url.URL{Scheme: "https", Host: "r.example.com:5000"} }},
		{set: "http.secret=hush", want: func(c *Config) { c.HTTP.Secret = "hush" }},
		{set: "http.secret=0x10", want: func(c *Config) { c.HTTP.Secret = "0x10" }},
		{set: "http.previoussecrets=[a, b]", want: func(c *Config) { c.HTTP.PreviousSecrets = []Secret{"a", "b"} }},
		{set: "http.trustedproxies=[10.1.2.3/8, '::1']", want: func(c *Config) {
			c.HTTP.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
		}},
		{set: "http.relativeurls=true", want: func(c *Config) { c.HTTP.RelativeURLs = &yes }},
		{set: "http.relativeurls=false", want: func(c *Config) { c.HTTP.RelativeURLs = &no }},
		{set: "http.token.disabled=true", want: func(c *Config) { c.HTTP.TokenDisabled = true }},
		{set: "http.drainwait=15s", want: func(c *Config) { c.HTTP.DrainWait = 15 * time.Second }},
		{set: "http.draintimeout=1m", want: func(c *Config) { c.HTTP.DrainTimeout = time.Minute }},
		{set: "http.draintimeout=0", want: func(c *Config) { c.HTTP.DrainTimeout = 0 }},
		{set: "http.draintimeout=60000000000", want: func(c *Config) { c.HTTP.DrainTimeout = time.Minute }},
		{set: "http.timeouts.header=1s", want: func(c *Config) { c.HTTP.Timeouts.Header = time.Second }},
		{set: "http.timeouts.idle=1s", want: func(c *Config) { c.HTTP.Timeouts.Idle = time.Second }},
		{set: "http.timeouts.body=5s", want: func(c *Config) { c.HTTP.Timeouts.Body = 5 * time.Second }},
		{set: "http.maxconnections=5", want: func(c *Config) { c.HTTP.MaxConnections = 5 }},
		{set: "http.headers={x-content-type-options: [nosniff], X-B: [1, two]}", want: func(c *Config) {
			c.HTTP.Headers = http.Header{"X-Content-Type-Options": {"nosniff"}, "X-B": {"1", "two"}}
		}},
		{set: "http.debug.addr=localhost:5001", want: func(c *Config) { c.HTTP.Debug.Addr = "localhost:5001" }},
		{set: "http.debug.prometheus.enabled=true", with: []string{"http.debug.addr=:1"}, want: func(c *Config) { c.HTTP.Debug.Addr, c.HTTP.Debug.Prometheus.Enabled = ":1", true }},
		{set: "http.debug.prometheus.path=/m", want: func(c *Config) { c.HTTP.Debug.Prometheus.Path = "/m" }},
		{set: "http.http2.disabled=true", want: func(c *Config) { c.HTTP.HTTP2Disabled = true }},
		{set: "http.h2c.enabled=true", want: func(c *Config) { c.HTTP.H2CEnabled = true }},
		{set: "http.tls.certificate=/c", with: tlsPair, want: withTLS(func(c *TLSConfig) {})},
		{set: "http.tls.minimumtls=tls1.3", with: tlsPair, want: withTLS(func(c *TLSConfig) { c.MinVersion = tls.VersionTLS13 })},
		{set: "http.tls.ciphersuites=[TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]", with: tlsPair, want: withTLS(func(c *TLSConfig) {
			c.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384}
		})},
		{set: "http.tls.clientcas=[/a, /b]", with: tlsPair, want: withTLS(func(c *TLSConfig) {
			c.ClientCAs, c.ClientAuth = []string{"/a", "/b"}, tls.RequireAndVerifyClientCert
		})},
		{set: "http.tls.managed=true", with: []string{"http.secret=hush"}, want: func(c *Config) {
			c.HTTP.Secret, c.HTTP.TLS = "hush", &TLSConfig{MinVersion: tls.VersionTLS12, Managed: true}
		}},
		{set: "http.tls.letsencrypt.hosts=[R.example.com]", want: withACME(func(c *LetsEncryptConfig) {})},
		{set: "http.tls.letsencrypt.email=a@b.example", with: acmeHosts, want: withACME(func(c *LetsEncryptConfig) { c.Email = "a@b.example" })},
		{set: "http.tls.letsencrypt.directoryurl=https://acme.example/dir", with: acmeHosts, want: withACME(func(c *LetsEncryptConfig) { c.DirectoryURL = "https://acme.example/dir" })},
		{set: "http.tls.clientauth=verify-client-cert-if-given", with: append(tlsPair, "http.tls.clientcas=[/a]"), want: withTLS(func(c *TLSConfig) {
			c.ClientCAs, c.ClientAuth = []string{"/a"}, tls.VerifyClientCertIfGiven
		})},
		{set: "storage=filesystem", want: func(c *Config) {}},
		{set: "storage.filesystem.rootdirectory=/data", want: func(c *Config) { c.Storage.Filesystem.RootDirectory = "/data" }},
		{set: "storage.filesystem.maxthreads=50", want: func(c *Config) { c.Storage.Filesystem.MaxThreads = 50 }},
		{set: "storage.delete.enabled=true", want: func(c *Config) { c.Storage.Delete = &yes }},
		{set: `storage.delete.enabled="false"`, want: func(c *Config) { c.Storage.Delete = &no }},
		{set: "storage.redirect.expiry=5m", want: func(c *Config) { c.Storage.RedirectExpiry = 5 * time.Minute }},
		{set: "storage.redirect.disable=true", want: func(c *Config) { c.Storage.RedirectDisabled = true }},
		{set: "storage.cache.blobdescriptor=inmemory", want: func(c *Config) { c.Storage.Cache.BlobDescriptor = "inmemory" }},
		{set: "storage.cache.layerinfo=inmemory", want: func(c *Config) { c.Storage.Cache.BlobDescriptor = "inmemory" }},
		{set: "storage.cache.lifetime=5s", want: func(c *Config) { c.Storage.Cache.Lifetime = 5 * time.Second }},
		{set: "storage.cache.blobdescriptorsize=0", want: func(c *Config) { c.Storage.Cache.Size = 0 }},
		{set: "storage.maintenance.uploadpurging.enabled=false", want: func(c *Config) { c.Storage.UploadPurging.Enabled = false }},
		{set: "storage.maintenance.uploadpurging={enabled: false}", want: func(c *Config) { c.Storage.UploadPurging.Enabled = false }},
		{set: "storage.maintenance.uploadpurging.age=1h", want: func(c *Config) { c.Storage.UploadPurging.Age = time.Hour }},
		{set: "storage.maintenance.uploadpurging.interval=1h", want: func(c *Config) { c.Storage.UploadPurging.Interval = time.Hour }},
		{set: "storage.maintenance.uploadpurging.dryrun=true", want: func(c *Config) { c.Storage.UploadPurging.DryRun = true }},
		{set: "storage.maintenance.readonly.enabled=true", want: func(c *Config) { c.Storage.ReadOnly = true }},
		{set: `storage.maintenance.readonly={"enabled":true}`, want: func(c *Config) { c.Storage.ReadOnly = true }},
		{set: `storage.maintenance={"readonly":{"enabled":true}}`, want: func(c *Config) { c.Storage.ReadOnly = true }},
		{set: "storage.tag.concurrencylimit=8", want: func(c *Config) { c.Storage.TagConcurrency = 8 }},
		{set: "auth=none", want: func(c *Config) { c.Auth.None = true }},
		{set: "auth=None", want: func(c *Config) { c.Auth.None = true }},
		{set: "auth.none={}", want: func(c *Config) { c.Auth.None = true }},
		{set: "auth.htpasswd={realm: R, path: /h}", want: func(c *Config) { c.Auth.HTPasswd = &HTPasswdConfig{Realm: "R", Path: "/h"} }},
		{set: "auth.token.realm=https://t", with: token, want: withToken(func(c *TokenConfig) {})},
		{set: "auth.token.jwks=/j", with: token, want: withToken(func(c *TokenConfig) { c.JWKS = "/j" })},
		{set: "auth.token.autoredirect=true", with: token, want: withToken(func(c *TokenConfig) { c.AutoRedirect, c.AutoRedirectPath = true, "/auth/token" })},
		{set: "auth.token.autoredirectpath=/x", with: token, want: withToken(func(c *TokenConfig) { c.AutoRedirectPath = "/x" })},
		{set: "auth.token.signingalgorithms=[EdDSA, ES256]", with: token, want: withToken(func(c *TokenConfig) { c.SigningAlgorithms = []string{"EdDSA", "ES256"} })},
		{set: "admin.password=pw", want: func(c *Config) { c.Admin = AdminConfig{Username: "admin", Password: "pw"} }},
		{set: "admin.username=root", with: []string{"admin.passwordfile=/p"}, want: func(c *Config) { c.Admin = AdminConfig{Username: "root", PasswordFile: "/p"} }},
		{set: "gc={enabled: true, interval: 1h, grace: 0s, deleteuntagged: true, deletereferrers: true, taghistory: 5, concurrency: 4, pullinterval: 10m}", want: func(c *Config) {
			c.GC = GCConfig{Enabled: true, Interval: time.Hour, DeleteUntagged: true, DeleteReferrers: true, TagHistory: 5, Concurrency: 4, PullInterval: 10 * time.Minute}
		}},
		{set: "audit={enabled: true, pulls: false, storage: false, retention: 2160h}", want: func(c *Config) {
			c.Audit = AuditConfig{Enabled: true, Retention: 90 * 24 * time.Hour}
		}},
		{set: "catalog.maxentries=5", want: func(c *Config) { c.Catalog.MaxEntries = 5 }},
		{set: "catalog.maxentries=-1", want: func(c *Config) {}},
		{set: "tags.maxtags=5", want: func(c *Config) { c.Tags.MaxTags = 5 }},
		{set: "tags.maxtags=0", want: func(c *Config) {}},
		{set: "health.storagedriver={enabled: true, interval: 5s, threshold: 3}", want: func(c *Config) {
			c.Health.StorageDriver = StorageHealthConfig{Enabled: true, Interval: 5 * time.Second, Threshold: 3}
		}},
		{set: "validation.disabled=true", want: func(c *Config) { c.Validation.Disabled = true }},
		{set: "validation.enabled=true", with: []string{"validation.disabled=true"}, want: func(c *Config) {}},
		{set: "validation.manifests.urls.allow=['^https://a/', b]", want: func(c *Config) {
			c.Validation.URLs.Allow = []*regexp.Regexp{regexp.MustCompile("^https://a/"), regexp.MustCompile("b")}
		}},
		{set: "validation.manifests.urls.deny=[c]", want: func(c *Config) { c.Validation.URLs.Deny = []*regexp.Regexp{regexp.MustCompile("c")} }},
		{set: "validation.manifests.indexes.platforms=List", want: func(c *Config) { c.Validation.Indexes.Platforms = "list" }},
		{set: "validation.manifests.indexes.platformlist=[{architecture: amd64, os: linux}]", want: func(c *Config) {
			c.Validation.Indexes.PlatformList = []Platform{{Architecture: "amd64", OS: "linux"}}
		}},
		// Parsed, and without anything active in them neither refused nor in force.
		{set: "log.hooks=[{disabled: true, type: mail, levels: [panic], options: {smtp: {addr: a, username: u, password: p, insecure: true}, from: f, to: [t]}}]"},
		{set: "notifications={endpoints: [{name: n, url: 'http://h/x', headers: {Authorization: [Bearer x]}, timeout: 1s, threshold: 10, backoff: 2s, ignoredmediatypes: [a], ignore: {actions: [pull], mediatypes: [b]}}, {name: off, disabled: true}]}", want: func(c *Config) {
			c.Endpoints = []EndpointConfig{{Name: "n", URL: "http://h/x", Headers: map[string][]Secret{"Authorization": {"Bearer x"}}, Timeout: time.Second, Backoff: 2 * time.Second,
				IgnoredMediaTypes: []string{"a"}, IgnoreMediaTypes: []string{"b"}, IgnoreActions: []string{"pull"}}}
		}},
		{set: "notifications={events: {includereferences: true}, endpoints: [{name: n, disabled: true, url: 'http://x', headers: {Authorization: [Bearer x]}, timeout: 1s, threshold: 10, backoff: 1s, ignore: {actions: [pull]}}]}"},
		{set: "redis={dialtimeout: 10ms, pool: {maxidle: 16}}"},
		{set: "redis={addr: 'r:6379', password: x, db: 1, dialtimeout: 10ms, pool: {maxidle: 16, maxactive: 64, idletimeout: 300s}}", want: func(c *Config) {
			c.Redis = &RedisConfig{Addr: "r:6379", Password: "x", DB: 1, DialTimeout: 10 * time.Millisecond, PoolMaxIdle: 16, PoolMaxActive: 64, PoolIdleTimeout: 5 * time.Minute}
		}},
		{set: "redis={addrs: ['r:6379', 's:6379'], username: u, maxidleconns: 16, connmaxidletime: 300s, tls: {certificate: /c, key: /k, rootcas: [/ca], enabled: true}}", want: func(c *Config) {
			c.Redis = &RedisConfig{Addrs: []string{"r:6379", "s:6379"}, Username: "u", MaxIdleConns: 16, ConnMaxIdleTime: 5 * time.Minute,
				TLS: RedisTLSConfig{Enabled: true, Certificate: "/c", Key: "/k", RootCAs: []string{"/ca"}}}
		}},
		{set: "proxy={username: u, password: p, ttl: 168h, exec: {command: c, lifetime: 1h}, cachewritetimeout: 5m}", want: func(c *Config) { c.Proxy = ProxyConfig{Username: "u", Password: "p"} }},
		{set: "proxy={remoteurl: 'https://quay.io', username: u, password: p, maxsize: 50_000_000_000}", want: func(c *Config) {
			c.Proxy = ProxyConfig{RemoteURL: "https://quay.io", Username: "u", Password: "p", MaxSize: 50_000_000_000}
		}},
		{set: "middleware.storage=[{name: cloudfront, disabled: true, options: {baseurl: x, anything: [1]}}]"},
		{set: "policy.repository.classes=[]"},
		{set: "health={file: [], http: [], tcp: []}"},
	} {
		t.Run(strings.ReplaceAll(test.set, "/", "|"), func(t *testing.T) {
			want := want(t, test.want)
			var environ []string
			file := &node{}
			file.put("version", textOf("!!str", "0.1"))
			for _, set := range append(test.with, test.set) {
				key, value, _ := strings.Cut(set, "=")
				environ = append(environ, envName(key)+"="+value)
				parsed, err := parseYAML([]byte(value), key, "test")
				if err != nil {
					t.Fatal(err)
				}
				file.put(key, parsed)
			}
			if diff := cmp.Diff(want, mustLoad(t, "", environ...), sameValues); diff != "" {
				t.Errorf("variables %q (-want +got):\n%s", environ, diff)
			}
			yaml := marshal(t, file)
			got := mustLoad(t, yaml)
			if diff := cmp.Diff(want, got, sameValues); diff != "" {
				t.Errorf("file\n%s(-want +got):\n%s", yaml, diff)
			}
			checkMasked(t, got)
		})
	}
}

func TestConfigExamplesOfDistribution(t *testing.T) {
	const images = `version: 0.1
log: {fields: {service: registry}}
storage:
  cache: {blobdescriptor: inmemory}
  filesystem: {rootdirectory: /var/lib/registry}
http:
  addr: :5000
  headers: {X-Content-Type-Options: [nosniff]}
health:
  storagedriver: {enabled: true, interval: 10s, threshold: 3}
`
	c := mustLoad(t, images, "REGISTRY_HTTP_ADDR=0.0.0.0:443", "REGISTRY_HTTP_TLS_CERTIFICATE=/certs/domain.crt",
		"REGISTRY_HTTP_TLS_KEY=/certs/domain.key", "REGISTRY_AUTH=htpasswd",
		"REGISTRY_AUTH_HTPASSWD_REALM=Registry Realm", "REGISTRY_AUTH_HTPASSWD_PATH=/auth/htpasswd")
	if c.HTTP.Addr != "0.0.0.0:443" || c.HTTP.TLS == nil || c.Auth.HTPasswd == nil || c.Auth.HTPasswd.Realm != "Registry Realm" ||
		c.Storage.Cache.BlobDescriptor != "inmemory" || !c.Health.StorageDriver.Enabled {
		t.Errorf("got %+v", c)
	}
}

func TestConfigMergeKeys(t *testing.T) {
	c := mustLoad(t, `version: 0.1
storage:
  maintenance:
    uploadpurging: &purge {enabled: false, age: 5h}
    <<: {readonly: {enabled: true}}
  <<: [{delete: {enabled: true}}, {delete: {enabled: false}, tag: {concurrencylimit: 3}}]
`)
	if c.Storage.Delete == nil || !*c.Storage.Delete || c.Storage.TagConcurrency != 3 || !c.Storage.ReadOnly || c.Storage.UploadPurging.Age != 5*time.Hour {
		t.Errorf("got %+v", c.Storage)
	}
}

func TestFindConfig(t *testing.T) {
	const dist3, docker = "/etc/distribution/config.yml", "/etc/docker/registry/config.yml"
	for _, test := range []struct{ arg, env, files, want string }{
		{"a", "b", dist3 + docker, "a"},
		{"", "b", dist3 + docker, "b"},
		{"", "", dist3 + docker, dist3},
		{"", "", docker, docker},
		{"", "", "", ""},
	} {
		getenv := func(name string) string {
			if name != "REGISTRY_CONFIGURATION_PATH" {
				t.Errorf("getenv(%s)", name)
			}
			return test.env
		}
		got := findConfig(test.arg, getenv, func(path string) bool { return strings.Contains(test.files, path) })
		if got != test.want {
			t.Errorf("findConfig(%q, %q) with %q = %q, want %q", test.arg, test.env, test.files, got, test.want)
		}
	}
	if got := FindConfig("x", os.Getenv); got != "x" {
		t.Errorf("FindConfig(x) = %q", got)
	}
}

func TestSecretNeverPrints(t *testing.T) {
	c := Config{Admin: AdminConfig{Password: "hunter2"}, HTTP: HTTPConfig{PreviousSecrets: []Secret{"hunter2"}}}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", c.Admin.Password, "config", c)
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		fmt.Fprintf(&log, format, c)
		fmt.Fprintf(&log, format, &c)
		fmt.Fprintf(&log, format, c.Admin.Password)
	}
	if s := log.String(); strings.Contains(s, "hunter2") || strings.Contains(s, "68756e74657232") {
		t.Errorf("a secret is printed: %s", s)
	}
}
