package registry

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Ensure that settings that can be read are the same when they are stored and read
// again, and that no others pass for a repository without rules.
func FuzzParseSettings(f *testing.F) {
	for _, s := range []string{
		"", "{}", "null", `{"version":1}`, `{"version":1,"revision":"r"}`, `{"version":2,"revision":"r"}`,
		`{"version":1,"revision":"r","anonymous_pull":true,"immutable_tag_patterns":["v*"],"description":"d"}`,
		`{"version":1,"revision":"r","immutable_tag_patterns":["**"]}`, `{"version":1,"revision":"r","immutable_tag_patterns":null}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		_, s, err := parseSettings(value)
		if err != nil {
			return
		}
		if s.Revision == "" || len(s.ImmutableTags) > oci.MaxTagPatterns {
			t.Errorf("%q became %+v", value, s)
		}
		again, err := json.Marshal(s.record(time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		_, stored, err := parseSettings(again)
		if err != nil || stored.AnonymousPull != s.AnonymousPull || len(stored.ImmutableTags) != len(s.ImmutableTags) {
			t.Errorf("%q is stored as %s: %+v, %v", value, again, stored, err)
		}
	})
}
