package auth

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// EnsureAdmin makes the configured admin exist. A user name or password other
// than what was last configured sets that user's password once, enables it and
// gives it the policy admin; the same ones again change nothing, whatever the
// admin API has done since. Servers that start at once agree.
func (d *Directory) EnsureAdmin(ctx context.Context, username, password string) error {
	if _, err := oci.ParseUsername(username); err != nil {
		return fmt.Errorf("the configured admin: %w", err)
	}
	if err := oci.CheckPassword(password); err != nil {
		return fmt.Errorf("the configured admin %s: %w", username, err)
	}
	var hash string // made once, and only when needed
	changed := false
	err := d.update(ctx, func(doc *document) error {
		changed = false
		if last := doc.Admin; last != nil && last.Username == username &&
			bcrypt.CompareHashAndPassword([]byte(last.Fingerprint), []byte(password)) == nil {
			return errNoChange
		}
		if hash == "" {
			b, err := bcrypt.GenerateFromPassword([]byte(password), d.cost)
			if err != nil {
				return fmt.Errorf("hash a password: %w", err)
			}
			hash = string(b)
		}
		changed = true
		doc.setAdmin(username, hash, d.now().UTC())
		return nil
	})
	if err == nil && changed {
		d.log.InfoContext(ctx, "the configured admin has got its password", "user", username)
	}
	return err
}

// setAdmin makes username an enabled admin with the password of hash, and
// remembers the hash as the fingerprint of what is configured.
func (d *document) setAdmin(username, hash string, now time.Time) {
	u := userRecord{Description: "Made by the configuration.", CreatedAt: now}
	if old, ok := d.Users[username]; ok {
		u = *old
	}
	u.Policies = slices.Clone(u.Policies)
	if !u.isAdmin() {
		u.Policies = append(u.Policies, oci.PolicyAdmin)
		slices.Sort(u.Policies)
	}
	u.Enabled = true
	u.Hash, u.CredentialRevision = hash, rand.Text()
	u.Generation, u.Revision, u.UpdatedAt = rand.Text(), rand.Text(), now
	d.Users[username] = &u
	d.Admin = &configuredAdmin{Username: username, Fingerprint: hash}
}
