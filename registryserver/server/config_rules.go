package server

import (
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// finish holds the settings against each other, fills in what follows from
// them, and removes the sections that nobody wrote.
func (l *configLoader) finish(environ []string) {
	l.finishVersion()
	if !l.config.Redis.configured() {
		l.config.Redis = nil
	}
	l.finishHTTP()
	l.finishTLS()
	l.finishStorage()
	l.finishAuth()
	l.finishAdmin()
	l.finishAWS()
	l.finishProxy()
	c := l.config
	if c.Catalog.MaxEntries <= 0 {
		c.Catalog.MaxEntries = 1000
	}
	if c.Tags.MaxTags == 0 {
		c.Tags.MaxTags = 1000
	}
	if enabled, _ := parseBool(l.root.at("validation.enabled").text); enabled {
		c.Validation.Disabled = false
	}
	l.mustBePositive("health.storagedriver.interval", c.Health.StorageDriver.Interval)
	if references, _ := parseBool(l.root.at("notifications.events.includereferences").text); references && len(c.Endpoints) > 0 {
		l.warnAt("notifications.events.includereferences", "has no effect in registryserver; notifications do not list what a manifest refers to")
	}
	l.warnOfTracing(environ)
}

// failAt and warnAt are fail and warn for a key that may not be written.
func (l *configLoader) failAt(key, format string, args ...any) {
	l.fail(key, l.root.at(key), format, args...)
}

func (l *configLoader) warnAt(key, format string, args ...any) {
	l.warn(key, l.root.at(key), format, args...)
}

func (l *configLoader) mustBePositive(key string, d time.Duration) {
	if n := l.root.at(key); n.kind == textNode && d == 0 {
		l.fail(key, n, "%s is not allowed; use a duration above 0", quoteValue(n.text))
	}
}

func (l *configLoader) finishVersion() {
	n := l.root.at("version")
	switch {
	case n.kind == nullNode && l.hasFile:
		l.fail("version", nil, "is missing; write version: %s", configVersion)
	case n.kind != nullNode && n.text != configVersion:
		l.fail("version", n, "%s is not allowed; use %s", quoteValue(n.text), configVersion)
	}
}

func (l *configLoader) finishHTTP() {
	c := &l.config.HTTP
	switch {
	case c.Net == "tcp" && c.Addr == "":
		c.Addr = ":5000"
	case c.Net == "tcp":
		l.mustBeAddress("http.addr", c.Addr)
	case c.Addr == "":
		l.failAt("http.addr", "is missing; with http.net unix, write the path of the socket")
	}
	if c.Debug.Addr != "" {
		l.mustBeAddress("http.debug.addr", c.Debug.Addr)
	}
	if p := &c.Debug.Prometheus; p.Path == "" {
		p.Path = "/metrics"
	} else if !strings.HasPrefix(p.Path, "/") {
		l.failAt("http.debug.prometheus.path", "%s is not allowed; use a path such as /metrics", quoteValue(p.Path))
	}
	if c.Debug.Prometheus.Enabled && c.Debug.Addr == "" {
		l.warnAt("http.debug.prometheus.enabled", "has no effect without http.debug.addr, the address to serve metrics at")
	}
	if u := c.Host; u != nil {
		if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
			l.warnAt("http.host", "only scheme and host are used, as in distribution; for a path in front of /v2/ set http.prefix")
		}
		c.Host = &url.URL{Scheme: u.Scheme, Host: u.Host}
	}
	if c.RelativeURLs != nil && *c.RelativeURLs && c.Host != nil {
		l.warnAt("http.relativeurls", "has no effect beside http.host, as in distribution")
	}
}

func (l *configLoader) mustBeAddress(key, addr string) {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		l.failAt(key, "%s is not allowed; use host:port, such as :5000 or 127.0.0.1:5000", quoteValue(addr))
	}
}

func (l *configLoader) finishStorage() {
	l.mustBeOneChoice("storage")
	c := &l.config.Storage
	l.finishS3(c)
	if c.S3 == nil && c.Filesystem.RootDirectory == "" {
		l.failAt("storage.filesystem.rootdirectory", "is empty; write the directory that keeps the images, or nothing for /var/lib/registry")
	}
	if c.S3 == nil && c.Filesystem.MaxThreads < minThreads {
		l.warnAt("storage.filesystem.maxthreads", "%d is raised to %d, as in distribution", c.Filesystem.MaxThreads, minThreads)
		c.Filesystem.MaxThreads = minThreads
	}
	const purging = "storage.maintenance.uploadpurging."
	l.mustBePositive("storage.redirect.expiry", c.RedirectExpiry)
	l.mustBePositive(purging+"age", c.UploadPurging.Age)
	l.mustBePositive(purging+"interval", c.UploadPurging.Interval)
	const cache = "storage.cache.blobdescriptor"
	switch c.Cache.BlobDescriptor {
	case "", "inmemory":
	case "redis":
		if l.config.Redis == nil {
			l.warnAt(cache, "there is no redis section, so there is no Redis; set redis.addrs (REGISTRY_REDIS_ADDRS)")
		}
	default:
		l.warnAt(cache, "%s is no cache, so there is none, as in distribution; use inmemory", quoteValue(c.Cache.BlobDescriptor))
		c.Cache.BlobDescriptor = ""
	}
}

// finishS3 leaves one of the two kinds of storage. What else a bucket needs,
// s3store says when it is opened.
func (l *configLoader) finishS3(c *StorageConfig) {
	key := "storage.s3"
	n, chosen := l.root.lookup(key)
	if !chosen {
		key = "storage.s3aws"
		n, chosen = l.root.lookup(key)
	}
	if !chosen {
		c.S3 = nil
		return
	}
	c.Filesystem = FilesystemConfig{}
	if c.S3.Bucket == "" {
		l.fail(key+".bucket", n, "is not set; name the bucket (%s)", envName(key+".bucket"))
	}
	if c.S3.Region == "" && c.S3.RegionEndpoint == "" {
		l.fail(key+".region", n, "is not set; name the region of the bucket, such as eu-central-1 (%s)", envName(key+".region"))
	}
	if (c.S3.AccessKey == "") != (c.S3.SecretKey == "") {
		l.fail(key, n, "accesskey and secretkey go together; set both, or neither to use the role of the machine")
	}
	if !c.S3.V4Auth {
		l.failAt(key+".v4auth", "signatures of version 2 are not supported, nor by AWS any more; remove it")
	}
	if e := c.S3.RedirectEndpoint; e != "" && !bareURL(e) {
		l.failAt(key+".redirectendpoint", "%s is not allowed; use http:// or https:// and a host, without a path, such as https://images.example.com", quoteValue(e))
	}
	if c.S3.Encrypt || c.S3.KeyID == "" {
		return
	}
	l.warnAt(key+".keyid", "has no effect without encrypt: true, as in distribution")
}

// bareURL reports whether s is a URL of a host and nothing more.
func bareURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil &&
		strings.Trim(u.Path, "/") == "" && u.RawQuery == "" && u.Fragment == ""
}

// minThreads is the least number of file operations at a time that distribution allows.
const minThreads = 25

// mustBeOneChoice reports a section of which more than one key is chosen.
// Unknown keys are check's business.
func (l *configLoader) mustBeOneChoice(section string) {
	n, c := l.root.at(section), l.schema.fields[section].choice
	var named []string
	for _, key := range c.chosen(n) {
		if slices.Contains(c.known, key) {
			named = append(named, n.fields[key].where(key))
		}
	}
	if len(named) > 1 {
		slices.Sort(named)
		l.fail(section, nil, "only one %s is allowed, here are %s; remove the others, or name the one with %s",
			c.what, strings.Join(named, ", "), envName(section))
	}
}

func (l *configLoader) finishAuth() {
	l.mustBeOneChoice("auth")
	c := &l.config.Auth
	_, c.None = l.root.lookup("auth.none")
	if _, ok := l.root.lookup("auth.htpasswd"); ok {
		l.finishHTPasswd(c.HTPasswd)
	} else {
		c.HTPasswd = nil
	}
	if _, ok := l.root.lookup("auth.token"); ok {
		l.finishToken(c.Token)
	} else {
		c.Token = nil
	}
}

func (l *configLoader) finishHTPasswd(c *HTPasswdConfig) {
	if c.Path == "" {
		l.failAt("auth.htpasswd.path", "is missing; write the path of the htpasswd file")
	}
	if c.Realm == "" {
		c.Realm = "Registry"
		l.warnAt("auth.htpasswd.realm", "is missing, so it is %s; write the name that clients show when they ask for a password", c.Realm)
	}
}

func (l *configLoader) finishToken(c *TokenConfig) {
	for _, required := range []struct{ key, value, what string }{
		{"auth.token.realm", c.Realm, "the URL where clients get tokens"},
		{"auth.token.service", c.Service, "the name that the issuer knows this registry by"},
		{"auth.token.issuer", c.Issuer, "the name of the issuer in its tokens"},
		{"auth.token.rootcertbundle", c.RootCertBundle + c.JWKS, "the path of the issuer's certificates, or auth.token.jwks for its keys"},
	} {
		if required.value == "" {
			l.failAt(required.key, "is missing; write %s", required.what)
		}
	}
	if c.AutoRedirect && c.AutoRedirectPath == "" {
		c.AutoRedirectPath = "/auth/token"
	}
	if len(c.SigningAlgorithms) == 0 {
		c.SigningAlgorithms = signingAlgorithms()
	}
}

func (l *configLoader) finishAdmin() {
	c := &l.config.Admin
	switch {
	case c.Password != "" && c.PasswordFile != "":
		l.failAt("admin.passwordfile", "is written beside admin.password; write one of them")
	case c.Password == "" && c.PasswordFile == "" && c.Username != "":
		// Going on would open a registry that its operator believes to be closed.
		l.failAt("admin.username", "is written without a password; write admin.password or admin.passwordfile")
	case c.Username == "" && (c.Password != "" || c.PasswordFile != ""):
		c.Username = "admin"
	}
}

// warnOfTracing tells who configured distribution's trace export that nothing is exported.
func (l *configLoader) warnOfTracing(environ []string) {
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if name == "OTEL_TRACES_EXPORTER" && value != "" && value != "none" {
			l.warnings = append(l.warnings, name+": traces are not exported by registryserver; set it to none or remove it")
		}
	}
}
