// Package server puts the registry together: configuration, wiring, listeners
// and lifecycle. It is the only package that knows all the others.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/adminapi"
	"github.com/registrykit/terraform-provider-registry/registryserver/audit"
	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/awshost"
	"github.com/registrykit/terraform-provider-registry/registryserver/certificates"
	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/events"
	"github.com/registrykit/terraform-provider-registry/registryserver/ociapi"
	"github.com/registrykit/terraform-provider-registry/registryserver/proxycache"
	"github.com/registrykit/terraform-provider-registry/registryserver/rediscache"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
	"github.com/registrykit/terraform-provider-registry/registryserver/replication"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/fsstore"
)

// Server is one registry server. New makes it, Run runs it; a test can use its
// Handler alone.
type Server struct {
	config  *Config
	version string
	log     *slog.Logger
	metrics *metrics
	tracing *tracing // nil: off
	ready   *readiness
	gate    *auth.Gate
	issued  *auth.IssuedTokens
	handler http.Handler
	tls     *tlsFiles
	// installed are the certificates of the admin API; they are kept also where
	// there is no TLS yet.
	installed    *certificates.Store
	webhooks     *events.Store
	notifier     *events.Notifier
	replications *replication.Replicator
	proxies      *proxycache.Store
	proxy        *proxycache.Cache
	redis        *rediscache.Cache             // nil: there is none
	host         *awshost.Host                 // nil: nothing of AWS is configured
	records      storage.Records               // for the reports of starts
	audit        *audit.Log                    // nil: not in the storage
	leaving      atomic.Bool                   // the machine is about to go
	keyrings     []*auth.Keyring               // all that there are, for a secret that is exchanged
	tasks        []func(context.Context) error // what runs beside the listeners
	closers      []func() error

	listener, debugListener net.Listener
	unused                  unusedConns
}

// Options are what does not come from the configuration.
type Options struct {
	Log     *slog.Logger // the default is slog.Default()
	Version string       // shown to clients of the admin API; the default is "dev"
}

// New wires a server. It opens the storage and reads the users, so it fails
// where a server that ran would be of no use.
func New(ctx context.Context, c *Config, o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Version == "" {
		o.Version = "dev"
	}
	s := &Server{config: c, version: o.Version, log: slog.New(requestIDLog{o.Log.Handler()}), metrics: newMetrics(o.Version)}

	if err := s.openTracing(ctx); err != nil {
		return nil, err
	}
	if err := s.openAWS(ctx); err != nil {
		return nil, err
	}
	c = s.config
	store, err := openObserved(ctx, c.Storage, s.log, s.watchS3)
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, store.Close)
	s.ready = &readiness{check: ready(store)}
	blobs := measuredBlobs{store.Blobs(), s.operations(c.Storage.driver())}
	records := measuredRecords{store.Records(), s.operations(c.Storage.driver())}
	s.records = records

	keys, err := s.keyring(ctx, records)
	if err != nil {
		return nil, err
	}
	s.followHTTPSecret(keys, records)
	if err := s.openRedis(keys); err != nil {
		return nil, err
	}
	images := registry.New(blobs, records, s.sharing(registryOptions(c, s.log)))
	s.metrics.watchStorage(store, images.CacheStats)
	users, err := s.users(ctx, records, images, keys)
	if err != nil {
		return nil, err
	}
	if err := s.openTLS(ctx, records); err != nil {
		return nil, err
	}
	if err := s.openReplications(ctx, records, images); err != nil {
		return nil, err
	}
	if err := s.openWebhooks(ctx, records); err != nil {
		return nil, err
	}
	if err := s.openProxy(ctx, records, images); err != nil {
		return nil, err
	}
	s.tasks = append(s.tasks, images.Watch)
	s.followRedis(users, images)
	s.sweepUploads(blobs)
	s.openAudit(records)
	s.notePulls(images)
	collections := s.collect(images)
	admin, err := adminapi.New(adminapi.Config{
		Gate: s.gate, Directory: users, Tokens: s.issued, Registry: images, Certificates: s.installed, Proxies: s.proxies, Log: s.log,
		Replications: s.replications, ReplicationsTaken: s.notifier.Taken,
		Webhooks: s.webhooks, Notify: s.notify, Server: s.describe, DeletesDisabled: c.Storage.Delete != nil && !*c.Storage.Delete || c.Storage.ReadOnly,
		ReadOnly: c.Storage.ReadOnly, Collections: collections, Grace: c.collectOptions("").Grace,
	})
	if err != nil {
		return nil, err
	}
	s.handler = s.observe(s.routes(ociapi.New(s.ociConfig(images, keys)), admin))
	s.warn(store)
	return s, nil
}

// Close releases what New opened. Run does it when it ends.
func (s *Server) Close() error {
	var errs []error
	for _, closer := range s.closers {
		errs = append(errs, closer())
	}
	s.closers = nil
	return errors.Join(errs...)
}

// Handler answers everything that the main listener does.
func (s *Server) Handler() http.Handler { return s.handler }

func (s *Server) ociConfig(images *registry.Registry, keys *auth.Keyring) ociapi.Config {
	c := s.config
	return ociapi.Config{
		Registry: images, Proxy: s.proxy, Gate: s.gate, Keys: keys, Log: s.log, Notify: s.notify,
		Prefix: s.prefix(), Host: c.HTTP.Host, Headers: c.HTTP.Headers,
		RelativeURLs: c.HTTP.Host == nil && (c.HTTP.RelativeURLs == nil || *c.HTTP.RelativeURLs),
		TrustedProxy: s.fromTrustedProxy,
		ReadOnly:     c.Storage.ReadOnly, Deletes: c.Storage.Delete,
		MaxCatalog: c.Catalog.MaxEntries, MaxTags: c.Tags.MaxTags,
		SessionLifetime: c.Storage.UploadPurging.Age, RedirectExpiry: redirectExpiry(c.Storage),
	}
}

// redirectExpiry is 0 where blobs are served from here.
func redirectExpiry(c StorageConfig) time.Duration {
	if c.RedirectDisabled {
		return 0
	}
	return min(c.RedirectExpiry, 7*24*time.Hour) // more cannot be signed
}

// routes sends requests where they belong. It matches paths as they are: a
// ServeMux would clean them, and answer odd ones with redirects.
func (s *Server) routes(oci *ociapi.API, admin http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch s.area(r) {
		case "v2":
			oci.ServeHTTP(w, r)
		case "token":
			oci.ServeToken(w, r)
		case "archives":
			oci.ServeArchive(w, r)
		case "admin":
			http.StripPrefix(strings.TrimSuffix(s.prefix(), "/"), admin).ServeHTTP(w, r)
		case "healthz":
			healthz(w, r)
		case "readyz":
			s.readyz(w, r)
		case "root":
			plain(w, http.StatusOK, "") // what distribution answers to load balancers
		default:
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			_, _ = fmt.Fprintf(w, `{"errors":[{"code":%q,"message":"there is nothing here; the registry is below %sv2/ and its admin API below %sapi/v1/"}]}`+"\n", "NOT_FOUND", s.prefix(), s.prefix())
		}
	})
}

// area is the part of the server that a path belongs to.
func (s *Server) area(r *http.Request) string {
	switch r.URL.Path {
	case "/healthz":
		return "healthz"
	case "/readyz":
		return "readyz"
	case "/":
		return "root"
	}
	rest, ok := strings.CutPrefix(r.URL.Path, s.prefix())
	first, _, _ := strings.Cut(rest, "/")
	switch {
	case ok && first == "v2":
		return "v2"
	case ok && strings.HasPrefix(rest, ociapi.ArchivesPath):
		return "archives"
	case ok && first == "api":
		return "admin"
	case ok && rest == "token" && s.gate.ServesTokens():
		return "token"
	}
	return ""
}

// endpoint is the label of a request in the metrics.
func (s *Server) endpoint(r *http.Request) string {
	switch area := s.area(r); area {
	case "v2":
		return ociapi.Endpoint(r.Method, r.URL, s.prefix())
	case "admin", "archives", "token":
		return area
	case "":
		return "unknown"
	default:
		return "health"
	}
}

func (s *Server) prefix() string {
	if s.config.HTTP.Prefix == "" {
		return "/"
	}
	return s.config.HTTP.Prefix
}

// debugHandler serves metrics and profiles, on a listener of its own.
func (s *Server) debugHandler() http.Handler {
	mux := http.NewServeMux()
	if p := s.config.HTTP.Debug.Prometheus; p.Enabled {
		mux.Handle("GET "+p.Path, s.metrics.handler())
	}
	mux.HandleFunc("GET /debug/health", s.readyz)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// describe is what this server tells the admin API about itself.
func (s *Server) describe() client.Server {
	return client.Server{Version: s.version, Storage: client.Storage{Driver: s.config.Storage.driver()}, Capabilities: s.capabilities()}
}

// capabilities are what not every server of this version can do.
func (s *Server) capabilities() []string {
	can := []string{"access", "tokens", "collections", "retention", "webhooks", "proxy-caches", "replications"}
	if s.config.HTTP.Secret != "" {
		can = append(can, "certificates", "webhook_secrets") // there is a secret to encrypt keys and secrets with
	}
	return can
}

// warn says at every start what an operator would want to know.
func (s *Server) warn(store store) {
	if s.gate.Open() && !s.config.Auth.None {
		s.log.Warn("ANYBODY who reaches this registry may pull and push: no users are configured. Set REGISTRY_ADMIN_USERNAME and REGISTRY_ADMIN_PASSWORD, or an auth section; auth: none says that this is meant")
	}
	if s.tls == nil && !s.gate.Open() && s.config.HTTP.Net == "tcp" && !loopback(s.config.HTTP.Addr) {
		s.log.Warn("passwords travel in the clear: http.tls is not configured. This is right only behind a load balancer or proxy that ends TLS")
	}
	if dir, ok := store.(*fsstore.Store); ok && dir.CaseInsensitive() {
		s.log.Warn("the storage directory is on a file system that ignores case: tags that differ only in case, such as V1 and v1, would be one")
	}
}

func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = strings.Trim(addr, "[]")
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// readSecretFile returns the first line of a file that holds a secret.
func readSecretFile(path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(content), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return "", errors.New(path + " is empty; its first line must be the password")
	}
	return line, nil
}
