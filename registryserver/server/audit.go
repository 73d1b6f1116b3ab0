package server

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/audit"
	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/ociapi"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// AuditConfig says what is kept of who did what.
type AuditConfig struct {
	Enabled   bool
	Pulls     bool          // those, too, that were allowed
	Storage   bool          // in the storage, and not in the log alone
	Retention time.Duration // in the storage; 0: for ever
}

func (c *AuditConfig) settings() []setting {
	return []setting{
		{"audit.enabled", asBool(&c.Enabled)},
		{"audit.pulls", asBool(&c.Pulls)},
		{"audit.storage", asBool(&c.Storage)},
		{"audit.retention", asDuration(&c.Retention)},
	}
}

// Actions beside those of policies.
const (
	auditLogin = "login" // one that failed
	auditAdmin = "admin" // a change through the admin API
)

// The longest of what clients make up that is kept.
const (
	maxAuditedPath      = 1 << 10
	maxAuditedUserAgent = 256
)

// openAudit begins the audit log in the storage, if there is to be one.
func (s *Server) openAudit(records storage.Records) {
	c := s.config.Audit
	if !c.Enabled || !c.Storage {
		return
	}
	if s.config.Storage.ReadOnly {
		s.log.Warn("the registry is read-only, so the audit log goes to this log alone")
		return
	}
	s.audit = audit.New(audit.Config{Records: records, Keep: c.Retention, Log: s.log})
	s.tasks = append(s.tasks, s.audit.Run)
	s.metrics.watchAudit(s.audit.Dropped)
}

// PrintAudit writes the events in the storage of a configuration as lines of JSON.
func PrintAudit(ctx context.Context, c *Config, since time.Time, out io.Writer) error {
	store, err := openStore(ctx, c.Storage, slog.Default())
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	lines := json.NewEncoder(out)
	return audit.Read(ctx, store.Records(), since, func(e audit.Event) error { return lines.Encode(e) })
}

// flushAudit writes what the requests have left that have just ended.
func (s *Server) flushAudit(ctx context.Context) {
	if s.audit == nil {
		return
	}
	ctx, cancel := context.WithTimeout(storage.Background(ctx), 10*time.Second)
	defer cancel()
	if err := s.audit.Flush(ctx); err != nil {
		s.log.Error("the audit log cannot be written; it is tried once more", "error", err)
	}
}

// logAudit notes a request that has been answered, if it is one to note.
func (s *Server) logAudit(r *http.Request, x exchange, answered http.Header) {
	if !s.config.Audit.Enabled {
		return
	}
	e := audit.Event{
		Time: time.Now().UTC(), RequestID: x.id, Allowed: true, Status: x.status,
		User: x.caller.user, Token: x.caller.token, Client: s.clientAddr(r), UserAgent: shortened(r.UserAgent(), maxAuditedUserAgent),
		Method: r.Method, Path: shortened(r.URL.Path, maxAuditedPath),
	}
	switch x.status {
	case http.StatusUnauthorized:
		// Every client asks without a password first. OAuth2 has it in the form.
		if len(r.Header["Authorization"]) == 0 && (s.area(r) != "token" || r.Method != http.MethodPost) {
			return
		}
		e.Allowed = false
	case http.StatusForbidden, http.StatusTooManyRequests:
		e.Allowed = false
	}
	if !s.auditAction(r, &e) {
		return
	}
	if e.Action == string(oci.Pull) || e.Action == string(oci.Push) {
		e.Digest = answered.Get("Docker-Content-Digest")
		e.Tags = answered["Oci-Tag"]
	}
	s.metrics.audited(e)
	s.log.LogAttrs(r.Context(), slog.LevelInfo, "audit", auditAttributes(e)...)
	if s.audit != nil {
		s.audit.Add(e)
	}
}

// auditAction says what the request was for, and reports whether that is to be
// noted.
func (s *Server) auditAction(r *http.Request, e *audit.Event) bool {
	switch s.area(r) {
	case "v2", "archives":
		what, ok := ociapi.Audit(r.Method, r.URL, s.prefix())
		if !ok {
			return false
		}
		e.Action, e.Repository, e.Reference = string(what.Action), what.Repository, what.Reference
		if e.Action == "" {
			e.Action = auditLogin
			return !e.Allowed
		}
		return !e.Allowed || what.Whole && (s.config.Audit.Pulls || what.Action != oci.Pull)
	case "token":
		e.Action = auditLogin
		return !e.Allowed
	case "admin":
		e.Action = auditAdmin
		e.Repository, e.Reference = adminTarget(strings.TrimPrefix(r.URL.EscapedPath(), strings.TrimSuffix(s.prefix(), "/")))
		return !e.Allowed || r.Method != http.MethodGet && r.Method != http.MethodHead
	}
	return false
}

// adminTarget returns the repository and tag that a path of the admin API names.
func adminTarget(path string) (repository, tag string) {
	rest, ok := strings.CutPrefix(path, client.BasePath+"/repositories/")
	if !ok {
		return "", ""
	}
	name, rest, _ := strings.Cut(rest, "/")
	if plain, err := url.PathUnescape(name); err == nil {
		if repo, err := oci.ParseRepository(plain); err == nil {
			repository = repo.String()
		}
	}
	if name, ok := strings.CutPrefix(rest, "tags/"); ok {
		if t, err := oci.ParseTag(name); err == nil {
			tag = t.String()
		}
	}
	return repository, tag
}

func shortened(s string, most int) string {
	if len(s) > most {
		s = s[:most]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// auditAttributes are an event as the log has it. The id of the request is in the
// line already.
func auditAttributes(e audit.Event) []slog.Attr {
	attributes := []slog.Attr{
		slog.String("action", e.Action), slog.Bool("allowed", e.Allowed), slog.Int("status", e.Status),
		slog.String("user", e.User), slog.String("client", e.Client), slog.String("user_agent", e.UserAgent),
		slog.String("repository", e.Repository), slog.String("reference", e.Reference), slog.String("digest", e.Digest),
		slog.String("method", e.Method), slog.String("path", e.Path),
	}
	if len(e.Tags) > 0 {
		attributes = append(attributes, slog.Any("tags", e.Tags))
	}
	if e.Token != "" {
		attributes = append(attributes, slog.String("token", e.Token))
	}
	return attributes
}
