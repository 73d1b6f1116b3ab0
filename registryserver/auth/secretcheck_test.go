package auth

import (
	"strings"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

// Ensure that servers whose secrets do not fit hear of it, and those in the
// middle of a rotation do not.
func TestCheckShared(t *testing.T) {
	records := storagetest.NewMemory().Records()
	for _, start := range []struct {
		name    string
		secrets []string
		agree   bool
	}{
		{"the first", []string{"one"}, true},
		{"the same", []string{"one"}, true},
		{"another", []string{"two"}, false},
		{"the first again", []string{"one"}, false},
		{"it opens theirs, but they not its", []string{"two", "one"}, false},
		{"back", []string{"one", "two"}, true},
		{"rotated", []string{"two", "one"}, true},
		{"one that did not take part", []string{"one"}, false},
		{"theirs again", []string{"two", "one"}, false},
		{"ended", []string{"two"}, true},
	} {
		agree, err := newKeyring(t, start.secrets...).CheckShared(t.Context(), records)
		if err != nil || agree != start.agree {
			t.Errorf("%s: %t, %v", start.name, agree, err)
		}
	}
	rec, err := records.Get(t.Context(), secretCheckKey)
	if err != nil || strings.Contains(string(rec.Value), "two") {
		t.Errorf("the record is %s, %v", rec.Value, err)
	}
	if _, err := records.Put(t.Context(), secretCheckKey, []byte("{"), storage.Any); err != nil {
		t.Fatal(err)
	}
	if agree, err := newKeyring(t, "three").CheckShared(t.Context(), records); err != nil || !agree {
		t.Errorf("over a damaged record: %t, %v", agree, err)
	}
}
