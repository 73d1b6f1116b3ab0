package auth

import (
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// TestExplain: what is said of a user is what a request of that user meets,
// and the first rule that allows it is named.
func TestExplain(t *testing.T) {
	w := newWorld(t, func(w *world, c *Config) {
		h, err := OpenHTPasswd(tempFile(w.T, "file:"+hashOf(w.T, "file-password", bcrypt.MinCost)), nil, nil)
		if err != nil {
			w.Fatal(err)
		}
		c.HTPasswd = h
	})
	w.policy("team", false, "team/*", "pull", "push")
	w.policy("public", true, "public/**", "pull")
	w.user("ci", "team")
	w.user("reader", "read-only")
	w.user("none")
	off := spec("off", "admin")
	off.Enabled = false
	if _, err := w.dir.CreateUser(t.Context(), off, ""); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		user, repo string
		action     oci.Action
		reason     Reason
		policy     string
	}{
		{"ci", "team/app", oci.Push, ReasonPolicy, "team"},
		{"ci", "team/app", oci.Delete, ReasonNoPolicy, ""},
		{"ci", "other", oci.Pull, ReasonNoPolicy, ""},
		{"ci", "public/a/b", oci.Pull, ReasonAnonymous, "public"},
		{"none", "public/a", oci.Pull, ReasonAnonymous, "public"},
		{"", "public/a", oci.Pull, ReasonAnonymous, "public"},
		{"", "public/a", oci.Push, ReasonNoPolicy, ""},
		{"", "team/app", oci.Pull, ReasonNoPolicy, ""},
		{"reader", "team/app", oci.Pull, ReasonBuiltIn, "read-only"},
		{"root", "team/app", oci.Delete, ReasonBuiltIn, "admin"},
		{"file", "team/app", oci.Delete, ReasonHTPasswd, ""},
		{"off", "public/a", oci.Pull, ReasonDisabled, ""},
		{"nobody", "public/a", oci.Pull, ReasonUnknown, ""},
	} {
		repo := oci.MustRepository(tc.repo)
		e, err := w.gate.Explain(t.Context(), tc.user, tc.action, repo)
		if err != nil || e.Reason != tc.reason || e.Policy != tc.policy || (e.Rule != nil) != (tc.policy != "") {
			t.Errorf("%q %s %s: %+v, %v; want %s %s", tc.user, tc.action, tc.repo, e, err, tc.reason, tc.policy)
		}
		password := tc.user + "-password"
		if tc.user == "root" {
			password = adminPassword
		}
		if id, err := w.login(tc.user, password); (err == nil && id.May(tc.action, repo)) != e.Allowed {
			t.Errorf("%q %s %s: explained as %v, but a request meets %v, %v", tc.user, tc.action, tc.repo, e.Allowed, id.May(tc.action, repo), err)
		}
	}
}

// TestExplainOtherServer: the answer is what the storage says, not what this
// server has heard of.
func TestExplainOtherServer(t *testing.T) {
	w := newWorld(t, nil)
	other := w.openDirectory()
	if _, err := other.CreateUser(t.Context(), spec("new", "read-only"), ""); err != nil {
		t.Fatal(err)
	}
	if e, err := w.gate.Explain(t.Context(), "new", oci.Pull, oci.MustRepository("a")); err != nil || !e.Allowed {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestExplainOpen(t *testing.T) {
	w := &world{T: t, clock: newClock(), logs: new(logBuffer)}
	w.records = newWorld(t, nil).records
	if err := w.records.Delete(t.Context(), directoryKey, "*"); err != nil {
		t.Fatal(err)
	}
	gate, err := NewGate(Config{Directory: w.openDirectory()})
	if err != nil {
		t.Fatal(err)
	}
	if e, err := gate.Explain(t.Context(), "anyone", oci.Delete, oci.MustRepository("a")); err != nil || e.Reason != ReasonOpen || !e.Allowed {
		t.Errorf("%+v, %v", e, err)
	}
}
