package replication

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/events"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
	"github.com/registrykit/terraform-provider-registry/registryserver/transfer"
)

const (
	// tryTime is how long one try may take. The next one goes on with the blobs that
	// are not there yet.
	tryTime = time.Hour
	// parallel bounds the blobs on their way to one destination.
	parallel = 4
	// copierLife is for how many images a Copier is kept: it remembers what it may
	// mount, and that has to end.
	copierLife = 1000
	// maxRounds bounds how often one try follows a tag that moves meanwhile.
	maxRounds = 10
	maxError  = 512
)

// Replicator copies what is pushed, as the rules of a Store say. It is a kind of
// events.Receivers.
type Replicator struct {
	*Store
	Registry  *registry.Registry
	UserAgent string

	mu    sync.Mutex
	lines map[string]*line // by rule
}

// line is what is kept of a rule between images.
type line struct {
	revision string // of the rule
	remote   *transfer.Remote
	copier   *transfer.Copier
	used     int
	status   Status
}

// Status is how a replication goes, as this server knows it.
type Status struct {
	LastSuccess time.Time // zero for never
	LastError   string    // of the last try, if it failed
	LastErrorAt time.Time
}

var _ events.Receivers = (*Replicator)(nil)

// Matching is part of events.Receivers.
func (p *Replicator) Matching(e events.Event) []string {
	var names []string
	for name, r := range p.current.Load().rules {
		if r.wants(e) {
			names = append(names, events.ReplicationPrefix+name)
		}
	}
	slices.Sort(names)
	return names
}

func (p *Replicator) rule(receiver string) *rule {
	r := p.current.Load().rules[strings.TrimPrefix(receiver, events.ReplicationPrefix)]
	if r == nil || !r.Enabled {
		return nil
	}
	return r
}

// Has is part of events.Receivers.
func (p *Replicator) Has(name string) bool { return p.rule(name) != nil }

// Foreign is part of events.Receivers.
func (p *Replicator) Foreign(string) bool { return false }

// Count is part of events.Receivers.
func (p *Replicator) Count() int { return len(p.current.Load().rules) }

// LogAttrs is part of events.Receivers.
func (p *Replicator) LogAttrs(name string) []any {
	attrs := []any{"replication", strings.TrimPrefix(name, events.ReplicationPrefix)}
	if r := p.rule(name); r != nil {
		attrs = append(attrs, "host", r.destination.Host())
	}
	return attrs
}

// Status returns how a replication goes.
func (p *Replicator) Status(name string) Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, r := p.lines[name], p.current.Load().rules[name]
	if l == nil || r == nil || l.revision != r.Revision { // of another one that had the name
		return Status{}
	}
	return l.status
}

// Deliver is part of events.Receivers: it copies what the event is of.
func (p *Replicator) Deliver(ctx context.Context, name string, e events.Event) events.Try {
	r := p.rule(name)
	if r == nil {
		return events.Try{}
	}
	copyCtx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	err := p.copy(copyCtx, r, e)
	if ctx.Err() != nil {
		return events.Try{Err: ctx.Err()}
	}
	try := events.Try{Status: http.StatusCreated}
	if err != nil {
		try = events.Try{Err: errors.New(r.describe(err)), Status: transfer.Status(err)}
	}
	p.note(r.Name, try.Err)
	return try
}

func (p *Replicator) note(name string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.lines[name]
	switch {
	case l == nil: // it has a problem, which is shown as such
	case err != nil:
		l.status.LastError, l.status.LastErrorAt = err.Error(), p.Now().UTC()
	default:
		l.status = Status{LastSuccess: p.Now().UTC()}
	}
}

// describe writes an error without what may be secret: the password, and
// addresses of uploads, whose queries can hold the right to write to them.
func (r *rule) describe(err error) string {
	text := err.Error()
	if status := transfer.Status(err); status > 0 {
		text = fmt.Sprintf("status %d: %s", status, text)
	}
	var outer *url.Error
	if errors.As(err, &outer) {
		before, _, _ := strings.Cut(outer.URL, "?")
		text = strings.ReplaceAll(text, outer.URL, before)
	}
	if r.password != "" {
		text = strings.ReplaceAll(text, r.password, "(password)")
	}
	if len(text) > maxError {
		text = strings.ToValidUTF8(text[:maxError], "") + "…"
	}
	return text
}

// copy makes the destination have what the event's tag or digest names now.
func (p *Replicator) copy(ctx context.Context, r *rule, e events.Event) error {
	if r.Problem != "" {
		return errors.New(r.Problem)
	}
	repo, err := oci.ParseRepository(e.Repository)
	if err != nil {
		return err
	}
	there, err := r.destination.Repository(e.Repository)
	if err != nil {
		return err
	}
	from := transfer.Local{Registry: p.Registry, Repository: repo}
	remote, copier, err := p.line(r)
	if err != nil {
		return err
	}
	target, err := remote.Repository(ctx, there.String(), true)
	if err != nil {
		return err
	}
	j := job{rule: r, from: from, to: transfer.Place{Target: target, Name: target.Name()}, copier: copier}
	if e.Tag != "" {
		tag, err := oci.ParseTag(e.Tag)
		if err != nil {
			return err
		}
		return j.tag(ctx, tag)
	}
	d, err := oci.ParseDigest(e.Digest)
	if err != nil {
		return err
	}
	return j.digest(ctx, d)
}

// line returns what sends to the destination of a rule.
func (p *Replicator) line(r *rule) (*transfer.Remote, *transfer.Copier, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.lines[r.Name]
	if l == nil || l.revision != r.Revision {
		address, err := transfer.ParseAddress(r.destination.String())
		if err != nil {
			return nil, nil, err
		}
		remote, err := transfer.NewRemote(address, transfer.Access{
			Username: r.Username, Password: r.password, Anonymous: true, Once: true, UserAgent: p.UserAgent,
			Wrap: func(base http.RoundTripper) http.RoundTripper {
				return guard{base, r.destination.Host(), address.URL().Scheme == "http"}
			},
		})
		if err != nil {
			return nil, nil, err
		}
		l = &line{revision: r.Revision, remote: remote}
		if p.lines == nil {
			p.lines = make(map[string]*line)
		}
		rules := p.current.Load().rules
		maps.DeleteFunc(p.lines, func(name string, _ *line) bool { return rules[name] == nil })
		p.lines[r.Name] = l
	}
	if l.used%copierLife == 0 {
		l.copier = transfer.NewCopier(parallel, nil)
	}
	l.used++
	return l.remote, l.copier, nil
}

// guard is what all requests to a destination go through, those for tokens and
// those that follow a redirect, too.
type guard struct {
	base  http.RoundTripper
	host  string
	plain bool // the destination is spoken to in the clear
}

var errForeignHost = errors.New("the destination wants credentials sent to a host that is not its own, or in the clear, and that is refused")

// RoundTrip sends a request, unless it has credentials that are not for its host.
// A POST elsewhere would be a login.
func (g guard) RoundTrip(req *http.Request) (*http.Response, error) {
	secret := req.Header.Get("Authorization") != "" || req.URL.User != nil || req.Method == http.MethodPost
	if secret && !transfer.MayLogin(g.host, g.plain, req.URL) {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, errForeignHost
	}
	return g.base.RoundTrip(req)
}
