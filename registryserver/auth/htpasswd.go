package auth

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// HTPasswd is an htpasswd file of bcrypt hashes, as CNCF distribution and
// htpasswd -B have it. It is read again when it has changed; one that has
// become unreadable or malformed leaves the users as they were.
type HTPasswd struct {
	path string
	log  *slog.Logger
	now  func() time.Time

	current  atomic.Pointer[htpasswdUsers]
	fault    atomic.Pointer[error] // why the file as it is now does not count; nil if it does
	checked  atomic.Int64          // when the file was last looked at, in Unix nanoseconds
	checking sync.Mutex
	seen     fs.FileInfo // of the file last read; nil if there was none
	readAt   time.Time   // when it was read
}

// htpasswdUsers is a file, parsed. It is immutable.
type htpasswdUsers struct {
	content  []byte
	accounts map[string]*account
	maxCost  int
}

const (
	maxHTPasswd      = 16 << 20 // bytes of a file
	htpasswdInterval = time.Second
	// mtimeStep is the coarsest step of a file system's clock. A file read
	// within it of its own change may change again without another mtime.
	mtimeStep = 2 * time.Second
)

// OpenHTPasswd reads the file. now nil is time.Now, log nil slog.Default().
func OpenHTPasswd(path string, log *slog.Logger, now func() time.Time) (*HTPasswd, error) {
	if log == nil {
		log = slog.Default()
	}
	if now == nil {
		now = time.Now
	}
	h := &HTPasswd{path: path, log: log, now: now}
	h.checked.Store(now().UnixNano())
	err := h.reload()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("the htpasswd file %s does not exist; make it with\n  htpasswd -Bbn USER PASSWORD > %s\n(CNCF distribution would make one with a random password and print that to its log; this server does not)", path, path)
	case err != nil:
		return nil, fmt.Errorf("the htpasswd file %s cannot be used: %w", path, err)
	}
	return h, nil
}

// Err returns why the file, as it is now, is not in force, or nil.
func (h *HTPasswd) Err() error {
	h.users()
	if err := h.fault.Load(); err != nil {
		return *err
	}
	return nil
}

// users returns the users in force. It looks at the file at most once in
// htpasswdInterval, and one caller does, while the others go on with what
// there is.
func (h *HTPasswd) users() *htpasswdUsers {
	now := h.now()
	last := h.checked.Load()
	if since := now.UnixNano() - last; (since >= int64(htpasswdInterval) || since < 0) && h.checked.CompareAndSwap(last, now.UnixNano()) {
		h.check()
	}
	return h.current.Load()
}

// check reads the file if it has changed since.
func (h *HTPasswd) check() {
	h.checking.Lock()
	defer h.checking.Unlock()
	info, err := os.Stat(h.path)
	if err == nil && h.seen != nil && h.same(info) {
		return
	}
	if err != nil {
		info = nil
	}
	if err == nil {
		err = h.reload()
	}
	if err == nil {
		if h.fault.Swap(nil) != nil {
			h.log.Info("the htpasswd file is in force again", "path", h.path)
		}
		return
	}
	h.seen, h.readAt = info, h.now()
	text := describeFileError(err)
	if old := h.fault.Load(); old != nil && (*old).Error() == text {
		return // said already
	}
	described := errors.New(text)
	h.fault.Store(&described)
	h.log.Error("the htpasswd file cannot be used; the users it had before stay in force", "path", h.path, "error", text)
}

// same reports whether the file is the one last read, as far as can be told
// without reading it.
func (h *HTPasswd) same(info fs.FileInfo) bool {
	return os.SameFile(info, h.seen) && info.Size() == h.seen.Size() && info.ModTime().Equal(h.seen.ModTime()) &&
		h.readAt.Sub(info.ModTime()) > mtimeStep
}

func describeFileError(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "the file does not exist"
	}
	return err.Error()
}

// reload reads the file and, if it is good, puts it in force.
func (h *HTPasswd) reload() error {
	f, err := os.Open(h.path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is not a regular file")
	}
	content, err := io.ReadAll(io.LimitReader(f, maxHTPasswd+1))
	switch {
	case err != nil:
		return err
	case len(content) > maxHTPasswd:
		return fmt.Errorf("it is larger than %d bytes", maxHTPasswd)
	}
	if old := h.current.Load(); old != nil && bytes.Equal(old.content, content) {
		h.seen, h.readAt = info, h.now()
		return nil
	}
	entries, err := parseHTPasswd(content)
	if err != nil {
		return err
	}
	users := newHTPasswdUsers(content, entries)
	users.warn(context.Background(), h.log, h.path, entries)
	h.current.Store(users)
	h.seen, h.readAt = info, h.now()
	return nil
}

// htpasswdEntry is a line of the file.
type htpasswdEntry struct {
	line       int
	name, hash string
}

// parseHTPasswd parses a file as CNCF distribution does: "name:hash" on each
// line; blank lines and those that begin with # count for nothing. Its errors
// name lines, and never hold what is in them.
func parseHTPasswd(content []byte) ([]htpasswdEntry, error) {
	var entries []htpasswdEntry
	lines := bufio.NewScanner(bytes.NewReader(content))
	n := 0
	for lines.Scan() {
		n++
		text := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if text == "" || text[0] == '#' {
			continue
		}
		name, hash, ok := strings.Cut(text, ":")
		switch {
		case !ok:
			return nil, fmt.Errorf("line %d has no colon; a line is USER:HASH", n)
		case name == "":
			return nil, fmt.Errorf("line %d has no user name; a line is USER:HASH", n)
		}
		entries = append(entries, htpasswdEntry{n, name, hash})
	}
	if lines.Err() != nil {
		return nil, fmt.Errorf("line %d is too long", n+1)
	}
	return entries, nil
}

func newHTPasswdUsers(content []byte, entries []htpasswdEntry) *htpasswdUsers {
	u := &htpasswdUsers{content: content, accounts: make(map[string]*account, len(entries))}
	rights := new(grants)
	rights.add(builtInRules(oci.PolicyReadWrite)...)
	for _, e := range entries {
		a := &account{identity: Identity{name: e.name, kind: user, grants: rights}}
		if oci.CheckPasswordHash(e.hash) == nil {
			a.hash, a.enabled = e.hash, true
			a.identity.generation = generationOf(e.hash)
			a.cost, _ = bcrypt.Cost([]byte(e.hash))
			u.maxCost = max(u.maxCost, a.cost)
		}
		u.accounts[e.name] = a // the last line of a name counts, as in distribution
	}
	return u
}

// generationOf is what tokens of a user of the file are bound to. It tells
// nothing of the hash.
func generationOf(hash string) string {
	sum := sha256.Sum256([]byte("registrykit/v1 generation " + hash))
	return hex.EncodeToString(sum[:16])
}

// warn logs which entries will not do what their author expects.
func (u *htpasswdUsers) warn(ctx context.Context, log *slog.Logger, path string, entries []htpasswdEntry) {
	lines := make(map[string]int, len(entries))
	for _, e := range entries {
		if first, twice := lines[e.name]; twice {
			log.WarnContext(ctx, "a user is in the htpasswd file twice; the last line counts", "path", path, "user", e.name, "lines", []int{first, e.line})
		}
		lines[e.name] = e.line
		if u.accounts[e.name].hash == "" {
			log.WarnContext(ctx, "a user of the htpasswd file cannot log in: only bcrypt hashes count; set the password again with htpasswd -B", "path", path, "user", e.name, "line", e.line)
		}
	}
}
