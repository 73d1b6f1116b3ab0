package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

func TestUserLifecycle(t *testing.T) {
	w := newWorld(t, nil)
	ctx := t.Context()
	w.policy("team", false, "team/*", "pull")
	made := w.user("alice", "team", oci.PolicyReadOnly, "team")
	if !slices.Equal(made.Policies, []string{"read-only", "team"}) || !made.Enabled || !made.HasPassword || made.Revision == "" ||
		made.CredentialRevision == "" || !made.CreatedAt.Equal(w.clock.now()) || !made.UpdatedAt.Equal(w.clock.now()) {
		t.Errorf("made %+v", made)
	}
	_, err := w.dir.CreateUser(ctx, spec("alice"), "")
	wantCode(t, err, oci.CodeConflict)

	w.clock.add(time.Hour)
	updated, err := w.dir.UpdateUser(ctx, UserSpec{Username: "alice", Description: "x", Enabled: true}, nil)
	if err != nil || len(updated.Policies) != 0 || updated.Description != "x" || updated.Revision == made.Revision ||
		updated.CredentialRevision != made.CredentialRevision || !updated.HasPassword || !updated.CreatedAt.Equal(made.CreatedAt) || updated.UpdatedAt.Equal(made.UpdatedAt) {
		t.Errorf("updated %+v, %v", updated, err)
	}
	again, err := w.dir.UpdateUser(ctx, spec("alice"), func(r string) bool { return r == updated.Revision })
	if err != nil || again.CredentialRevision == made.CredentialRevision {
		t.Errorf("the same password set again must show: %+v, %v", again, err)
	}
	stale := func(r string) bool { return r == made.Revision }
	_, err = w.dir.UpdateUser(ctx, spec("alice"), stale)
	wantCode(t, err, oci.CodePreconditionFailed)
	wantCode(t, w.dir.DeleteUser(ctx, "alice", stale), oci.CodePreconditionFailed)

	got, err := w.dir.User(ctx, "alice")
	if err != nil || got.Revision != again.Revision {
		t.Errorf("got %+v, %v", got, err)
	}
	all, err := w.dir.Users(ctx)
	if err != nil || len(all) != 2 || all[0].Username != "alice" || all[1].Username != "root" {
		t.Errorf("all: %+v, %v", all, err)
	}
	if err := w.dir.DeleteUser(ctx, "alice", nil); err != nil {
		t.Fatal(err)
	}
	_, err = w.dir.User(ctx, "alice")
	wantCode(t, err, oci.CodeNotFound)
	var e *oci.Error
	if errors.As(err, &e); e.Detail != (NotFound{"user", "alice"}) {
		t.Errorf("detail %+v", e.Detail)
	}
	wantCode(t, w.dir.DeleteUser(ctx, "alice", nil), oci.CodeNotFound)
	_, err = w.dir.UpdateUser(ctx, spec("alice"), nil)
	wantCode(t, err, oci.CodeNotFound)
}

func TestBadUsers(t *testing.T) {
	w := newWorld(t, nil)
	for name, s := range map[string]UserSpec{
		"name":            {Username: "a/b"},
		"no name":         {},
		"short password":  {Username: "a", Password: ptr("secret1")},
		"long password":   {Username: "a", Password: ptr(strings.Repeat("secret1", 11))},
		"control":         {Username: "a", Password: ptr("secret1\nsecret1")},
		"hash":            {Username: "a", PasswordHash: ptr("{SHA}secret1")},
		"dear hash":       {Username: "a", PasswordHash: ptr("$2y$31$" + strings.Repeat("a", 53))},
		"both":            {Username: "a", Password: ptr("secret1secret1"), PasswordHash: ptr(hashOf(t, "x", 4))},
		"unknown policy":  {Username: "a", Policies: []string{"nope"}},
		"bad policy":      {Username: "a", Policies: []string{"NOPE"}},
		"many policies":   {Username: "a", Policies: slices.Repeat([]string{"admin"}, 101)},
		"description":     {Username: "a", Description: strings.Repeat("x", 1025)},
		"bad description": {Username: "a", Description: "\x1b[31m"},
	} {
		_, err := w.dir.CreateUser(t.Context(), s, "")
		wantCode(t, err, oci.CodeInvalid)
		if err != nil && strings.Contains(err.Error(), "secret1") {
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
		s.Username = "root"
		if name != "name" && name != "no name" {
			_, err = w.dir.UpdateUser(t.Context(), s, nil)
			wantCode(t, err, oci.CodeInvalid)
		}
	}
	if all, err := w.dir.Users(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("something was stored: %v, %v", all, err)
	}
}

func TestPolicyLifecycle(t *testing.T) {
	w := newWorld(t, nil)
	ctx := t.Context()
	w.policy("team", false, "team/*", "pull", "push")
	_, err := w.dir.CreatePolicy(ctx, policySpec(t, "team", false, "a", "pull"), "")
	wantCode(t, err, oci.CodeConflict)
	w.user("alice", "team")
	w.user("bob", "team")
	app := oci.MustRepository("other/app")

	p, err := w.dir.UpdatePolicy(ctx, policySpec(t, "team", false, "other/*", "pull"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := w.login("alice", "alice-password"); err != nil || !id.May(oci.Pull, app) {
		t.Errorf("a changed policy does not count at once: %v", err)
	}
	err = w.dir.DeletePolicy(ctx, "team", nil)
	wantCode(t, err, oci.CodeConflict)
	if !strings.Contains(err.Error(), "alice") {
		t.Errorf("the error does not name a user: %v", err)
	}
	wantCode(t, w.dir.DeletePolicy(ctx, "team", func(r string) bool { return r != p.Revision }), oci.CodePreconditionFailed)
	for _, name := range []string{"alice", "bob"} {
		if err := w.dir.DeleteUser(ctx, name, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.dir.DeletePolicy(ctx, "team", nil); err != nil {
		t.Fatal(err)
	}
	wantCode(t, w.dir.DeletePolicy(ctx, "team", nil), oci.CodeNotFound)
	_, err = w.dir.Policy(ctx, "team")
	wantCode(t, err, oci.CodeNotFound)
	_, err = w.dir.UpdatePolicy(ctx, policySpec(t, "team", false, "a", "pull"), nil)
	wantCode(t, err, oci.CodeNotFound)
}

func TestBuiltInPolicies(t *testing.T) {
	w := newWorld(t, nil)
	ctx := t.Context()
	w.policy("mine", true, "**", "pull")
	all, err := w.dir.Policies(ctx)
	var names []string
	for _, p := range all {
		names = append(names, fmt.Sprint(p.Name, p.BuiltIn))
	}
	if want := "admintrue minefalse read-onlytrue read-writetrue"; err != nil || strings.Join(names, " ") != want {
		t.Errorf("%v, %v, not %s", names, err, want)
	}
	for _, name := range oci.BuiltInPolicies() {
		if p, err := w.dir.Policy(ctx, name); err != nil || !p.BuiltIn || len(p.Rules) != 1 || p.Anonymous {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
		_, err := w.dir.CreatePolicy(ctx, policySpec(t, name, true, "**", "pull"), "")
		wantCode(t, err, oci.CodeConflict)
		_, err = w.dir.UpdatePolicy(ctx, policySpec(t, name, true, "**", "pull"), nil)
		wantCode(t, err, oci.CodeConflict)
		wantCode(t, w.dir.DeletePolicy(ctx, name, nil), oci.CodeConflict)
	}
}

func TestBadPolicies(t *testing.T) {
	w := newWorld(t, nil)
	good := policySpec(t, "p", false, "a", "pull")
	var long []oci.Glob
	for i := range 100 {
		rule, err := oci.ParseRule([]string{fmt.Sprintf("%s%d", strings.Repeat("a", 250), i)}, []string{"pull"})
		if err != nil {
			t.Fatal(err)
		}
		long = append(long, rule.Repositories...)
	}
	for _, s := range []PolicySpec{
		{Name: "UPPER"}, {}, {Name: "p", Rules: slices.Repeat(good.Rules, 101)}, {Name: "p", Rules: []oci.Rule{{}}},
		{Name: "p", Description: strings.Repeat("x", 2000)},
		{Name: "p", Rules: slices.Repeat([]oci.Rule{{Repositories: long, Actions: oci.Actions()}}, 3)},
	} {
		_, err := w.dir.CreatePolicy(t.Context(), s, "")
		wantCode(t, err, oci.CodeInvalid)
	}
}

func TestCreateKeys(t *testing.T) {
	w := newWorld(t, nil)
	ctx := t.Context()
	first, err := w.dir.CreateUser(ctx, spec("alice"), "key-1")
	if err != nil {
		t.Fatal(err)
	}
	second, err := w.dir.CreateUser(ctx, spec("alice"), "key-1")
	if err != nil || second.Revision != first.Revision {
		t.Errorf("the same request again: %+v, %v", second, err)
	}
	_, err = w.dir.CreateUser(ctx, spec("alice"), "key-2")
	wantCode(t, err, oci.CodeConflict)
	p1, err := w.dir.CreatePolicy(ctx, policySpec(t, "p", false, "a", "pull"), "key-1")
	if err != nil {
		t.Fatal(err)
	}
	p2, err := w.dir.CreatePolicy(ctx, policySpec(t, "p", false, "a", "pull"), "key-1")
	if err != nil || p1.Revision != p2.Revision {
		t.Errorf("the same request again: %+v, %v", p2, err)
	}
}

func TestLastAdmin(t *testing.T) {
	w := newWorld(t, nil)
	ctx := t.Context()
	demotions := map[string]func(d *Directory, name string) error{
		"delete": func(d *Directory, name string) error { return d.DeleteUser(ctx, name, nil) },
		"disable": func(d *Directory, name string) error {
			return update(d, UserSpec{Username: name, Policies: []string{"admin"}})
		},
		"demote": func(d *Directory, name string) error { return update(d, UserSpec{Username: name, Enabled: true}) },
	}
	for name, demote := range demotions {
		wantCode(t, demote(w.dir, "root"), oci.CodeConflict)
		_, err := w.dir.CreateUser(ctx, UserSpec{Username: "passwordless", Enabled: true, Policies: []string{"admin"}}, "")
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, demote(w.dir, "root"), oci.CodeConflict) // nobody could log in
		if err := w.dir.DeleteUser(ctx, "passwordless", nil); err != nil {
			t.Fatal(err)
		}
		w.user("second", "admin")
		if err := demote(w.dir, "second"); err != nil {
			t.Errorf("%s of one of two: %v", name, err)
		}
		if name != "delete" {
			if err := w.dir.DeleteUser(ctx, "second", nil); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func update(d *Directory, s UserSpec) error {
	_, err := d.UpdateUser(context.Background(), s, nil)
	return err
}

// TestAdminsCannotRemoveEachOther: whatever several servers do at once, with
// whatever faults of the storage, an enabled admin is left.
func TestAdminsCannotRemoveEachOther(t *testing.T) {
	for _, fault := range []storagetest.Fault{storagetest.None, storagetest.NotApplied, storagetest.Applied, storagetest.AppliedLater} {
		for round := range 6 {
			w := newWorld(t, nil)
			names := []string{"root", "a", "b", "c"}
			for _, n := range names[1:] {
				w.user(n, "admin")
			}
			w.faults.On(func(c storagetest.Call) storagetest.Fault {
				if c.Op == "Records.Put" && c.N%3 == round%3 {
					return fault
				}
				return storagetest.None
			})
			var wg sync.WaitGroup
			for i, n := range names {
				d := w.openDirectory()
				wg.Go(func() {
					var err error
					if i%2 == 0 {
						err = d.DeleteUser(context.Background(), n, nil)
					} else {
						err = update(d, UserSpec{Username: n, Policies: []string{"admin"}})
					}
					if code := oci.ErrorCode(err); err != nil && code != oci.CodeConflict && code != oci.CodeUnavailable {
						t.Errorf("%s: %v", n, err)
					}
				})
			}
			wg.Wait()
			w.faults.On(nil)
			w.faults.Release()
			if n := w.openDirectory().current.Load().doc.admins(); n == 0 {
				t.Fatalf("fault %d, round %d: no admin is left", fault, round)
			}
		}
	}
}

// TestRacesBetweenServers: servers that share a store lose no update, and no
// user keeps a policy that is gone.
func TestRacesBetweenServers(t *testing.T) {
	w := newWorld(t, nil)
	dirs := []*Directory{w.dir, w.openDirectory(), w.openDirectory()}
	var wg sync.WaitGroup
	for i, d := range dirs {
		for j := range 8 {
			wg.Go(func() {
				name := fmt.Sprintf("user-%d-%d", i, j)
				if _, err := d.CreateUser(context.Background(), spec(name), name); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Go(func() {
			for range 10 {
				_, _ = d.CreatePolicy(context.Background(), policySpec(t, "p", false, "a", "pull"), "")
				_ = update(d, UserSpec{Username: "root", Enabled: true, Policies: []string{"admin", "p"}})
				_ = update(d, UserSpec{Username: "root", Enabled: true, Policies: []string{"admin"}})
				_ = d.DeletePolicy(context.Background(), "p", nil)
			}
		})
	}
	wg.Wait()
	users, err := w.openDirectory().Users(t.Context()) // opening fails for a policy that is missing
	if err != nil || len(users) != 1+3*8 {
		t.Errorf("%d users, %v", len(users), err)
	}
}

// TestLostAnswer: a write that the store made but did not confirm counts at
// once on this server, and the same request again succeeds.
func TestLostAnswer(t *testing.T) {
	w := newWorld(t, nil)
	w.user("alice")
	w.can("alice", "alice-password")
	w.faults.On(storagetest.Ops(storagetest.Applied, "Records.Put"))
	_, err := w.dir.UpdateUser(t.Context(), UserSpec{Username: "alice", Enabled: true, Password: ptr("another password")}, nil)
	wantCode(t, err, oci.CodeUnavailable)
	if w.can("alice", "alice-password") || !w.can("alice", "another password") {
		t.Error("the change does not count")
	}
	_, err = w.dir.CreateUser(t.Context(), spec("bob"), "key")
	wantCode(t, err, oci.CodeUnavailable)
	w.faults.On(nil)
	if _, err = w.dir.CreateUser(t.Context(), spec("bob"), "key"); err != nil {
		t.Error(err)
	}
}

// TestOwnConflict: a store that tries again by itself may report a conflict
// with what it has just written.
func TestOwnConflict(t *testing.T) {
	w := newWorld(t, nil)
	w.dir.records = doublePut{w.records}
	if _, err := w.dir.CreateUser(t.Context(), spec("alice"), ""); err != nil {
		t.Error(err)
	}
	if !w.can("alice", "alice-password") {
		t.Error("the user is not there")
	}
}

type doublePut struct{ storage.Records }

func (r doublePut) Put(ctx context.Context, key string, value []byte, was storage.Version) (storage.Version, error) {
	_, _ = r.Records.Put(ctx, key, value, was)
	return r.Records.Put(ctx, key, value, was)
}

// TestOutage: without storage, users stay as they are, and it is said once.
func TestOutage(t *testing.T) {
	w := newWorld(t, nil)
	w.user("alice")
	w.faults.On(storagetest.Ops(storagetest.NotApplied, "Records.Get"))
	for range 3 {
		if err := w.dir.Refresh(t.Context()); err == nil {
			t.Error("no error")
		}
	}
	_, err := w.dir.User(t.Context(), "alice")
	wantCode(t, err, oci.CodeUnavailable)
	var e *oci.Error
	if errors.As(err, &e) && strings.Contains(e.Message, "injected") {
		t.Error("the client is told the cause")
	}
	if !w.can("alice", "alice-password") {
		t.Error("login needs the storage")
	}
	w.faults.On(nil)
	if err := w.dir.Refresh(t.Context()); err != nil {
		t.Error(err)
	}
	logs := w.logs.String()
	if strings.Count(logs, "those known stay in force") != 1 || strings.Count(logs, "can be read again") != 1 {
		t.Errorf("logs:\n%s", logs)
	}
}

// TestVanished: a record that is gone opens no registry.
func TestVanished(t *testing.T) {
	w := newWorld(t, nil)
	if err := w.records.Delete(t.Context(), directoryKey, storage.Any); err != nil {
		t.Fatal(err)
	}
	if err := w.dir.Refresh(t.Context()); err == nil || w.gate.Open() || !w.can("root", adminPassword) {
		t.Errorf("the users are gone: %v", err)
	}
	_, err := w.dir.CreateUser(t.Context(), spec("alice"), "")
	wantCode(t, err, oci.CodeUnavailable)
}

func TestDamagedRecord(t *testing.T) {
	const ok = `"revision":"r","policies":`
	for _, value := range []string{
		"", "null", "[]", "{", `{"version":2}`, `{"version":1,"users":{"a":null}}`, `{"version":1,"policies":{"a":null}}`,
		`{"version":1,"users":{"a":{` + ok + `["gone"]}}}`,
		`{"version":1,"policies":{"p":{"rules":[{"repositories":["A"],"actions":["pull"]}]}}}`,
		`{"version":1,"policies":{"p":{"rules":[{"repositories":["a"],"actions":["own"]}]}}}`,
	} {
		records := storagetest.NewMemory().Records()
		if _, err := records.Put(t.Context(), directoryKey, []byte(value), storage.Any); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenDirectory(t.Context(), DirectoryConfig{Records: records}); err == nil || !strings.Contains(err.Error(), directoryKey) {
			t.Errorf("%s: %v", value, err)
		}
		w := newWorld(t, nil)
		if _, err := w.records.Put(t.Context(), directoryKey, []byte(value), storage.Any); err != nil {
			t.Fatal(err)
		}
		if err := w.dir.Refresh(t.Context()); err == nil || !w.can("root", adminPassword) {
			t.Errorf("%s: the old users are not in force: %v", value, err)
		}
	}
}

// TestRun: what another server writes counts after the next poll.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		records := storagetest.NewMemory().Records()
		open := func() *Directory {
			d, err := OpenDirectory(t.Context(), DirectoryConfig{Records: records, BcryptCost: bcrypt.MinCost})
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		mine, theirs := open(), open()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); mine.Run(ctx) }()
		if _, err := theirs.CreateUser(t.Context(), spec("alice"), ""); err != nil {
			t.Fatal(err)
		}
		if !mine.Empty() {
			t.Error("seen before the poll")
		}
		time.Sleep(5*time.Second + time.Millisecond)
		synctest.Wait()
		if mine.Empty() {
			t.Error("not seen after the poll")
		}
		cancel()
		<-done
	})
}

func TestDirectoryConfig(t *testing.T) {
	for _, cost := range []int{1, 31} {
		if _, err := OpenDirectory(t.Context(), DirectoryConfig{Records: storagetest.NewMemory().Records(), BcryptCost: cost}); err == nil {
			t.Errorf("cost %d is accepted", cost)
		}
	}
}

func TestEnsureAdmin(t *testing.T) {
	w := newWorld(t, nil) // configures root
	ctx := t.Context()
	ensure := func(name, password string) {
		t.Helper()
		if err := w.dir.EnsureAdmin(ctx, name, password); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.dir.UpdateUser(ctx, UserSpec{Username: "root", Enabled: true, Policies: []string{"admin"}, Password: ptr("set by the API")}, nil); err != nil {
		t.Fatal(err)
	}
	ensure("root", adminPassword)
	if w.can("root", adminPassword) || !w.can("root", "set by the API") {
		t.Error("an unchanged configuration overwrites what the API set")
	}
	w.user("second", "admin")
	if err := update(w.dir, UserSpec{Username: "root", Description: "mine", Policies: []string{"read-only"}}); err != nil {
		t.Fatal(err)
	}
	ensure("root", adminPassword)
	if u, _ := w.dir.User(ctx, "root"); u.Enabled {
		t.Error("an unchanged configuration enables the user again")
	}
	ensure("root", "changed in the configuration")
	u, err := w.dir.User(ctx, "root")
	if err != nil || !u.Enabled || !slices.Equal(u.Policies, []string{"admin", "read-only"}) || u.Description != "mine" || !w.can("root", "changed in the configuration") {
		t.Errorf("a changed configuration does not count: %+v, %v", u, err)
	}
	if err := w.dir.DeleteUser(ctx, "root", nil); err != nil {
		t.Fatal(err)
	}
	ensure("root", "changed in the configuration")
	if _, err := w.dir.User(ctx, "root"); oci.ErrorCode(err) != oci.CodeNotFound {
		t.Errorf("an unchanged configuration brings back a deleted user: %v", err)
	}
	ensure("chief", "changed in the configuration")
	if id, err := w.login("chief", "changed in the configuration"); err != nil || !id.Admin() {
		t.Errorf("another name does not count: %v", err)
	}
	if err := w.dir.EnsureAdmin(ctx, "a/b", adminPassword); err == nil {
		t.Error("a bad name is accepted")
	}
	if err := w.dir.EnsureAdmin(ctx, "root", "short"); err == nil || strings.Contains(err.Error(), "short") && !strings.Contains(err.Error(), "long") {
		t.Errorf("a bad password: %v", err)
	}
}

// TestEnsureAdminEverywhere: servers that start at once agree, and set the
// password once.
func TestEnsureAdminEverywhere(t *testing.T) {
	w := newWorld(t, nil)
	dirs := make([]*Directory, 5)
	for i := range dirs {
		dirs[i] = w.openDirectory()
	}
	var wg sync.WaitGroup
	for _, d := range dirs {
		wg.Go(func() {
			if err := d.EnsureAdmin(context.Background(), "root", "a new password"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := strings.Count(w.logs.String(), "has got its password"); n != 2 { // once by newWorld
		t.Errorf("the password was set %d times", n)
	}
	if err := w.dir.Refresh(t.Context()); err != nil || !w.can("root", "a new password") {
		t.Error("login failed")
	}
}
