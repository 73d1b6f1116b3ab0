package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestRepositorySettings: two servers on one directory, and on one bucket, agree
// on what is set of a repository and on what an immutable tag is.
func TestRepositorySettings(t *testing.T) {
	for name, config := range map[string]func(*testing.T) string{
		"directory": func(t *testing.T) string { return filesystemConfig(t.TempDir()) },
		"bucket":    func(t *testing.T) string { return startS3(t).config() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := settingsCluster{t: t}
			shared := config(t)
			for i := range c.servers {
				p := startServer(t, shared, "REGISTRY_ADMIN_USERNAME=admin", "REGISTRY_ADMIN_PASSWORD=change-me-please")
				c.anonymous[i] = p.URL
				p.URL = strings.Replace(p.URL, "http://", "http://admin:change-me-please@", 1)
				c.servers[i] = p
			}
			c.admin(0, http.MethodPost, "/repositories", `{"name":"team/app","immutable_tag_patterns":["v*"]}`, http.StatusCreated)
			for i, p := range c.servers {
				if _, body := do(t, http.MethodGet, p.URL+"/v2/_catalog", nil); !bytes.Contains(body, []byte(`"team/app"`)) {
					t.Errorf("the catalog of server %d is %s", i, body)
				}
				if resp, body := do(t, http.MethodGet, p.URL+"/v2/team/app/tags/list", nil); resp.StatusCode != http.StatusOK || !bytes.Contains(body, []byte(`"tags":[]`)) {
					t.Errorf("the tags at server %d: %s %s", i, resp.Status, body)
				}
			}
			layer, conf := tiny(1)
			for _, content := range [][]byte{layer, conf} {
				pushBlob(t, c.servers[0], "team/app", sha256Digest(content), content)
			}
			for round := range 3 {
				c.race(fmt.Sprintf("v%d", round), conf, layer)
			}
			c.rule(tinyManifest(conf, layer))
			c.publish()
		})
	}
}

// settingsCluster is two servers on one storage.
type settingsCluster struct {
	t         *testing.T
	servers   [2]*process // with the admin's credentials in their URLs
	anonymous [2]string   // their URLs without
}

// admin sends a request of the admin API.
func (c settingsCluster) admin(server int, method, path, body string, want int) {
	c.t.Helper()
	resp, answer := do(c.t, method, c.servers[server].URL+"/api/v1"+path, []byte(body), "Content-Type", "application/json")
	if resp.StatusCode != want {
		c.t.Fatalf("%s %s: %s, want %d\n%s", method, path, resp.Status, want, answer)
	}
}

func (c settingsCluster) put(server int, tag string, manifest []byte) int {
	resp, _ := do(c.t, http.MethodPut, c.servers[server].URL+"/v2/team/app/manifests/"+tag, manifest, "Content-Type", tinyType)
	return resp.StatusCode
}

// race pushes as many contents to one immutable tag at once: one is told that it
// did, and all see that one.
func (c settingsCluster) race(tag string, conf, layer []byte) {
	c.t.Helper()
	const pushers = 10
	type result struct {
		digest string
		status int
	}
	results := make(chan result, pushers)
	for n := range pushers {
		go func() {
			manifest := noted(tinyManifest(conf, layer), fmt.Sprint(tag, n))
			results <- result{sha256Digest(manifest), c.put(n%2, tag, manifest)}
		}()
	}
	winner := ""
	for range pushers {
		switch r := <-results; {
		case r.status == http.StatusCreated && winner == "":
			winner = r.digest
		case r.status != http.StatusForbidden:
			c.t.Errorf("a push to %s is answered %d", tag, r.status)
		}
	}
	for i, p := range c.servers {
		resp, _ := do(c.t, http.MethodHead, p.URL+"/v2/team/app/manifests/"+tag, nil, "Accept", tinyType)
		if got := resp.Header.Get("Docker-Content-Digest"); winner == "" || got != winner {
			c.t.Errorf("at server %d %s is %q, want that of the one who was told so: %q", i, tag, got, winner)
		}
	}
}

// noted is a manifest with an annotation.
func noted(manifest []byte, note string) []byte {
	return fmt.Appendf(bytes.TrimSuffix(manifest, []byte("}")), `,"annotations":{"note":%q}}`, note)
}

// rule changes the rules through one server: the next push through the other is
// held to them.
func (c settingsCluster) rule(manifest []byte) {
	c.t.Helper()
	const path = "/repositories/team%2Fapp"
	for n, step := range []struct {
		patterns string
		want     int
	}{{`[]`, http.StatusCreated}, {`["r*"]`, http.StatusForbidden}, {`[]`, http.StatusCreated}, {`["*"]`, http.StatusForbidden}, {`["v*"]`, http.StatusCreated}} {
		c.admin(n%2, http.MethodPut, path, `{"anonymous_pull":false,"immutable_tag_patterns":`+step.patterns+`}`, http.StatusOK)
		if got := c.put(1-n%2, "r1", noted(manifest, fmt.Sprint("rule", n))); got != step.want {
			c.t.Errorf("with the patterns %s: a push of r1 is answered %d, want %d", step.patterns, got, step.want)
		}
	}
	c.admin(1, http.MethodDelete, path+"?force=true", "", http.StatusForbidden)
	c.admin(0, http.MethodDelete, path+"/tags/v1", "", http.StatusForbidden)
}

// publish lets everybody pull, and takes that back: once that is answered, neither
// server lets a stranger pull.
func (c settingsCluster) publish() {
	c.t.Helper()
	pull := func(server int) int {
		resp, _ := do(c.t, http.MethodGet, c.anonymous[server]+"/v2/team/app/manifests/v1", nil, "Accept", tinyType)
		return resp.StatusCode
	}
	for i := range c.servers {
		if got := pull(i); got != http.StatusUnauthorized {
			c.t.Errorf("a stranger's pull from server %d is answered %d", i, got)
		}
	}
	c.admin(0, http.MethodPut, "/repositories/team%2Fapp", `{"anonymous_pull":true,"immutable_tag_patterns":["v*"]}`, http.StatusOK)
	for i := range c.servers {
		for deadline := time.Now().Add(startTimeout); pull(i) != http.StatusOK; time.Sleep(100 * time.Millisecond) {
			if time.Now().After(deadline) {
				c.t.Fatalf("server %d lets no stranger pull", i)
			}
		}
	}
	c.admin(1, http.MethodPut, "/repositories/team%2Fapp", `{"anonymous_pull":false,"immutable_tag_patterns":["v*"]}`, http.StatusOK)
	for i := range c.servers {
		if got := pull(i); got != http.StatusUnauthorized {
			c.t.Errorf("after the withdrawal a stranger's pull from server %d is answered %d", i, got)
		}
	}
}

// TestS3RepositoryListRequests: a page of repositories takes requests only for
// those that have settings, and two or three more.
func TestS3RepositoryListRequests(t *testing.T) {
	t.Parallel()
	bucket := countS3(t)
	p := startServer(t, bucket.config(), "REGISTRY_ADMIN_USERNAME=admin", "REGISTRY_ADMIN_PASSWORD=change-me-please")
	address, err := url.Parse(p.URL)
	if err != nil {
		t.Fatal(err)
	}
	address.User = url.UserPassword("admin", "change-me-please")
	p.URL = address.String()
	layer, _ := tiny(1)
	for n := range 30 {
		pushBlob(t, p, fmt.Sprintf("r%02d", n), sha256Digest(layer), layer)
	}
	for n := range 3 {
		resp, body := do(t, http.MethodPut, fmt.Sprintf("%s/api/v1/repositories/r%02d", p.URL, n*10), []byte(`{"description":"d","anonymous_pull":false,"immutable_tag_patterns":[]}`), "Content-Type", "application/json")
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s\n%s", resp.Status, body)
		}
	}
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(50 * time.Millisecond) { // until the index stands
		got := bucket.count(func() {
			_, body := do(t, http.MethodGet, p.URL+"/api/v1/repositories?limit=50", nil)
			var page struct {
				Items []struct{ Name, Description string }
			}
			if err := json.Unmarshal(body, &page); err != nil || len(page.Items) != 30 || page.Items[10].Description != "d" || page.Items[11].Description != "" {
				t.Errorf("%v: %s", err, body)
			}
		})
		if len(got) <= 5 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("a page takes %d requests, want at most 5:\n%s", len(got), strings.Join(got, "\n"))
		}
	}
}
