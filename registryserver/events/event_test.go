package events

import (
	"encoding/base64"
	"testing"
	"time"
)

// TestSignature: the example of Standard Webhooks' reference implementations.
func TestSignature(t *testing.T) {
	got := base64.StdEncoding.EncodeToString(signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`)))
	if want := "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, secret := range []string{"whsec_%%%", "plain text secret"} { // count as they are written
		if a, b := signature(secret, "id", "1", nil), signature(secret, "id", "2", nil); string(a) == string(b) {
			t.Errorf("%s: the timestamp is not signed", secret)
		}
	}
}

// TestFormats: what receivers of distribution's notifications and of CloudEvents
// read, to the byte.
func TestFormats(t *testing.T) {
	e := Event{
		ID: "ID", Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Action: Push, Repository: "team/app", Tag: "v1", Digest: "sha256:abc", MediaType: "m/t", Size: 7,
		URL: "http://h/v2/team/app/manifests/sha256:abc", User: "ci", Client: "192.0.2.1", Method: "PUT", Host: "h", UserAgent: "docker", Request: "R", Server: "S",
	}
	mount := Event{ID: "ID", Time: e.Time, Action: Mount, Blob: true, Repository: "a", From: "b", Digest: "sha256:abc", MediaType: BlobType, Method: "POST"}
	for _, tc := range []struct {
		format Format
		event  Event
		want   string
	}{
		{Distribution, e, `{"events":[{"id":"ID","timestamp":"2026-01-02T03:04:05.000000006Z","action":"push",` +
			`"target":{"mediaType":"m/t","digest":"sha256:abc","size":7,"length":7,"repository":"team/app","url":"http://h/v2/team/app/manifests/sha256:abc","tag":"v1"},` +
			`"request":{"id":"R","addr":"192.0.2.1","host":"h","method":"PUT","useragent":"docker"},"actor":{"name":"ci"},"source":{"instanceID":"S"}}]}`},
		{Distribution, mount, `{"events":[{"id":"ID","timestamp":"2026-01-02T03:04:05.000000006Z","action":"mount",` +
			`"target":{"mediaType":"application/octet-stream","digest":"sha256:abc","repository":"a","fromRepository":"b"},` +
			`"request":{"id":"","addr":"","method":"POST","useragent":""},"actor":{},"source":{}}]}`},
		{CloudEvents, e, `{"specversion":"1.0","id":"ID","source":"https://h/","type":"io.registrykit.push","subject":"team/app:v1","time":"2026-01-02T03:04:05.000000006Z","datacontenttype":"application/json",` +
			`"data":{"id":"ID","time":"2026-01-02T03:04:05.000000006Z","action":"push","repository":"team/app","tag":"v1","digest":"sha256:abc","media_type":"m/t","size":7,` +
			`"url":"http://h/v2/team/app/manifests/sha256:abc","user":"ci","client":"192.0.2.1","method":"PUT","host":"h","user_agent":"docker","request":"R","server":"S"}}`},
	} {
		if body, _, err := tc.format.write(tc.event); err != nil || string(body) != tc.want {
			t.Errorf("%v\n got %s\nwant %s", err, body, tc.want)
		}
	}
	for e, want := range map[Event]string{{Repository: "a"}: "a", {Repository: "a", Digest: "sha256:b"}: "a@sha256:b"} {
		if got := cloudEvent(e); got.Subject != want || got.Source != "/" {
			t.Errorf("%+v", got)
		}
	}
}
