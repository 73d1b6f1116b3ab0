package registry

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// FuzzMark: what parseMark accepts is what formatMark writes.
func FuzzMark(f *testing.F) {
	d := oci.FromBytes([]byte("x"))
	f.Add(formatMark(d, manifestRefs{blobs: []oci.Digest{d}, foreign: []oci.Digest{d}, children: []oci.Digest{d}, subject: d}))
	f.Add(d.String())
	f.Add("sha256: b")
	f.Fuzz(func(t *testing.T, line string) {
		if d, refs, ok := parseMark(line); ok && formatMark(d, refs) != line {
			t.Errorf("%q is read as %v %+v", line, d, refs)
		}
	})
}

// FuzzCandidate: no line makes a candidate without a name.
func FuzzCandidate(f *testing.F) {
	f.Add("1767225600 blob sha256:00")
	f.Add(" ")
	f.Fuzz(func(t *testing.T, line string) {
		if name, at, ok := parseCandidate(line); ok && (name == "" || at.Location() != time.UTC) {
			t.Errorf("%q is read as %q", line, name)
		}
		_, _ = checkedLines(line)
	})
}

// FuzzBatch: what is read is of a kind that this server knows, and survives being
// written.
func FuzzBatch(f *testing.F) {
	f.Add([]byte(`{"version":1,"state":"condemned","changes":1,"items":[{"name":"blob sha256:00"}]}`))
	f.Add([]byte(`{"version":2}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		b, err := parseBatch(value)
		if err != nil {
			return
		}
		_ = b.targets()
		again, err := json.Marshal(b)
		if err != nil {
			t.Skip(err) // a time that JSON cannot hold
		}
		if _, err := parseBatch(again); err != nil {
			t.Errorf("%q is not read back: %v", again, err)
		}
	})
}
