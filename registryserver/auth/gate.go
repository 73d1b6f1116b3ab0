package auth

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Config says who can be authenticated. Only Directory is needed.
type Config struct {
	Directory *Directory
	HTPasswd  *HTPasswd // nil: no such file
	Tokens    *Tokens   // nil: no external issuer
	// Issued are the tokens of the admin API; nil: there are none.
	Issued *IssuedTokens
	// Scoped are the tokens of /token; nil: there are none. An external issuer
	// takes their place.
	Scoped *ScopedTokens
	// LoginRequired closes the registry even while nobody could log in: set it
	// where an admin is configured.
	LoginRequired bool
	// AnonymousPull says whether anybody may pull from a repository, whatever the
	// policies say; nil: they decide alone. It is asked only for a pull that they do
	// not allow, and may read storage.
	AnonymousPull func(context.Context, oci.Repository) (bool, error)
	// Realm is what clients show when they ask for a password. The default is
	// "registry".
	Realm string
	// ClientAddr returns the address of the client that sent a request. The
	// default is the host of RemoteAddr.
	ClientAddr func(*http.Request) string
	// Admitted is told of each caller who was authenticated, with the context of
	// the request; nil for nobody. A log can have the name from it.
	Admitted func(ctx context.Context, who Identity)
	Log      *slog.Logger     // the default is slog.Default()
	Now      func() time.Time // the default is time.Now
}

// Gate authenticates and authorises requests. It is safe for concurrent use. It
// reads the storage only where what it knows does not let somebody in, for what
// anybody may pull, and for a token that was issued once in a few seconds.
type Gate struct {
	config    Config
	passwords *passwords
	basic     string // the challenge
	open      Identity

	scoped, refused, turnedAway atomic.Int64 // see Stats
}

// NewGate returns a gate.
func NewGate(c Config) (*Gate, error) {
	if c.Realm == "" {
		c.Realm = "registry"
	}
	if c.ClientAddr == nil {
		c.ClientAddr = remoteHost
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	p, err := newPasswords(c.Now)
	if err != nil {
		return nil, err
	}
	return &Gate{config: c, passwords: p, basic: "Basic realm=" + quoted(c.Realm), open: Identity{grants: everything()}}, nil
}

// Open reports whether nobody can be authenticated: no htpasswd file, no
// issuer of tokens, no admin configured, no user. Callers then may do
// everything under /v2/, and nothing in the admin API.
func (g *Gate) Open() bool {
	return g.config.HTPasswd == nil && g.config.Tokens == nil && !g.config.LoginRequired && g.config.Directory.Empty()
}

// Authenticate returns who sent the request. Without credentials, or in an
// open registry, that is the anonymous identity, which has the rights of
// anonymous policies. Errors: UNAUTHORIZED for credentials that are wrong,
// TOOMANYREQUESTS as a *RetryError, and those of ctx.
func (g *Gate) Authenticate(ctx context.Context, r *http.Request) (Identity, error) {
	who, err := g.authenticate(ctx, r)
	if err == nil && g.config.Admitted != nil && !who.Anonymous() {
		g.config.Admitted(ctx, who)
	}
	return who, err
}

func (g *Gate) authenticate(ctx context.Context, r *http.Request) (Identity, error) {
	if g.Open() {
		return g.open, nil
	}
	header := r.Header["Authorization"]
	if len(header) == 0 {
		return g.stranger(), nil
	}
	var buf [256]byte
	c, err := parseAuthorization(header, buf[:])
	switch {
	case err != nil:
		return Identity{}, err
	case c.scheme == basicScheme:
		return g.password(ctx, r, c)
	case c.scheme == bearerScheme:
		return g.token(ctx, r, c)
	}
	return g.stranger(), nil
}

// Authorize returns nil if the caller has the right a on the repository, by
// policy or because anybody has it there; otherwise the error of Identity.Check,
// or that of AnonymousPull.
func (g *Gate) Authorize(ctx context.Context, who Identity, a oci.Action, repo oci.Repository) error {
	denied := who.Check(a, repo)
	if denied == nil {
		return nil
	}
	if public, err := g.anybodyMay(ctx, a, repo); public || err != nil {
		return err
	}
	return denied
}

// anybodyMay reports whether the repository itself is open for it.
func (g *Gate) anybodyMay(ctx context.Context, a oci.Action, repo oci.Repository) (bool, error) {
	if a != oci.Pull || g.config.AnonymousPull == nil {
		return false, nil
	}
	return g.config.AnonymousPull(ctx, repo)
}

// stranger is a caller without credentials.
func (g *Gate) stranger() Identity {
	return Identity{grants: g.config.Directory.current.Load().anonymous}
}

// password authenticates by user name and password. Before it says that they are
// wrong, it looks whether another server has changed that.
func (g *Gate) password(ctx context.Context, r *http.Request, c credentials) (Identity, error) {
	if g.config.Directory.stale() {
		return Identity{}, errStale()
	}
	client := g.config.ClientAddr(r)
	if text, ok := g.issuedText(c.password); ok {
		if id, err := g.issued(ctx, text, client); err != nil || id.name == string(c.username) && id.name != "" {
			return id, err
		}
	}
	a := g.account(c.username)
	mac := g.passwords.credential(c.username, c.password)
	if a != nil && g.passwords.remembered(mac, a.hash, client, c.username) {
		return a.identity, nil
	}
	try := attempt{credential: mac, client: client, username: string(c.username), password: string(c.password)}
	result, err := g.decide(ctx, try, a)
	if err != nil || result.ok {
		return result.identity, err
	}
	if err := g.config.Directory.recheck(ctx); err != nil {
		return Identity{}, err
	}
	if now := g.account(c.username); now != nil && (a == nil || now.hash != a.hash) {
		if result, err = g.decide(ctx, try, now); err != nil || result.ok {
			return result.identity, err
		}
		a = now
	}
	g.logFailure(ctx, try, a, result.blocked)
	return Identity{}, oci.Errorf(oci.CodeUnauthorized, "wrong user name or password")
}

func errStale() error {
	return oci.Errorf(oci.CodeUnavailable, "users and policies cannot be read from the storage, so nobody can log in; try again")
}

// decision is what became of a try to log in.
type decision struct {
	ok, blocked bool
	identity    Identity
}

// decide verifies the password against what is known of the user; a is nil for
// one who is not.
func (g *Gate) decide(ctx context.Context, try attempt, a *account) (decision, error) {
	try.maxCost = g.maxCost()
	if a != nil {
		try.hash, try.cost = a.hash, a.cost
	}
	result, err := g.passwords.verify(ctx, try)
	if err != nil || !result.ok {
		return decision{blocked: result.blocked}, err
	}
	// The user may have changed while bcrypt ran.
	if now := g.account([]byte(try.username)); now != nil && now.hash == a.hash {
		return decision{ok: true, identity: now.identity}, nil
	}
	return decision{}, nil
}

// account returns what is known of a user, or nil. A user of the directory
// shadows one of the htpasswd file, also when disabled.
func (g *Gate) account(username []byte) *account {
	if a, ok := g.config.Directory.current.Load().accounts[string(username)]; ok {
		return a
	}
	if g.config.HTPasswd == nil {
		return nil
	}
	return g.config.HTPasswd.users().accounts[string(username)]
}

// maxCost is the bcrypt cost that every failure has.
func (g *Gate) maxCost() int {
	cost := g.config.Directory.current.Load().maxCost
	if g.config.HTPasswd != nil {
		cost = max(cost, g.config.HTPasswd.users().maxCost)
	}
	if cost == 0 {
		return bcrypt.DefaultCost
	}
	return cost
}

// logFailure names only users who exist: people type passwords where the user
// name belongs.
func (g *Gate) logFailure(ctx context.Context, try attempt, a *account, blocked bool) {
	name := "(unknown)"
	if a != nil {
		name = a.identity.name
	}
	level, message := slog.LevelInfo, "login failed"
	if blocked {
		level, message = slog.LevelWarn, "login failed too often; this client is slowed down for this user"
	}
	g.config.Log.LogAttrs(ctx, level, message, slog.String("user", name), slog.String("client", try.client))
}

// Challenge returns the WWW-Authenticate value for an answer UNAUTHORIZED to
// the request: it asks for a password, or sends the client to /token or to the
// external issuer for a token with the rights named. It is never two: the
// Docker engine would need a login for the one although the other needs none. No repository is no scope, except in a request
// for the catalog.
func (g *Gate) Challenge(r *http.Request, repo oci.Repository, actions ...oci.Action) string {
	var scope string
	switch {
	case !repo.IsZero() && len(actions) > 0:
		scope = "repository:" + repo.String() + ":" + joinActions(actions)
	case repo.IsZero() && strings.HasSuffix(r.URL.Path, "/_catalog"):
		scope = "registry:catalog:*"
	}
	if g.ServesTokens() {
		if challenge := g.scopedChallenge(r, scope); challenge != "" {
			return challenge
		}
	}
	if g.config.Tokens == nil {
		return g.basic
	}
	failure := ""
	if c, err := parseAuthorization(r.Header["Authorization"], nil); err == nil && c.scheme == bearerScheme {
		failure = "insufficient_scope"
		if _, err := g.config.Tokens.verify(c.token); err != nil {
			failure = "invalid_token"
		}
	}
	return g.config.Tokens.challenge(r, scope, failure)
}

// BasicChallenge returns the WWW-Authenticate value that asks for a password.
// The admin API takes nothing else.
func (g *Gate) BasicChallenge() string { return g.basic }

// joinActions lists actions as clients expect them: pull, push, delete.
func joinActions(actions []oci.Action) string {
	var names []string
	for _, a := range oci.Actions() {
		if slices.Contains(actions, a) {
			names = append(names, string(a))
		}
	}
	return strings.Join(names, ",")
}

// Stats counts what the gate has done since the start.
type Stats struct {
	Compares   int64 // bcrypt comparisons, those for unknown users too
	Remembered int64 // passwords answered without one
	Failures   int64 // wrong ones
	Refusals   int64 // tries turned away with TOOMANYREQUESTS
	Scoped     int64 // tokens made at /token
	Tokens     int64 // bearer tokens that did not count
}

// Stats returns the counts.
func (g *Gate) Stats() Stats {
	p := g.passwords
	return Stats{p.compares.Load(), p.hits.Load(), p.failures.Load(), p.refusals.Load() + g.turnedAway.Load(), g.scoped.Load(), g.refused.Load()}
}

func remoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
