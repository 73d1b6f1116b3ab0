package s3store

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

func states(t testing.TB) []state {
	t.Helper()
	id := uuid.MustParse("0b4c6f0e-3f2a-4c8e-9d0f-0123456789ab")
	h := sha256.New()
	h.Write(make([]byte, 100))
	some := state{kind: direct, id: id}
	if err := some.keep(h, 100); err != nil {
		t.Fatal(err)
	}
	tail := some
	tail.kind, tail.extras, tail.tailSum = staged, true, sha256.Sum256([]byte("tail"))
	parts := tail
	parts.uploadID, parts.parts, parts.inParts = strings.Repeat("u", maxUploadID), 3, 90
	whole := parts
	whole.inParts, whole.extras, whole.tailSum = 100, false, [sha256.Size]byte{}
	return []state{{id: id}, some, tail, parts, whole}
}

func TestStateTravels(t *testing.T) {
	for _, st := range states(t) {
		in := st.encode()
		if len(in) > maxState {
			t.Errorf("a state has %d bytes, which make a Location of more than 2 KB", len(in))
		}
		got, err := parseState(in)
		if err != nil || got != st {
			t.Errorf("%+v comes back as %+v, %v", st, got, err)
		}
	}
}

// FuzzState: a state never panics, is what it encodes to, and names nothing
// outside the folder of its upload.
func FuzzState(f *testing.F) {
	for _, st := range states(f) {
		f.Add(st.encode())
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		st, err := parseState(in)
		if err != nil {
			if !errors.Is(err, storage.ErrUploadUnknown) {
				t.Errorf("parse: %v", err)
			}
			return
		}
		if !bytes.Equal(st.encode(), in) {
			t.Errorf("%x encodes to %x", in, st.encode())
		}
		for _, key := range []string{st.dataKey(), st.tailKey(), st.endedKey(), st.checkpointKey()} {
			rest, ok := strings.CutPrefix(key, uploadsDir+"/"+st.id.String()+"/")
			if !ok || strings.Contains(rest, "/") || storage.CheckKey(key) != nil {
				t.Errorf("it names %s", key)
			}
		}
		if _, err := st.running(); err != nil {
			t.Errorf("its hash does not go on: %v", err)
		}
	})
}
