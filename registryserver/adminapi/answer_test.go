package adminapi

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

// fullRecords takes no writes once it is full.
type fullRecords struct {
	storage.Records
	full bool
}

func (r *fullRecords) Put(ctx context.Context, key string, value []byte, was storage.Version) (storage.Version, error) {
	if r.full {
		return "", fmt.Errorf("put record %s: %w", key, storage.Unavailable(errors.New("no space left on device")))
	}
	return r.Records.Put(ctx, key, value, was)
}

// TestFullStorage: whoever changes something while the storage is full hears
// that the operator has to act, and only the log says what the system said.
func TestFullStorage(t *testing.T) {
	records := &fullRecords{Records: storagetest.NewMemory().Records()}
	w := newWorld(t, func(c *Config) {
		directory, err := auth.OpenDirectory(t.Context(), auth.DirectoryConfig{Records: records, BcryptCost: bcrypt.MinCost, Log: c.Log})
		if err != nil {
			t.Fatal(err)
		}
		c.Directory = directory
		if c.Gate, err = auth.NewGate(auth.Config{Directory: directory, Log: c.Log}); err != nil {
			t.Fatal(err)
		}
		if err := directory.EnsureAdmin(t.Context(), "root", adminPassword); err != nil {
			t.Fatal(err)
		}
	})
	records.full = true
	r := httptest.NewRequest("PUT", "/api/v1/users/root", strings.NewReader(`{"password": "correct horse battery staple", "policies": ["admin"], "enabled": true}`))
	r.Header.Set("Content-Type", "application/json")
	r.SetBasicAuth("root", adminPassword)
	answer := httptest.NewRecorder()
	w.handler.ServeHTTP(answer, r)
	body := answer.Body.String()
	if answer.Code != 503 || answer.Header().Get("Retry-After") != "10" || !strings.Contains(body, "operator") || strings.Contains(body, "device") {
		t.Errorf("%d, Retry-After %q: %s", answer.Code, answer.Header().Get("Retry-After"), body)
	}
	if log := w.logs.String(); !strings.Contains(log, "no space left on device") {
		t.Errorf("the log has no cause: %s", log)
	}
}
