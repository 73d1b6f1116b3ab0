package events

import (
	"encoding/json"
	"net/http"
	"reflect"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
)

// FuzzQueued: a record of the queue that is taken is one that is written the same.
func FuzzQueued(f *testing.F) {
	f.Add([]byte(`{"version":1,"event":{"id":"A","time":"2026-01-02T03:04:05Z","action":"push","repository":"a"},"to":["ci"],"owner":"B","until":"2026-01-02T03:09:05Z"}`))
	f.Add([]byte(`{"version":1,"event":{"id":"A","time":"2026-01-02T03:04:05Z","action":"delete","repository":"a","blob":true},"to":null}`))
	f.Add([]byte(`{"version":2,"event":{"id":"A"}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, value []byte) {
		q, err := parseQueued(value)
		if err != nil {
			return
		}
		if q.Event.ID == "" || q.Version != queuedVersion {
			t.Errorf("%+v was taken", q)
		}
		again, err := json.Marshal(q)
		if err != nil {
			return // a time beyond the year 9999
		}
		if other, err := parseQueued(again); err != nil || !reflect.DeepEqual(normal(q), normal(other)) {
			t.Errorf("%v: %+v became %+v", err, q, other)
		}
		for _, format := range Formats() {
			if _, _, err := format.write(q.Event); err != nil {
				t.Errorf("%s: %v", format, err)
			}
		}
	})
}

// normal is q without what JSON does not keep of times.
func normal(q queued) queued {
	q.Event.Time, q.Until = q.Event.Time.UTC().Round(0), q.Until.UTC().Round(0)
	return q
}

// FuzzWebhooks: whatever the record of webhooks holds, it is refused or can be
// delivered from.
func FuzzWebhooks(f *testing.F) {
	f.Add([]byte(`{"version":1,"webhooks":{"ci":{"url":"http://a/","format":"distribution","repositories":["team/*"],"actions":["push"],"enabled":true,"revision":"A"}}}`))
	f.Add([]byte(`{"version":1,"webhooks":{"ci":{"url":":","format":"x","repositories":["["],"actions":[""],"secret":"AAAA"}}}`))
	f.Add([]byte(`{"version":1,"webhooks":{"ci":null}}`))
	f.Add([]byte(`{"version":9}`))
	keys, err := auth.NewKeyring("the http secret")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		doc, err := parseDocument(value)
		if err != nil {
			return
		}
		for name, r := range doc.Webhooks {
			got := r.receiver(name, keys)
			got.wants(Event{Action: Push, Repository: "team/app"})
			got.host()
			got.headers(make(http.Header))
			if len(r.Secret) > 0 && got.Problem == "" {
				t.Errorf("a secret that was never sealed is opened: %+v", got)
			}
		}
	})
}
