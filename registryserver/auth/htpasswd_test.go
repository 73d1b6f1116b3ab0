package auth

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

func TestParseHTPasswd(t *testing.T) {
	hash := hashOf(t, "password", bcrypt.MinCost)
	for name, tc := range map[string]struct {
		content string
		names   string // of the entries, or
		err     string
	}{
		"empty":          {"", "", ""},
		"one":            {"alice:" + hash, "alice", ""},
		"comments":       {"# users\n\n  \n\t# more\nalice:" + hash + "\nbob:" + hash + "\n", "alice bob", ""},
		"spaces":         {"  alice:" + hash + " \r\n", "alice", ""},
		"BOM":            {"\ufeffalice:" + hash, "alice", ""},
		"other kinds":    {"a:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\nb:$apr1$x$y\nc:plain\nd:", "a b c d", ""},
		"colon in hash":  {"a:b:c", "a", ""},
		"no colon":       {"# ok\nalice " + hash, "", "line 2 has no colon"},
		"no name":        {":" + hash, "", "line 1 has no user name"},
		"an endless one": {"a:b\n" + strings.Repeat("x", 1<<17), "", "line 2 is too long"},
	} {
		t.Run(name, func(t *testing.T) {
			entries, err := parseHTPasswd([]byte(tc.content))
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) || strings.Contains(err.Error(), hash) {
					t.Fatalf("got %v, want %q", err, tc.err)
				}
				return
			}
			var names []string
			for _, e := range entries {
				names = append(names, e.name)
			}
			if got := strings.Join(names, " "); err != nil || got != tc.names {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// openFile makes a gate whose htpasswd file is path.
func openFile(t *testing.T, path string) (*world, *HTPasswd) {
	t.Helper()
	var h *HTPasswd
	w := newWorld(t, func(w *world, c *Config) {
		var err error
		if h, err = OpenHTPasswd(path, w.logs.logger(), w.clock.now); err != nil {
			t.Fatal(err)
		}
		c.HTPasswd = h
	})
	return w, h
}

func entry(t *testing.T, name, password string) string {
	return name + ":" + hashOf(t, password, bcrypt.MinCost) + "\n"
}

func TestHTPasswdUsers(t *testing.T) {
	path := tempFile(t, entry(t, "alice", "first")+entry(t, "alice", "second")+"bob:{SHA}xyz\n"+entry(t, "odd name@x y", "pw")+
		"dear:$2y$16$"+strings.Repeat("a", 53)+"\n")
	w, _ := openFile(t, path)
	if w.can("alice", "first") || !w.can("alice", "second") {
		t.Error("of two lines, the last one counts")
	}
	if w.can("bob", "xyz") || w.can("bob", "{SHA}xyz") || w.can("bob", "") {
		t.Error("bob can log in")
	}
	if !w.can("odd name@x y", "pw") {
		t.Error("a name that distribution accepts does not count")
	}
	if w.can("dear", "x") {
		t.Error("a hash of cost 16 counts")
	}
	logs := w.logs.String()
	for _, want := range []string{"user=bob", "user=dear", "user=alice", `lines="[1 2]"`} {
		if !strings.Contains(logs, want) {
			t.Errorf("no warning with %s in\n%s", want, logs)
		}
	}
	if strings.Contains(logs, "{SHA}") || strings.Contains(logs, "$2") {
		t.Error("a hash is logged")
	}
}

func TestHTPasswdReload(t *testing.T) {
	path := tempFile(t, entry(t, "alice", "one"))
	w, h := openFile(t, path)
	if !w.can("alice", "one") {
		t.Fatal("login failed")
	}
	writeFile(t, path, entry(t, "alice", "two")+entry(t, "bob", "bob"), 1)
	if !w.can("alice", "one") {
		t.Error("the file is looked at more often than once a second")
	}
	w.clock.add(htpasswdInterval)
	if w.can("alice", "one") || !w.can("alice", "two") || !w.can("bob", "bob") {
		t.Error("the file's change does not count")
	}

	// What breaks leaves the users as they were, and is said once.
	for name, breakIt := range map[string]func(){
		"malformed": func() { writeFile(t, path, "alice\n", 2) },
		"missing":   func() { _ = os.Remove(path) },
		"directory": func() { _ = os.Remove(path); _ = os.Mkdir(path, 0o700) },
	} {
		breakIt()
		before := strings.Count(w.logs.String(), "the users it had before stay in force")
		for range 5 {
			w.clock.add(htpasswdInterval)
			if !w.can("alice", "two") {
				t.Errorf("%s: the users are gone", name)
			}
		}
		if n := strings.Count(w.logs.String(), "the users it had before stay in force") - before; n != 1 {
			t.Errorf("%s: logged %d times", name, n)
		}
		if h.Err() == nil {
			t.Errorf("%s: Err says nothing", name)
		}
		_ = os.Remove(path)
	}
	writeFile(t, path, entry(t, "alice", "three"), 3)
	w.clock.add(htpasswdInterval)
	if !w.can("alice", "three") || w.can("alice", "two") || h.Err() != nil || !strings.Contains(w.logs.String(), "in force again") {
		t.Errorf("the repaired file does not count: %v", h.Err())
	}
	// The very same content, broken and back, is fine again too.
	same, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, "broken", 4)
	w.clock.add(htpasswdInterval)
	if h.Err() == nil {
		t.Error("Err says nothing")
	}
	writeFile(t, path, string(same), 5)
	w.clock.add(htpasswdInterval)
	if h.Err() != nil {
		t.Error(h.Err())
	}
}

// TestHTPasswdQuickChange: two changes within one tick of the file system's
// clock, of the same size, are both seen.
func TestHTPasswdQuickChange(t *testing.T) {
	path := tempFile(t, "")
	w, _ := openFile(t, path)
	put := func(password string) {
		t.Helper()
		writeFile(t, path, entry(t, "alice", password), 0)
		if err := os.Chtimes(path, w.clock.now(), w.clock.now()); err != nil {
			t.Fatal(err)
		}
	}
	put("one")
	tick := w.clock.now()
	w.clock.add(htpasswdInterval)
	if !w.can("alice", "one") {
		t.Fatal("login failed")
	}
	put("two")
	if err := os.Chtimes(path, tick, tick); err != nil {
		t.Fatal(err)
	}
	w.clock.add(htpasswdInterval)
	if !w.can("alice", "two") || w.can("alice", "one") {
		t.Error("the second change is not seen")
	}
	w.clock.add(time.Hour)
	w.can("alice", "two")
	if h := w.gate.config.HTPasswd; !h.same(h.seen) {
		t.Error("an old file is read again and again")
	}
}

func TestHTPasswdReplaced(t *testing.T) {
	path := tempFile(t, entry(t, "alice", "one"))
	w, _ := openFile(t, path)
	other := filepath.Join(t.TempDir(), "new")
	writeFile(t, other, entry(t, "alice", "two"), 0) // same size, same time: another file
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	w.clock.add(htpasswdInterval)
	if !w.can("alice", "two") {
		t.Error("a file that was renamed into place is not seen")
	}
}

func TestOpenHTPasswdErrors(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		filepath.Join(dir, "missing"): "htpasswd -Bbn USER PASSWORD >",
		dir:                           "not a regular file",
		tempFile(t, "alice"):          "line 1 has no colon",
		tempFile(t, strings.Repeat("# comment\n", maxHTPasswd/10+1)): "larger than",
	} {
		if _, err := OpenHTPasswd(path, nil, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// TestShadow: a managed user hides the one of the file, also when disabled.
func TestShadow(t *testing.T) {
	path := tempFile(t, entry(t, "alice", "file-password"))
	w, _ := openFile(t, path)
	if _, err := w.dir.CreateUser(t.Context(), UserSpec{Username: "alice", Password: ptr("alice-password")}, ""); err != nil {
		t.Fatal(err)
	}
	if w.can("alice", "alice-password") || w.can("alice", "file-password") {
		t.Error("a disabled user can log in")
	}
	if err := w.dir.DeleteUser(t.Context(), "alice", nil); err != nil {
		t.Fatal(err)
	}
	if !w.can("alice", "file-password") {
		t.Error("the user of the file is still hidden")
	}
	id, err := w.login("alice", "file-password")
	if err != nil || id.Admin() || !id.May(oci.Delete, oci.MustRepository("a")) {
		t.Errorf("rights of a user of the file: %v", err)
	}
}

func TestHTPasswdConcurrent(t *testing.T) {
	path := tempFile(t, entry(t, "alice", "one"))
	w, h := openFile(t, path)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 50 {
			w.clock.add(htpasswdInterval)
			writeFile(t, path, fmt.Sprintf("# %d\n%s", i, entry(t, "alice", "one")), i)
		}
	}()
	for {
		select {
		case <-done:
			return
		default:
			_ = h.users().accounts["alice"]
		}
	}
}
