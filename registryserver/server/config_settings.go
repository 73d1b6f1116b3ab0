package server

import (
	"crypto/tls"
	"log/slog"
	"math"
	"time"
)

// defaultConfig is the configuration without file and variables, with the
// optional sections there so that settings can fill them; finish removes the
// ones that nobody wrote.
func defaultConfig() *Config {
	return &Config{
		Log: LogConfig{Level: slog.LevelInfo, Formatter: "text"},
		HTTP: HTTPConfig{
			Net: "tcp",
			// distribution waits for nothing by default: SIGTERM kills pushes.
			DrainTimeout:   30 * time.Second,
			MaxConnections: 10_000,
			Timeouts:       TimeoutsConfig{Header: 10 * time.Second, Idle: 2 * time.Minute, Body: time.Minute},
			TLS:            &TLSConfig{MinVersion: tls.VersionTLS12},
			Debug:          DebugConfig{Prometheus: PrometheusConfig{Path: "/metrics"}},
		},
		Storage: StorageConfig{
			Filesystem: FilesystemConfig{RootDirectory: "/var/lib/registry", MaxThreads: 100},
			S3: &S3Config{
				Secure: true, V4Auth: true,
				ChunkSize: 10 << 20, MultipartCopyChunkSize: 32 << 20, MultipartCopyMaxConcurrency: 100, MultipartCopyThresholdSize: 1 << 30,
			},
			Cache:          CacheConfig{Size: 10_000, Lifetime: time.Minute},
			RedirectExpiry: 20 * time.Minute,
			UploadPurging:  UploadPurgingConfig{Enabled: true, Age: 168 * time.Hour, Interval: 24 * time.Hour},
		},
		Auth: AuthConfig{
			HTPasswd: &HTPasswdConfig{},
			Token:    &TokenConfig{SigningAlgorithms: signingAlgorithms()},
		},
		Catalog:    CatalogConfig{MaxEntries: 1000},
		Tags:       TagsConfig{MaxTags: 1000},
		Health:     HealthConfig{StorageDriver: StorageHealthConfig{Interval: 10 * time.Second}},
		Validation: ValidationConfig{Indexes: IndexesConfig{Platforms: "all"}},
		Redis:      &RedisConfig{},
		Audit:      AuditConfig{Pulls: true, Storage: true},
		GC:         GCConfig{Interval: 24 * time.Hour, Grace: 24 * time.Hour, Concurrency: 16, PullInterval: time.Hour},
	}
}

// settings are the keys that make a Config, each bound to its field, in the
// order in which Masked prints them. This list is the only place that says
// where a key lives, what it may hold and how it is shown.
func (c *Config) settings() []setting {
	all := []setting{
		{"loglevel", formerName{asOneOf(&c.Log.Level, logLevels())}},
		{"log.level", asOneOf(&c.Log.Level, logLevels())},
		{"log.formatter", asOneOf(&c.Log.Formatter, namesOf("text", "json", "logstash"))},
		{"log.fields", asFields(&c.Log.Fields)},
		{"log.reportcaller", asBool(&c.Log.ReportCaller)},
		{"log.accesslog.disabled", asBool(&c.Log.AccessLogDisabled)},
		{"tracing.enabled", asBool(&c.TracingEnabled)},
	}
	all = append(all, c.HTTP.settings()...)
	all = append(all, c.Storage.settings()...)
	all = append(all, c.Auth.settings()...)
	all = append(all, c.Redis.settings()...)
	all = append(all, c.AWS.settings()...)
	all = append(all, c.GC.settings()...)
	all = append(all, c.Audit.settings()...)
	all = append(all, notificationSettings(&c.Endpoints)...)
	return append(all, []setting{
		{"admin.username", asText(&c.Admin.Username)},
		{"admin.password", asSecret(&c.Admin.Password)},
		{"admin.passwordfile", asText(&c.Admin.PasswordFile)},
		{"proxy.remoteurl", asText(&c.Proxy.RemoteURL)},
		{"proxy.username", asText(&c.Proxy.Username)},
		{"proxy.password", asSecret(&c.Proxy.Password)},
		{"proxy.maxsize", asInt(&c.Proxy.MaxSize, 0)},
		{"catalog.maxentries", asInt(&c.Catalog.MaxEntries, math.MinInt)},
		{"tags.maxtags", asInt(&c.Tags.MaxTags, 0)},
		{"health.storagedriver.enabled", asBool(&c.Health.StorageDriver.Enabled)},
		{"health.storagedriver.interval", asDuration(&c.Health.StorageDriver.Interval)},
		{"health.storagedriver.threshold", asInt(&c.Health.StorageDriver.Threshold, 0)},
		{"validation.disabled", asBool(&c.Validation.Disabled)},
		{"validation.manifests.urls.allow", asList(&c.Validation.URLs.Allow, asRegexp())},
		{"validation.manifests.urls.deny", asList(&c.Validation.URLs.Deny, asRegexp())},
		{"validation.manifests.indexes.platforms", asOneOf(&c.Validation.Indexes.Platforms, namesOf("all", "none", "list"))},
		{"validation.manifests.indexes.platformlist", asPlatforms(&c.Validation.Indexes.PlatformList)},
	}...)
}

func (c *HTTPConfig) settings() []setting {
	all := []setting{
		{"http.net", asOneOf(&c.Net, namesOf("tcp", "unix"))},
		{"http.addr", asText(&c.Addr)},
		{"http.prefix", asPrefix(&c.Prefix)},
		{"http.host", asHost(&c.Host)},
		{"http.secret", asSecret(&c.Secret)},
		{"http.previoussecrets", asList(&c.PreviousSecrets, asSecret(nil))},
		{"http.relativeurls", asOptionalBool(&c.RelativeURLs)},
		{"http.trustedproxies", asList(&c.TrustedProxies, asNetwork())},
		{"http.drainwait", asDuration(&c.DrainWait)},
		{"http.draintimeout", asDuration(&c.DrainTimeout)},
		{"http.token.disabled", asBool(&c.TokenDisabled)},
		{"http.timeouts.header", asDuration(&c.Timeouts.Header)},
		{"http.timeouts.idle", asDuration(&c.Timeouts.Idle)},
		{"http.timeouts.body", asDuration(&c.Timeouts.Body)},
		{"http.maxconnections", asInt(&c.MaxConnections, 0)},
		{"http.headers", asHeaders(&c.Headers)},
		{"http.debug.addr", asText(&c.Debug.Addr)},
		{"http.debug.prometheus.enabled", asBool(&c.Debug.Prometheus.Enabled)},
		{"http.debug.prometheus.path", asText(&c.Debug.Prometheus.Path)},
		{"http.http2.disabled", asBool(&c.HTTP2Disabled)},
		{"http.h2c.enabled", asBool(&c.H2CEnabled)},
	}
	if c.TLS == nil {
		return all
	}
	return append(all, []setting{
		{"http.tls.certificate", asText(&c.TLS.Certificate)},
		{"http.tls.key", asText(&c.TLS.Key)},
		{"http.tls.minimumtls", asOneOf(&c.TLS.MinVersion, tlsVersions())},
		{"http.tls.ciphersuites", asList(&c.TLS.CipherSuites, asOneOf(nil, cipherSuites()))},
		{"http.tls.clientcas", asTexts(&c.TLS.ClientCAs)},
		{"http.tls.clientauth", asOneOf(&c.TLS.ClientAuth, clientAuths())},
		{"http.tls.managed", asBool(&c.TLS.Managed)},
		{"http.tls.letsencrypt.email", asText(&c.TLS.LetsEncrypt.Email)},
		{"http.tls.letsencrypt.hosts", asList(&c.TLS.LetsEncrypt.Hosts, asDNSName())},
		{"http.tls.letsencrypt.directoryurl", asText(&c.TLS.LetsEncrypt.DirectoryURL)},
	}...)
}

func (c *StorageConfig) settings() []setting {
	var all []setting
	if c.Filesystem != (FilesystemConfig{}) {
		all = append(all, []setting{
			{"storage.filesystem.rootdirectory", asText(&c.Filesystem.RootDirectory)},
			{"storage.filesystem.maxthreads", asInt(&c.Filesystem.MaxThreads, 0)},
		}...)
	}
	if c.S3 != nil {
		for _, s := range c.S3.settings("storage.s3aws.") {
			all = append(all, setting{s.key, formerName{s.value}})
		}
		all = append(all, c.S3.settings("storage.s3.")...)
	}
	return append(all, []setting{
		{"storage.delete.enabled", asOptionalBool(&c.Delete)},
		{"storage.redirect.disable", asBool(&c.RedirectDisabled)},
		{"storage.redirect.expiry", asDuration(&c.RedirectExpiry)},
		{"storage.cache.layerinfo", formerName{asText(&c.Cache.BlobDescriptor)}},
		{"storage.cache.blobdescriptor", asText(&c.Cache.BlobDescriptor)},
		{"storage.cache.blobdescriptorsize", asInt(&c.Cache.Size, 0)},
		{"storage.cache.lifetime", asDuration(&c.Cache.Lifetime)},
		{"storage.maintenance.uploadpurging.enabled", asBool(&c.UploadPurging.Enabled)},
		{"storage.maintenance.uploadpurging.age", asDuration(&c.UploadPurging.Age)},
		{"storage.maintenance.uploadpurging.interval", asDuration(&c.UploadPurging.Interval)},
		{"storage.maintenance.uploadpurging.dryrun", asBool(&c.UploadPurging.DryRun)},
		{"storage.maintenance.readonly.enabled", asBool(&c.ReadOnly)},
		{"storage.tag.concurrencylimit", asInt(&c.TagConcurrency, 0)},
	}...)
}

// settings are the parameters of the drivers s3 and s3aws, which are one.
func (c *S3Config) settings(prefix string) []setting {
	return []setting{
		{prefix + "accesskey", asSecret(&c.AccessKey)},
		{prefix + "secretkey", asSecret(&c.SecretKey)},
		{prefix + "sessiontoken", asSecret(&c.SessionToken)},
		{prefix + "bucket", asText(&c.Bucket)},
		{prefix + "region", asText(&c.Region)},
		{prefix + "regionendpoint", asText(&c.RegionEndpoint)},
		{prefix + "redirectendpoint", asText(&c.RedirectEndpoint)},
		{prefix + "rootdirectory", asText(&c.RootDirectory)},
		{prefix + "forcepathstyle", asOptionalBool(&c.ForcePathStyle)},
		{prefix + "secure", asBool(&c.Secure)},
		{prefix + "skipverify", asBool(&c.SkipVerify)},
		{prefix + "v4auth", asBool(&c.V4Auth)},
		{prefix + "usedualstack", asBool(&c.UseDualStack)},
		{prefix + "usefipsendpoint", asBool(&c.UseFIPSEndpoint)},
		{prefix + "accelerate", asBool(&c.Accelerate)},
		{prefix + "encrypt", asBool(&c.Encrypt)},
		{prefix + "keyid", asText(&c.KeyID)},
		{prefix + "storageclass", asText(&c.StorageClass)},
		{prefix + "objectacl", asText(&c.ObjectACL)},
		{prefix + "useragent", asText(&c.UserAgent)},
		{prefix + "loglevel", asText(&c.LogLevel)},
		{prefix + "chunksize", asInt(&c.ChunkSize, 0)},
		{prefix + "multipartcopychunksize", asInt(&c.MultipartCopyChunkSize, 0)},
		{prefix + "multipartcopymaxconcurrency", asInt(&c.MultipartCopyMaxConcurrency, 0)},
		{prefix + "multipartcopythresholdsize", asInt(&c.MultipartCopyThresholdSize, 0)},
	}
}

func (c *AuthConfig) settings() []setting {
	all := []setting{{"auth.none", asPresence(&c.None)}}
	if h := c.HTPasswd; h != nil {
		all = append(all, []setting{
			{"auth.htpasswd.realm", asText(&h.Realm)},
			{"auth.htpasswd.path", asText(&h.Path)},
		}...)
	}
	if t := c.Token; t != nil {
		all = append(all, []setting{
			{"auth.token.realm", asText(&t.Realm)},
			{"auth.token.service", asText(&t.Service)},
			{"auth.token.issuer", asText(&t.Issuer)},
			{"auth.token.rootcertbundle", asText(&t.RootCertBundle)},
			{"auth.token.jwks", asText(&t.JWKS)},
			{"auth.token.autoredirect", asBool(&t.AutoRedirect)},
			{"auth.token.autoredirectpath", asText(&t.AutoRedirectPath)},
			{"auth.token.signingalgorithms", asList(&t.SigningAlgorithms, asSigningAlgorithm())},
		}...)
	}
	return all
}

func logLevels() []named[slog.Level] {
	return []named[slog.Level]{
		{"error", slog.LevelError}, {"warn", slog.LevelWarn}, {"info", slog.LevelInfo}, {"debug", slog.LevelDebug},
	}
}

func tlsVersions() []named[uint16] {
	return []named[uint16]{
		{"tls1.0", tls.VersionTLS10}, {"tls1.1", tls.VersionTLS11}, {"tls1.2", tls.VersionTLS12}, {"tls1.3", tls.VersionTLS13},
	}
}

// cipherSuites are all that Go knows: distribution allows the insecure ones too, and so do we, with a warning.
func cipherSuites() []named[uint16] {
	var all []named[uint16]
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		all = append(all, named[uint16]{s.Name, s.ID})
	}
	return all
}

func clientAuths() []named[tls.ClientAuthType] {
	return []named[tls.ClientAuthType]{
		{"request-client-cert", tls.RequestClientCert},
		{"require-any-client-cert", tls.RequireAnyClientCert},
		{"verify-client-cert-if-given", tls.VerifyClientCertIfGiven},
		{"require-and-verify-client-cert", tls.RequireAndVerifyClientCert},
	}
}

func signingAlgorithms() []string {
	return []string{
		"EdDSA", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512",
	}
}

// asSigningAlgorithm leaves out distribution's HS256 and its like: there the
// key that checks a token can also sign one, and a server that takes both
// kinds can be made to use a public key as a shared secret.
func asSigningAlgorithm() scalar[string] {
	s := asOneOf(nil, namesOf(signingAlgorithms()...))
	s.want += "; HS256, HS384 and HS512 are refused because whoever can check such a token can also sign one"
	return s
}
