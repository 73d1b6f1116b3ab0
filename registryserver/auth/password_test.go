package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// compares runs f and returns how many bcrypts that took.
func (w *world) compares(f func()) int64 {
	before := w.gate.Stats().Compares
	f()
	return w.gate.Stats().Compares - before
}

func TestOneBcryptPerCredential(t *testing.T) {
	w := newWorld(t, nil)
	login := func() {
		t.Helper()
		if !w.can("root", adminPassword) {
			t.Fatal("login failed")
		}
	}
	if n := w.compares(func() {
		for range 50 {
			login()
		}
	}); n != 1 {
		t.Errorf("50 logins took %d bcrypts", n)
	}
	w.clock.add(lifetime + time.Second)
	if n := w.compares(login); n != 1 {
		t.Errorf("after its lifetime, a credential is verified by %d bcrypts", n)
	}
}

func TestConcurrentLoginsShareOneBcrypt(t *testing.T) {
	w := newWorld(t, nil)
	hash := hashOf(t, "a dear password", 8)
	if _, err := w.dir.CreateUser(t.Context(), UserSpec{Username: "dear", Enabled: true, PasswordHash: &hash}, ""); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	n := w.compares(func() {
		for i := range 30 {
			wg.Go(func() {
				if id, err := w.loginFrom(fmt.Sprintf("192.0.2.%d", i), "dear", "a dear password"); err != nil || id.Name() != "dear" {
					t.Error(id, err)
				}
			})
		}
		wg.Wait()
	})
	if n != 1 {
		t.Errorf("30 logins at once took %d bcrypts", n)
	}
}

// TestChangesCountAtOnce: a verified credential ends with what it was verified
// for.
func TestChangesCountAtOnce(t *testing.T) {
	changes := map[string]func(*world) error{
		"password": func(w *world) error {
			_, err := w.dir.UpdateUser(w.Context(), UserSpec{Username: "ci", Enabled: true, Password: ptr("another password")}, nil)
			return err
		},
		"hash": func(w *world) error {
			_, err := w.dir.UpdateUser(w.Context(), UserSpec{Username: "ci", Enabled: true, PasswordHash: ptr(hashOf(w, "x", bcrypt.MinCost))}, nil)
			return err
		},
		"disabled": func(w *world) error {
			_, err := w.dir.UpdateUser(w.Context(), UserSpec{Username: "ci"}, nil)
			return err
		},
		"deleted": func(w *world) error { return w.dir.DeleteUser(w.Context(), "ci", nil) },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.user("ci")
			for range 2 { // the second time from memory
				if !w.can("ci", "ci-password") {
					t.Fatal("login failed")
				}
			}
			if err := change(w); err != nil {
				t.Fatal(err)
			}
			if w.can("ci", "ci-password") {
				t.Error("the old password still works")
			}
		})
	}
	t.Run("policies", func(t *testing.T) {
		w := newWorld(t, nil)
		w.user("ci", oci.PolicyReadWrite)
		w.can("ci", "ci-password")
		if _, err := w.dir.UpdateUser(t.Context(), UserSpec{Username: "ci", Enabled: true, Policies: []string{oci.PolicyReadOnly}}, nil); err != nil {
			t.Fatal(err)
		}
		id, err := w.login("ci", "ci-password")
		if err != nil || id.May(oci.Push, oci.MustRepository("a")) || !id.May(oci.Pull, oci.MustRepository("a")) {
			t.Errorf("rights did not change: %v", err)
		}
		if w.gate.Stats().Compares != 1 {
			t.Error("another policy is no other password")
		}
	})
	t.Run("back", func(t *testing.T) {
		w := newWorld(t, nil)
		w.user("ci")
		w.can("ci", "ci-password")
		for _, p := range []string{"another password", "ci-password"} {
			if _, err := w.dir.UpdateUser(t.Context(), UserSpec{Username: "ci", Enabled: true, Password: ptr(p)}, nil); err != nil {
				t.Fatal(err)
			}
		}
		if n := w.compares(func() { w.can("ci", "ci-password") }); n != 1 {
			t.Error("a password that was set anew is not verified anew")
		}
	})
}

// work is the cost of the bcrypts that a failed login runs, in units of cost 0.
func work(w *world, username, password string) (units int64) {
	p := w.gate.passwords
	a := attempt{username: username, password: password, maxCost: w.gate.maxCost()}
	if acc := w.gate.account([]byte(username)); acc != nil {
		a.hash, a.cost = acc.hash, acc.cost
	}
	before := p.compares.Load()
	if p.compare(a) {
		return -1
	}
	// One bcrypt at the user's own cost, then one each up to the highest.
	n := p.compares.Load() - before
	if a.hash == "" || len(password) > oci.MaxPasswordBytes {
		return n << a.maxCost
	}
	units = 1 << a.cost
	for cost := a.cost; cost < a.cost+int(n)-1; cost++ {
		units += 1 << cost
	}
	return units
}

// TestFailuresCostTheSame: neither the time of an unknown user nor that of a
// wrong password tells who exists.
func TestFailuresCostTheSame(t *testing.T) {
	w := newWorld(t, nil)
	for cost := bcrypt.MinCost; cost <= 6; cost++ {
		hash := hashOf(t, "right password", cost)
		if _, err := w.dir.CreateUser(t.Context(), UserSpec{Username: fmt.Sprintf("cost%d", cost), Enabled: true, PasswordHash: &hash}, ""); err != nil {
			t.Fatal(err)
		}
	}
	hash := hashOf(t, "right password", 5)
	if _, err := w.dir.CreateUser(t.Context(), UserSpec{Username: "disabled", PasswordHash: &hash}, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := w.dir.CreateUser(t.Context(), UserSpec{Username: "passwordless", Enabled: true}, ""); err != nil {
		t.Fatal(err)
	}
	const want = 1 << 6
	for _, tc := range [][2]string{
		{"cost4", "wrong"}, {"cost5", "wrong"}, {"cost6", "wrong"}, {"cost6", ""}, {"unknown", "wrong"}, {"unknown", ""},
		{"disabled", "right password"}, {"disabled", "wrong"}, {"passwordless", ""}, {"passwordless", "x"},
		{"cost4", "right password" + strings.Repeat("x", 80)}, {"cost6", strings.Repeat("x", 3000)}, {"unknown", strings.Repeat("x", 3000)},
	} {
		if got := work(w, tc[0], tc[1]); got != want {
			t.Errorf("%s with a password of %d bytes: %d units of work, want %d", tc[0], len(tc[1]), got, want)
		}
		if w.can(tc[0], tc[1]) {
			t.Errorf("%s can log in", tc[0])
		}
	}
	if n := w.compares(func() { w.can("nobody at all", "wrong") }); n != 1 {
		t.Errorf("an unknown user takes %d bcrypts", n)
	}
}

// TestDecoy: a decoy is a real bcrypt hash, or comparing with it takes no time.
func TestDecoy(t *testing.T) {
	for cost := bcrypt.MinCost; cost <= oci.MaxBcryptCost; cost++ {
		if got, err := bcrypt.Cost([]byte(decoy(cost))); err != nil || got != cost {
			t.Errorf("cost %d: %d, %v", cost, got, err)
		}
	}
	if err := bcrypt.CompareHashAndPassword([]byte(decoy(bcrypt.MinCost)), []byte("x")); !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		t.Error(err)
	}
}

// TestLongPassword: bcrypt reads 72 bytes; what begins alike is not the same.
func TestLongPassword(t *testing.T) {
	w := newWorld(t, nil)
	long := strings.Repeat("x", oci.MaxPasswordBytes)
	if _, err := w.dir.CreateUser(t.Context(), UserSpec{Username: "long", Enabled: true, Password: &long}, ""); err != nil {
		t.Fatal(err)
	}
	if !w.can("long", long) || w.can("long", long+"y") || w.can("long", long[1:]) {
		t.Error("wrong verdict")
	}
}

func TestThrottle(t *testing.T) {
	w := newWorld(t, nil)
	const stranger, home = "203.0.113.9", "192.0.2.1"
	if _, err := w.loginFrom(stranger, "root", adminPassword); err != nil {
		t.Fatal(err)
	}
	for i := range freeFailures {
		_, err := w.loginFrom(stranger, "root", fmt.Sprint("guess ", i))
		wantCode(t, err, oci.CodeUnauthorized)
	}
	var last time.Duration
	for i := range 10 {
		var retry *RetryError
		n := w.compares(func() {
			_, err := w.loginFrom(stranger, "root", fmt.Sprint("another guess ", i))
			wantCode(t, err, oci.CodeTooManyRequests)
			if !errors.As(err, &retry) || retry.After <= 0 || retry.After > longestBlock || retry.After < min(last, longestBlock) {
				t.Fatalf("got %v", err)
			}
			last = retry.After
		})
		if n != 0 {
			t.Error("a try that is turned away costs a bcrypt")
		}
		w.clock.add(retry.After)
		_, err := w.loginFrom(stranger, "root", fmt.Sprint("guess after waiting ", i))
		wantCode(t, err, oci.CodeUnauthorized)
	}
	if last != longestBlock {
		t.Errorf("the wait grew to %s only", last)
	}
	if _, err := w.loginFrom(home, "root", adminPassword); err != nil {
		t.Errorf("a user at another address is locked out: %v", err)
	}
	_, err := w.loginFrom(stranger, "root", adminPassword)
	wantCode(t, err, oci.CodeTooManyRequests) // a lucky guess against what is remembered of another
	if _, err := w.loginFrom(home, "root", "wrong"); oci.ErrorCode(err) != oci.CodeUnauthorized {
		t.Errorf("another address: %v", err)
	}
	if _, err := w.loginFrom(stranger, "somebody", "wrong"); oci.ErrorCode(err) != oci.CodeUnauthorized {
		t.Errorf("another user: %v", err)
	}
	w.clock.add(longestBlock + forgetFailures)
	for i := range freeFailures {
		_, err := w.loginFrom(stranger, "root", fmt.Sprint("late guess ", i))
		wantCode(t, err, oci.CodeUnauthorized)
	}
}

// TestThrottleSparesWhoIsLoggedIn: failures from an address do not lock out who
// had logged in from there.
func TestThrottleSparesWhoIsLoggedIn(t *testing.T) {
	w := newWorld(t, nil)
	if !w.can("root", adminPassword) {
		t.Fatal("login failed")
	}
	for i := range freeFailures {
		_, err := w.login("root", fmt.Sprint("guess ", i))
		wantCode(t, err, oci.CodeUnauthorized)
	}
	_, err := w.login("root", "one guess more")
	wantCode(t, err, oci.CodeTooManyRequests)
	if _, err := w.login("root", adminPassword); err != nil {
		t.Error(err)
	}
}

// TestStalePassword: a program that repeats one wrong password is no guesser. It
// is told so each time, at no cost, and nobody is slowed down for it; and when
// the password becomes the right one, it gets in.
func TestStalePassword(t *testing.T) {
	w := newWorld(t, nil)
	if n := w.compares(func() {
		for range 10 * freeFailures {
			_, err := w.login("root", "a stale password")
			wantCode(t, err, oci.CodeUnauthorized)
		}
	}); n != 1 {
		t.Errorf("one wrong password took %d bcrypts", n)
	}
	if _, err := w.login("root", adminPassword); err != nil {
		t.Errorf("the right password from the same address: %v", err)
	}
	_, err := w.login("root", "a stale password")
	wantCode(t, err, oci.CodeUnauthorized)
	stale := "a stale password"
	if _, err := w.dir.UpdateUser(t.Context(), UserSpec{Username: "root", Policies: []string{oci.PolicyAdmin}, Enabled: true, Password: &stale}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := w.login("root", stale); err != nil {
		t.Errorf("a password that became the right one: %v", err)
	}
}

// TestManyClients: a credential that many clients share is verified once, and
// what is kept of the clients is bounded.
func TestManyClients(t *testing.T) {
	w := newWorld(t, nil)
	if n := w.compares(func() {
		for i := range 10 * maxClients {
			if _, err := w.loginFrom(fmt.Sprint("client", i), "root", adminPassword); err != nil {
				t.Fatal(err)
			}
		}
	}); n != 1 {
		t.Errorf("%d bcrypts", n)
	}
	for _, v := range w.gate.passwords.verified.Values() {
		if len(v.clients) > maxClients {
			t.Errorf("%d clients are kept", len(v.clients))
		}
	}
}

// TestThrottleAtOnce: guesses in parallel are counted, too.
func TestThrottleAtOnce(t *testing.T) {
	w := newWorld(t, nil)
	hash := hashOf(t, "a dear password", 7)
	if _, err := w.dir.CreateUser(t.Context(), UserSpec{Username: "dear", Enabled: true, PasswordHash: &hash}, ""); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	n := w.compares(func() {
		for i := range 60 {
			wg.Go(func() { _, _ = w.login("dear", fmt.Sprint("guess ", i)) })
		}
		wg.Wait()
	})
	if n > freeFailures {
		t.Errorf("60 guesses at once got %d answers", n)
	}
}

func TestSuccessForgetsFailures(t *testing.T) {
	w := newWorld(t, nil)
	for range 4 {
		for i := range freeFailures - 1 {
			_, _ = w.login("root", fmt.Sprint("typo ", i))
		}
		w.clock.add(lifetime + time.Second) // or the credential is remembered and no try at all
		if !w.can("root", adminPassword) {
			t.Fatal("login failed")
		}
	}
}

func TestThrottleIsBounded(t *testing.T) {
	th := newThrottle(newClock().now)
	for i := range maxPairs + 100 {
		key := pairKey("192.0.2.1", fmt.Sprint(i))
		th.begin(key)
		th.end(key, attempt{}, true, false)
	}
	if n := th.pairs.Len(); n != maxPairs {
		t.Errorf("%d pairs", n)
	}
	if key := pairKey("a", strings.Repeat("x", 10_000)); len(key) > maxPairName+2 {
		t.Errorf("a key of %d bytes", len(key))
	}
}

// TestQueueIsBounded: too many logins at once are turned away, not piled up.
func TestQueueIsBounded(t *testing.T) {
	w := newWorld(t, nil)
	p := w.gate.passwords
	for range cap(p.running) {
		p.running <- struct{}{}
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for i := range maxWaiting {
		wg.Go(func() { _, _ = w.gate.Authenticate(ctx, basicRequest("192.0.2.1", fmt.Sprint("user", i), "x")) })
	}
	for p.waiting.Load() < maxWaiting {
		time.Sleep(time.Millisecond)
	}
	_, err := w.login("root", adminPassword)
	wantCode(t, err, oci.CodeTooManyRequests)
	var retry *RetryError
	if !errors.As(err, &retry) || retry.After <= 0 {
		t.Error("no time to wait")
	}
	cancel()
	wg.Wait() // nobody waits for longer than its request
	for range cap(p.running) {
		<-p.running
	}
	for p.waiting.Load() > 0 {
		time.Sleep(time.Millisecond)
	}
	if !w.can("root", adminPassword) {
		t.Error("login fails when the queue is empty again")
	}
}
