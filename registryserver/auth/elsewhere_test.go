package auth

import (
	"sync"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

// Ensure that a user whom another server has just made, or whose password it has
// just changed, can log in here before this server would have looked; and that
// failed logins, however many, make it read seldom.
func TestUserMadeElsewhere(t *testing.T) {
	w := newWorld(t, nil)
	elsewhere := w.openDirectory()
	if _, err := elsewhere.CreateUser(t.Context(), spec("alice"), ""); err != nil {
		t.Fatal(err)
	}
	if _, err := w.login("alice", "alice-password"); err != nil {
		t.Errorf("a user just made elsewhere: %v", err)
	}
	changed := spec("alice")
	changed.Password = ptr("another-password")
	if _, err := elsewhere.UpdateUser(t.Context(), changed, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := w.login("alice", "another-password"); err != nil {
		t.Errorf("a password just changed elsewhere: %v", err)
	}
	_, err := w.login("alice", "alice-password")
	wantCode(t, err, oci.CodeUnauthorized)

	w.faults.On(nil)
	start := time.Now()
	var guesses sync.WaitGroup
	for range 100 {
		guesses.Go(func() { _, _ = w.login("stranger", "guess") })
	}
	guesses.Wait()
	if most := 3 + int(time.Since(start)/recheckEvery); w.faults.Calls() > most {
		t.Errorf("100 failed logins at once read %d times in %v", w.faults.Calls(), time.Since(start))
	}
}

// Ensure that while users cannot be read, those known can log in for a minute and
// not longer, and that nobody is told that a password is wrong.
func TestUsersUnreadable(t *testing.T) {
	w := newWorld(t, nil)
	w.user("alice")
	if _, err := w.login("alice", "alice-password"); err != nil {
		t.Fatal(err)
	}
	w.faults.On(storagetest.Ops(storagetest.NotApplied, "Records.Get"))
	_, err := w.login("stranger", "guess")
	wantCode(t, err, oci.CodeUnavailable)
	w.clock.add(mostStale - time.Second)
	if _, err := w.login("alice", "alice-password"); err != nil {
		t.Errorf("within a minute: %v", err)
	}
	w.clock.add(2 * time.Second)
	_, err = w.login("alice", "alice-password")
	wantCode(t, err, oci.CodeUnavailable)

	w.faults.On(nil)
	if err := w.dir.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.login("alice", "alice-password"); err != nil {
		t.Errorf("when they can be read again: %v", err)
	}
}
