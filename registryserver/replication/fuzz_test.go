package replication

import (
	"encoding/json"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
)

// FuzzDocument: no record makes a server panic, and what is read is written as it
// was.
func FuzzDocument(f *testing.F) {
	f.Add([]byte(`{"version":1,"replications":{"dr":{"revision":"a","url":"https://dr.example/mirror","repositories":["team/**"],"tags":["v*"],"enabled":true,"username":"me","password":"AAAA"}}}`))
	f.Add([]byte(`{"version":1,"replications":{"dr":null}}`))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`{"version":1,"replications":{"dr":{"url":"http://x.example","repositories":["***"]}}}`))
	keys, err := auth.NewKeyring("the http secret")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		doc, err := parseDocument(value)
		if err != nil {
			return
		}
		for name, r := range doc.Replications {
			got := r.rule(name, keys)
			if got.password != "" {
				t.Errorf("a password that was never sealed: %q", got.password)
			}
			if _, err := json.Marshal(doc.clone()); err != nil {
				t.Error(err)
			}
		}
	})
}
