package main_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const webhookSecret = "a secret that signs deliveries"

// delivered is a request that a receiver got.
type delivered struct {
	path   string
	header http.Header
	body   []byte
	status int // of the answer
}

// receiver is what webhooks are sent to.
type receiver struct {
	*httptest.Server
	status atomic.Int64 // of answers
	mu     sync.Mutex
	got    []delivered
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := new(receiver)
	r.status.Store(http.StatusOK)
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil || req.Method != http.MethodPost {
			t.Errorf("a webhook was sent %s, and its body: %v", req.Method, err)
		}
		status := int(r.status.Load())
		r.mu.Lock()
		r.got = append(r.got, delivered{req.URL.Path, req.Header.Clone(), body, status})
		r.mu.Unlock()
		w.WriteHeader(status)
	}))
	t.Cleanup(r.Close)
	return r
}

// all returns the deliveries to a path that were answered with a status.
func (r *receiver) all(path string, status int) []delivered {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.got), func(d delivered) bool { return d.path != path || d.status != status })
}

// notified is what the tests look at of distribution's envelope.
type notified struct {
	ID      string
	Action  string
	Target  struct{ MediaType, Digest, Repository, FromRepository, Tag, URL string }
	Actor   struct{ Name string }
	Request struct{ ID, Addr, Method, Host string }
	Source  struct{ InstanceID string }
}

// envelope returns the one event of a delivery in distribution's format.
func (d delivered) envelope(t *testing.T) notified {
	t.Helper()
	var got struct{ Events []notified }
	if err := json.Unmarshal(d.body, &got); err != nil || len(got.Events) != 1 || d.header.Get("Content-Type") != "application/vnd.docker.distribution.events.v2+json" {
		t.Fatalf("%v %s %s", err, d.header.Get("Content-Type"), d.body)
	}
	return got.Events[0]
}

// events returns the deliveries to a path that arrived, each event in short, in
// byte order.
func (r *receiver) events(t *testing.T, path string) []string {
	t.Helper()
	var all []string
	for _, d := range r.all(path, http.StatusOK) {
		e := d.envelope(t)
		kind := "manifest"
		switch {
		case e.Target.MediaType == "application/octet-stream":
			kind = "blob"
		case e.Target.Digest == "":
			kind = "-"
		}
		all = append(all, strings.TrimRight(fmt.Sprintf("%s %s %s:%s %s", e.Action, kind, e.Target.Repository, e.Target.Tag, e.Target.FromRepository), " "))
	}
	slices.Sort(all)
	return all
}

// admin sends a request to the admin API.
func admin(t *testing.T, p *process, method, path, body string, want int) []byte {
	t.Helper()
	resp, answer := do(t, method, p.URL+"/api/v1"+path, []byte(body), "Content-Type", "application/json")
	if resp.StatusCode != want {
		t.Fatalf("%s %s: %s %s", method, path, resp.Status, answer)
	}
	return answer
}

// webhookServer starts a server with an admin, and metrics.
func webhookServer(t *testing.T, config string) (p *process, metrics string) {
	t.Helper()
	metrics = freeAddress(t)
	p = startRegistry(t, buildServer(t), config, "REGISTRY_ADMIN_USERNAME="+adminUser, "REGISTRY_ADMIN_PASSWORD="+adminPassword,
		"REGISTRY_HTTP_SECRET=a secret that all servers share", "REGISTRY_HTTP_DEBUG_ADDR="+metrics, "REGISTRY_HTTP_DEBUG_PROMETHEUS_ENABLED=true")
	p.login(adminUser, adminPassword)
	return p, "http://" + metrics + "/metrics"
}

// pushTinyTo pushes a small image, another for each n.
func pushTinyTo(t *testing.T, p *process, repo, tag string, n int) (digest, layer string) {
	t.Helper()
	content, conf := tiny(n)
	for _, c := range [][]byte{content, conf} {
		pushBlob(t, p, repo, sha256Digest(c), c)
	}
	manifest := tinyManifest(conf, content)
	pushManifest(t, p, repo, tag, tinyType, manifest)
	return sha256Digest(manifest), sha256Digest(content)
}

func (d delivered) signed(t *testing.T) {
	t.Helper()
	mac := hmac.New(sha256.New, []byte(webhookSecret))
	mac.Write([]byte(d.header.Get("Webhook-Id") + "." + d.header.Get("Webhook-Timestamp") + "."))
	mac.Write(d.body)
	if got, want := d.header.Get("Webhook-Signature"), "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)); got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

// TestWebhooks: what happens in a registry is told in both formats, to who is to
// hear of it, signed.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	hooks := newReceiver(t)
	p, metrics := webhookServer(t, filesystemConfig(t.TempDir()))
	defer p.stopCleanly(t)
	for _, spec := range []string{
		`{"name":"everything","url":"URL/everything","actions":["push","pull","delete","mount"],"blobs":true,"secret":"SECRET","authorization":"Bearer of news"}`,
		`{"name":"plain","url":"URL/plain"}`,
		`{"name":"cloud","url":"URL/cloud","format":"cloudevents","repositories":["team/*"],"secret":"SECRET"}`,
		`{"name":"off","url":"URL/off","enabled":false}`,
	} {
		admin(t, p, http.MethodPost, "/webhooks", strings.NewReplacer("URL", hooks.URL, "SECRET", webhookSecret).Replace(spec), http.StatusCreated)
	}
	digest, layer := pushTinyTo(t, p, "team/app", "v1", 1)
	pushTinyTo(t, p, "other", "v1", 2)
	if resp, body := do(t, http.MethodGet, p.URL+"/v2/team/app/manifests/v1", nil, "Accept", tinyType); resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s", resp.Status, body)
	}
	for _, step := range []struct {
		method, path string
		want         int
	}{
		{http.MethodHead, "/v2/team/app/manifests/v1", http.StatusOK}, // not a pull
		{http.MethodGet, "/v2/team/app/blobs/" + layer, http.StatusOK},
		{http.MethodPost, "/v2/other/blobs/uploads/?from=team/app&mount=" + layer, http.StatusCreated},
		{http.MethodGet, "/api/v1/archives/team/app:v1", http.StatusOK},
		{http.MethodDelete, "/v2/other/blobs/" + layer, http.StatusAccepted},
		{http.MethodDelete, "/v2/team/app/manifests/v1", http.StatusAccepted},
		{http.MethodPut, "/api/v1/repositories/team%2Fapp/tags/v2", http.StatusCreated},
		{http.MethodDelete, "/api/v1/repositories/team%2Fapp/tags/v2", http.StatusNoContent},
		{http.MethodDelete, "/v2/team/app/manifests/" + digest, http.StatusAccepted},
		{http.MethodDelete, "/api/v1/repositories/other?force=true", http.StatusNoContent},
		{http.MethodDelete, "/v2/team/app/manifests/never", http.StatusNotFound}, // and nothing that failed
	} {
		var body []byte
		if step.method == http.MethodPut {
			body = fmt.Appendf(nil, `{"digest":%q}`, digest)
		}
		if resp, answer := do(t, step.method, p.URL+step.path, body, "Content-Type", "application/json", "Accept", tinyType); resp.StatusCode != step.want {
			t.Fatalf("%s %s: %s %s", step.method, step.path, resp.Status, answer)
		}
	}
	durable := []string{
		"delete - other:", "delete - team/app:v1", "delete - team/app:v2", "delete manifest team/app:",
		"push manifest other:v1", "push manifest team/app:v1", "push manifest team/app:v2",
	}
	everything := slices.Concat(durable, []string{
		"delete blob other:", "mount blob other: team/app", "pull blob team/app:", "pull manifest team/app:v1", "pull manifest team/app:v1",
		"push blob other:", "push blob other:", "push blob team/app:", "push blob team/app:",
	})
	slices.Sort(everything)
	soon(t, "every event to arrive", func() bool {
		return len(hooks.events(t, "/everything")) >= len(everything) && len(hooks.events(t, "/plain")) >= len(durable) && len(hooks.all("/cloud", 200)) >= 5
	})
	if got := hooks.events(t, "/everything"); !slices.Equal(got, everything) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(everything, "\n"))
	}
	if got := hooks.events(t, "/plain"); !slices.Equal(got, durable) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(durable, "\n"))
	}
	if off := hooks.all("/off", 200); len(off) > 0 {
		t.Errorf("%d deliveries to a webhook that is off", len(off))
	}
	for _, d := range hooks.all("/everything", 200) {
		d.signed(t)
		e := d.envelope(t)
		if d.header.Get("Authorization") != "Bearer of news" || d.header.Get("Webhook-Id") != e.ID || !strings.HasPrefix(d.header.Get("User-Agent"), "registryserver/") {
			t.Errorf("%v", d.header)
		}
		if e.Actor.Name != adminUser || e.Request.Addr != "127.0.0.1" || e.Request.ID == "" || e.Request.Host != p.Host || e.Source.InstanceID == "" || e.Request.Method == "" {
			t.Errorf("%s", d.body)
		}
		if e.Action == "push" && e.Target.Tag == "v1" && e.Target.Repository == "team/app" && (e.Target.Digest != digest || e.Target.URL != "http://"+p.Host+"/v2/team/app/manifests/"+digest || e.Target.MediaType != tinyType) {
			t.Errorf("%s", d.body)
		}
	}
	for _, d := range hooks.all("/plain", 200) {
		if d.header.Get("Webhook-Signature") != "" || d.header.Get("Authorization") != "" {
			t.Errorf("%v", d.header)
		}
	}
	cloudEvents(t, hooks.all("/cloud", 200), digest)

	answer := string(admin(t, p, http.MethodGet, "/webhooks", "", http.StatusOK))
	if !strings.Contains(answer, `"has_secret":true`) || strings.Contains(answer+p.output.String(), webhookSecret) || strings.Contains(answer+p.output.String(), "Bearer of news") {
		t.Errorf("a secret is answered or logged: %s", answer)
	}
	soon(t, "the queue to be empty", func() bool {
		_, page := do(t, http.MethodGet, metrics, nil)
		return strings.Contains(string(page), "registry_notifications_queued 0")
	})
	_, page := do(t, http.MethodGet, metrics, nil)
	for _, want := range []string{
		fmt.Sprintf(`registry_notifications_events_total{endpoint="plain",type="Successes"} %d`, len(durable)),
		fmt.Sprintf(`registry_notifications_status_total{code="200",endpoint="everything"} %d`, len(everything)),
		`registry_notifications_pending_total{endpoint="plain"} 0`,
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}

func cloudEvents(t *testing.T, got []delivered, digest string) {
	t.Helper()
	var types []string
	for _, d := range got {
		var e struct {
			SpecVersion, ID, Source, Type, Subject, Time, DataContentType string
			Data                                                          struct{ Repository, Tag, Digest, User string }
		}
		if err := json.Unmarshal(d.body, &e); err != nil || e.SpecVersion != "1.0" || e.ID == "" || e.ID != d.header.Get("Webhook-Id") || !strings.HasPrefix(e.Source, "https://127.0.0.1:") || e.Data.User != adminUser {
			t.Errorf("%v: %s", err, d.body)
		}
		if _, err := time.Parse(time.RFC3339Nano, e.Time); err != nil {
			t.Error(err)
		}
		if d.header.Get("Content-Type") != "application/cloudevents+json" {
			t.Errorf("Content-Type %s", d.header.Get("Content-Type"))
		}
		d.signed(t)
		types = append(types, e.Type+" "+e.Subject)
	}
	slices.Sort(types)
	want := []string{"io.registrykit.delete team/app:v1", "io.registrykit.delete team/app:v2", "io.registrykit.delete team/app@" + digest, "io.registrykit.push team/app:v1", "io.registrykit.push team/app:v2"}
	if !slices.Equal(types, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(types, "\n"), strings.Join(want, "\n"))
	}
}

// TestWebhookRetries: an event waits for a receiver that fails, through a restart
// of the server and through its death, and no push waits for it.
func TestWebhookRetries(t *testing.T) {
	t.Parallel()
	hooks, root := newReceiver(t), t.TempDir()
	hooks.status.Store(http.StatusInternalServerError)
	first, metrics := webhookServer(t, filesystemConfig(root))
	admin(t, first, http.MethodPost, "/webhooks", fmt.Sprintf(`{"name":"ci","url":"%s/ci","secret":%q}`, hooks.URL, webhookSecret), http.StatusCreated)
	pushTinyTo(t, first, "app", "v1", 1)
	soon(t, "a second try", func() bool { return len(hooks.all("/ci", 500)) >= 2 })
	_, page := do(t, http.MethodGet, metrics, nil)
	for _, want := range []string{`registry_notifications_pending_total{endpoint="ci"} 1`, "registry_notifications_queued 1", `registry_notifications_events_total{endpoint="ci",type="Failures"}`} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	tries := hooks.all("/ci", 500)
	if tries[0].header.Get("Webhook-Id") != tries[1].header.Get("Webhook-Id") || !bytes.Equal(tries[0].body, tries[1].body) {
		t.Errorf("the tries differ: %s %s", tries[0].body, tries[1].body)
	}
	first.stopCleanly(t)

	second, _ := webhookServer(t, filesystemConfig(root))
	seen := len(hooks.all("/ci", 500))
	soon(t, "the next server to try", func() bool { return len(hooks.all("/ci", 500)) > seen })
	if err := second.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-second.exited
	hooks.status.Store(http.StatusOK)
	endLeases(t, root)
	third, _ := webhookServer(t, filesystemConfig(root))
	defer third.stopCleanly(t)
	soon(t, "the event", func() bool { return len(hooks.all("/ci", 200)) > 0 })
	got := hooks.all("/ci", 200)[0]
	got.signed(t)
	if e := got.envelope(t); e.ID != tries[0].header.Get("Webhook-Id") || e.Target.Tag != "v1" {
		t.Errorf("%s", got.body)
	}
	soon(t, "its record to be gone", func() bool { return len(waiting(t, root)) == 0 })
}

// waiting returns the records of events in a directory.
func waiting(t *testing.T, root string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "registrykit", "v1", "events", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// endLeases does what five minutes do: a server that died has no event any more.
func endLeases(t *testing.T, root string) {
	t.Helper()
	files := waiting(t, root)
	if len(files) != 1 {
		t.Fatalf("%d events wait: %v", len(files), files)
	}
	content, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	var record map[string]any
	if err := json.Unmarshal(content, &record); err != nil {
		t.Fatal(err)
	}
	if until, err := time.Parse(time.RFC3339Nano, record["until"].(string)); err != nil || until.Before(time.Now()) {
		t.Errorf("%v: the server that was killed had the event until %s", err, until)
	}
	record["until"] = time.Now().Add(-time.Second)
	if content, err = json.Marshal(record); err == nil {
		err = os.WriteFile(files[0], content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestWebhooksOfCluster: servers on one bucket have one set of webhooks, and take
// over one another's events.
func TestWebhooksOfCluster(t *testing.T) {
	t.Parallel()
	hooks, bucket := newReceiver(t), startS3(t)
	first, _ := webhookServer(t, bucket.config())
	second, _ := webhookServer(t, bucket.config())
	defer second.stopCleanly(t)
	admin(t, first, http.MethodPost, "/webhooks", fmt.Sprintf(`{"name":"ci","url":"%s/ci","secret":%q}`, hooks.URL, webhookSecret), http.StatusCreated)
	admin(t, second, http.MethodGet, "/webhooks/ci", "", http.StatusOK) // which looks, and so need not wait for the next look
	var want []string
	push := func(p *process, n int) {
		digest, _ := pushTinyTo(t, p, "app", fmt.Sprintf("v%d", n), n)
		want = append(want, digest)
	}
	for n := range 8 {
		push([]*process{first, second}[n%2], n)
	}
	missing := func() (missing []string) {
		var got []string
		for _, d := range hooks.all("/ci", 200) {
			d.signed(t)
			got = append(got, d.envelope(t).Target.Digest)
		}
		for _, digest := range want {
			if !slices.Contains(got, digest) {
				missing = append(missing, digest)
			}
		}
		return missing
	}
	soon(t, "the events of both servers", func() bool { return len(missing()) == 0 })
	hooks.status.Store(http.StatusServiceUnavailable)
	for n := range 4 {
		push(first, 100+n)
	}
	first.stopCleanly(t)
	if n := len(missing()); n != 4 {
		t.Errorf("%d of 4 events wait", n)
	}
	hooks.status.Store(http.StatusOK)
	third, _ := webhookServer(t, bucket.config()) // which looks for what waits when it starts
	defer third.stopCleanly(t)
	soon(t, "the events of a server that is gone", func() bool { return len(missing()) == 0 })
}

// TestWebhookRequests: an event that is kept until it is delivered costs a push
// one request to S3, and nothing else costs one.
func TestWebhookRequests(t *testing.T) {
	t.Parallel()
	hooks, bucket := newReceiver(t), countS3(t)
	p, _ := webhookServer(t, bucket.config())
	defer p.stopCleanly(t)
	layer, conf := tiny(1)
	n := 0
	pushAgain := func() {
		n++
		manifest := tinyManifest(conf, layer)
		pushManifest(t, p, "app", fmt.Sprintf("v%d", n), tinyType, fmt.Appendf(manifest[:len(manifest)-1], `,"annotations":{"n":"%d"}}`, n))
	}
	blob := func(content string) func() {
		return func() { pushBlob(t, p, "app", sha256Digest([]byte(content)), []byte(content)) }
	}
	pull := func() { do(t, http.MethodGet, p.URL+"/v2/app/manifests/v1", nil, "Accept", tinyType) }
	pushTinyTo(t, p, "app", "v0", 1)
	pushAgain()
	without := [3]int{len(bucket.count(pushAgain)), len(bucket.count(blob("one"))), len(bucket.count(pull))}
	admin(t, p, http.MethodPost, "/webhooks", fmt.Sprintf(`{"name":"ci","url":"%s/ci","actions":["push","pull","delete","mount"],"blobs":true}`, hooks.URL), http.StatusCreated)
	pushAgain() // the first request after a change of webhooks may see it
	with := [3]int{len(bucket.count(pushAgain)), len(bucket.count(blob("two"))), len(bucket.count(pull))}
	if with[0] > without[0]+1 || with[1] > without[1] || with[2] > without[2] {
		t.Errorf("a push of a manifest, of a blob and a pull take %d requests, %d without a webhook", with, without)
	}
	soon(t, "the events", func() bool { return len(hooks.all("/ci", 200)) >= 4 })
}

// TestNotifications: distribution's own configuration, with the events that it
// sends; events for endpoints wait as those of webhooks do.
func TestNotifications(t *testing.T) {
	t.Parallel()
	hooks, root := newReceiver(t), t.TempDir()
	config := filesystemConfig(root) + fmt.Sprintf(`
notifications:
  events: {includereferences: true}
  endpoints:
  - {name: all, url: %[1]q, headers: {Authorization: [Bearer of news]}, timeout: 5s, threshold: 3, backoff: 10ms}
  - {name: some, url: %[2]q, ignore: {actions: [pull], mediatypes: [application/octet-stream]}}
  - {name: off, disabled: true, url: %[1]q}
`, hooks.URL+"/all", hooks.URL+"/some")
	first, metrics := webhookServer(t, config)
	pushTinyTo(t, first, "app", "v1", 1)
	do(t, http.MethodGet, first.URL+"/v2/app/manifests/v1", nil, "Accept", tinyType)
	all, some := []string{"pull manifest app:v1", "push blob app:", "push blob app:", "push manifest app:v1"}, []string{"push manifest app:v1"}
	soon(t, "the events", func() bool {
		return len(hooks.events(t, "/all")) >= len(all) && len(hooks.events(t, "/some")) >= len(some)
	})
	if got := hooks.events(t, "/all"); !slices.Equal(got, all) {
		t.Errorf("got %q", got)
	}
	if got := hooks.events(t, "/some"); !slices.Equal(got, some) {
		t.Errorf("got %q", got)
	}
	for _, d := range hooks.all("/all", 200) {
		if d.header.Get("Authorization") != "Bearer of news" {
			t.Errorf("%v", d.header)
		}
	}
	if _, page := do(t, http.MethodGet, metrics, nil); !strings.Contains(string(page), `registry_notifications_events_total{endpoint="all",type="Successes"} 4`) {
		t.Error("the metrics lack the endpoint")
	}
	if !strings.Contains(first.output.String(), "includereferences") {
		t.Error("nothing says that includereferences has no effect")
	}
	hooks.status.Store(http.StatusBadGateway)
	pushTinyTo(t, first, "app", "v2", 2)
	soon(t, "a second try", func() bool { return len(hooks.all("/some", http.StatusBadGateway)) > 1 })
	first.stopCleanly(t)
	hooks.status.Store(http.StatusOK)
	second, _ := webhookServer(t, config)
	defer second.stopCleanly(t)
	soon(t, "the event after a restart", func() bool { return slices.Contains(hooks.events(t, "/some"), "push manifest app:v2") })
	if answer := admin(t, second, http.MethodGet, "/webhooks", "", http.StatusOK); strings.Contains(string(answer), "some") {
		t.Errorf("an endpoint of the configuration is a webhook: %s", answer)
	}
}

// TestWebhooksOverRedis: with Redis, a server hears at once of a webhook that
// another one made, changed or removed.
func TestWebhooksOverRedis(t *testing.T) {
	t.Parallel()
	hooks, bucket, redis := newReceiver(t), startS3(t), startRedis(t)
	config := bucket.config() + fmt.Sprintf("redis: {addrs: [%q]}\n", redis.addr)
	first, _ := webhookServer(t, config)
	defer first.stopCleanly(t)
	second, _ := webhookServer(t, config)
	defer second.stopCleanly(t)
	n := 0
	hears := func(path string) bool {
		before := len(hooks.all(path, 200))
		n++
		pushTinyTo(t, second, "app", fmt.Sprintf("v%d", n), n)
		time.Sleep(200 * time.Millisecond)
		return len(hooks.all(path, 200)) > before
	}
	admin(t, first, http.MethodPost, "/webhooks", fmt.Sprintf(`{"name":"ci","url":"%s/one"}`, hooks.URL), http.StatusCreated)
	soon(t, "the webhook of the other server", func() bool { return hears("/one") })
	admin(t, first, http.MethodPut, "/webhooks/ci", fmt.Sprintf(`{"url":"%s/two"}`, hooks.URL), http.StatusOK)
	soon(t, "its new URL", func() bool { return hears("/two") })
	admin(t, first, http.MethodDelete, "/webhooks/ci", "", http.StatusNoContent)
	soon(t, "its end", func() bool { return !hears("/two") })
}
