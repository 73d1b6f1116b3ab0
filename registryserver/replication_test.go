package main_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	adminclient "github.com/registrykit/terraform-provider-registry/registryserver/client"
)

const destinationPassword = "what the destination wants to hear"

// replicate makes a replication, and returns it.
func replicate(t *testing.T, p *process, name, spec string) adminclient.Replication {
	t.Helper()
	resp, body := do(t, http.MethodPut, p.URL+"/api/v1/replications/"+name, []byte(spec), "Content-Type", "application/json")
	var r adminclient.Replication
	if err := json.Unmarshal(body, &r); err != nil || resp.StatusCode/100 != 2 {
		t.Fatalf("%v: %s %s", err, resp.Status, body)
	}
	return r
}

// replication returns a replication with its status.
func replication(t *testing.T, p *process, name string) adminclient.Replication {
	t.Helper()
	var r adminclient.Replication
	if err := json.Unmarshal(admin(t, p, http.MethodGet, "/replications/"+name, "", http.StatusOK), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// throughTap is a way to a server on which every request is the admin's, for clients
// that have no login.
func throughTap(t *testing.T, p *process) *process {
	t.Helper()
	open := newTap(t, p, func(_ http.ResponseWriter, r *http.Request) bool {
		r.SetBasicAuth(adminUser, adminPassword)
		return false
	})
	return &process{URL: open.URL, Host: strings.TrimPrefix(open.URL, "http://")}
}

// has reports whether a registry has a manifest.
func has(t *testing.T, p *process, repo, reference, digest string) bool {
	t.Helper()
	resp, _ := do(t, http.MethodHead, p.URL+"/v2/"+repo+"/manifests/"+reference, nil, "Accept", tinyType+", application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json")
	return resp.StatusCode == http.StatusOK && resp.Header.Get("Docker-Content-Digest") == digest
}

// TestReplication: what is pushed arrives at another registry: images, indexes and
// what refers to them, and nothing that no rule names.
func TestReplication(t *testing.T) {
	for name, start := range map[string]func(*testing.T) *process{
		"ours": func(t *testing.T) *process { return startServer(t, filesystemConfig(t.TempDir())) },
		"distribution-3": func(t *testing.T) *process {
			return startRegistry(t, tool(t, "distribution"), filesystemConfig(t.TempDir()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			to := start(t)
			from, metrics := webhookServer(t, filesystemConfig(root))
			defer from.stopCleanly(t)
			replicate(t, from, "all", fmt.Sprintf(`{"url":"%s","repositories":["app","app/**","multi","hashes","signed"]}`, to.URL))
			replicate(t, from, "some", fmt.Sprintf(`{"url":"%s/mirror","repositories":["app","tagged"],"tags":["v1*"]}`, to.URL))
			s, source := newShelf(t), throughTap(t, from)
			pushShelf(t, source, s)
			signed, signature := pushSigned(t, source)
			image, referrer := pushLateReferrer(t, source)
			pushTinyTo(t, from, "other", "v1", 1)
			soon(t, "everything to be copied", func() bool { return len(waiting(t, root)) == 0 })

			for repo, tags := range s.tags {
				for tag, artifact := range tags {
					checkArtifact(t, to, repo+":"+tag, artifact)
				}
			}
			checkArtifact(t, to, "signed@"+digestOf(t, signature), signature)
			checkArtifact(t, to, "signed:"+cosignTag(t, signed), signature)
			checkReferrers(t, to, signed, signature)
			checkArtifact(t, to, "mirror/tagged:v1", image)
			checkArtifact(t, to, "mirror/tagged@"+digestOf(t, referrer), referrer)
			for _, tag := range []string{"v1", "v10", "v1-alpine"} {
				checkArtifact(t, to, "mirror/app:"+tag, s.tags["app"][tag])
			}
			for _, absent := range []string{"/v2/mirror/app/manifests/latest", "/v2/mirror/tagged/manifests/next", "/v2/other/manifests/v1"} {
				if resp, _ := do(t, http.MethodGet, to.URL+absent, nil); resp.StatusCode != http.StatusNotFound {
					t.Errorf("GET %s: %s", absent, resp.Status)
				}
			}
			if r := replication(t, from, "all"); r.Status.LastSuccess == nil || r.Status.LastError != "" || r.Status.Waiting != 0 {
				t.Errorf("%+v", r.Status)
			}
			if _, page := do(t, http.MethodGet, metrics, nil); !strings.Contains(string(page), `registry_notifications_events_total{endpoint="replication:all",type="Successes"}`) {
				t.Error("the metrics lack the replication")
			}
		})
	}
}

// pushLateReferrer pushes an image under a tag that is replicated, another that is
// not, and by digest alone what refers to the first.
func pushLateReferrer(t *testing.T, p *process) (subject, referrer v1.Image) {
	t.Helper()
	subject = ociImage(t, 60)
	hash, err := subject.Digest()
	if err != nil {
		t.Fatal(err)
	}
	size, err := subject.Size()
	if err != nil {
		t.Fatal(err)
	}
	referrer, _ = mutate.Subject(ociImage(t, 61), v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: hash, Size: size}).(v1.Image)
	push(t, p, "tagged", "v1", subject)
	push(t, p, "tagged", "next", ociImage(t, 62))
	push(t, p, "tagged", "signature", referrer) // no tag of the rule's; by digest it is pushed below
	raw, err := referrer.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	pushManifest(t, p, "tagged", digestOf(t, referrer), string(types.OCIManifestSchema1), raw)
	return subject, referrer
}

// TestReplicationRetries: a destination that is down, refuses, or wants to be left
// alone gets the image when it is over, also after the death of the server in the
// middle of a copy. A tag arrives as what it is by then, and secrets are nowhere.
func TestReplicationRetries(t *testing.T) {
	t.Parallel()
	to := startServer(t, filesystemConfig(t.TempDir()), "REGISTRY_HTTP_SECRET=its own", "REGISTRY_ADMIN_USERNAME="+adminUser, "REGISTRY_ADMIN_PASSWORD="+destinationPassword)
	to.login(adminUser, destinationPassword)
	var fault, held atomic.Int64
	release := make(chan struct{})
	between := newTap(t, to, func(w http.ResponseWriter, r *http.Request) bool {
		status := int(fault.Load())
		switch {
		case status > 0:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(status)
			return true
		case status < 0 && r.Method == http.MethodPut:
			held.Add(1)
			<-release
		}
		return false
	})
	root := t.TempDir()
	first, metrics := webhookServer(t, filesystemConfig(root))
	spec := fmt.Sprintf(`{"url":%q,"username":%q,"password":"not %s"}`, between.URL, adminUser, destinationPassword)
	replicate(t, first, "dr", spec)
	digest, _ := pushTinyTo(t, first, "app", "v1", 1)
	fails := func(with string) func() bool {
		return func() bool {
			r := replication(t, first, "dr")
			return strings.Contains(r.Status.LastError, with) && r.Status.LastErrorAt != nil && r.Status.Waiting == 1
		}
	}
	soon(t, "the wrong password to be refused", fails("401"))
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		fault.Store(int64(status))
		soon(t, fmt.Sprint("status ", status), fails(fmt.Sprint(status)))
	}
	if _, page := do(t, http.MethodGet, metrics, nil); !strings.Contains(string(page), `registry_notifications_status_total{code="503",endpoint="replication:dr"}`) {
		t.Error("the metrics lack the failures")
	}
	// Now it is held in the middle of its first blob, and the server dies.
	fault.Store(-1)
	replicate(t, first, "dr", strings.Replace(spec, `"not `, `"`, 1))
	soon(t, "the copy to begin", func() bool { return held.Load() > 0 })
	if err := first.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-first.exited
	fault.Store(0)
	close(release)
	if has(t, to, "app", "v1", digest) {
		t.Fatal("the image is there before it was copied")
	}
	endLeases(t, root)
	second, _ := webhookServer(t, filesystemConfig(root))
	defer second.stopCleanly(t)
	soon(t, "the image", func() bool { return has(t, to, "app", "v1", digest) })

	// What a tag was meanwhile, nobody gets.
	fault.Store(http.StatusServiceUnavailable)
	pushTinyTo(t, second, "app", "v1", 2)
	gone, _ := pushTinyTo(t, second, "app", "v2", 3)
	newest, _ := pushTinyTo(t, second, "app", "v1", 4)
	if resp, body := do(t, http.MethodDelete, second.URL+"/v2/app/manifests/"+gone, nil); resp.StatusCode != http.StatusAccepted {
		t.Fatalf("%s %s", resp.Status, body)
	}
	soon(t, "a failure", func() bool { return replication(t, second, "dr").Status.LastError != "" })
	fault.Store(0)
	soon(t, "the newest", func() bool { return has(t, to, "app", "v1", newest) && len(waiting(t, root)) == 0 })
	if !has(t, to, "app", "v1", newest) || has(t, to, "app", "v2", gone) {
		t.Error("the destination has not what the source has")
	}
	for _, p := range []*process{first, second} {
		if strings.Contains(p.output.String(), destinationPassword) {
			t.Errorf("the password is in the log:\n%s", p.output.String())
		}
	}
	withoutText(t, root, destinationPassword)
}

// withoutText fails the test if a file holds a text.
func withoutText(t *testing.T, root, text string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if strings.Contains(string(content), text) {
			t.Errorf("%s holds a secret", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestReplicationBothWays: two registries that replicate to each other come to
// rest, with the same content.
func TestReplicationBothWays(t *testing.T) {
	t.Parallel()
	roots := [2]string{t.TempDir(), t.TempDir()}
	var servers [2]*process
	var written [2]atomic.Int64 // manifests, by the other one
	var taps [2]*tap
	for i := range servers {
		servers[i], _ = webhookServer(t, filesystemConfig(roots[i]))
		defer servers[i].stopCleanly(t)
		taps[i] = newTap(t, servers[i], func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") {
				written[i].Add(1)
			}
			return false
		})
	}
	for i := range servers {
		replicate(t, servers[i], "other", fmt.Sprintf(`{"url":%q,"username":%q,"password":%q}`, taps[1-i].URL, adminUser, adminPassword))
	}
	one, two := index(t, 70), ociImage(t, 71)
	push(t, throughTap(t, servers[0]), "app", "index", one)
	push(t, throughTap(t, servers[1]), "app", "image", two)
	rest := func() bool {
		return len(waiting(t, roots[0])) == 0 && len(waiting(t, roots[1])) == 0 && len(waiting(t, roots[0])) == 0
	}
	soon(t, "both to rest", rest)
	for _, p := range servers {
		if !has(t, p, "app", "index", digestOf(t, one)) || !has(t, p, "app", "image", digestOf(t, two)) {
			t.Error("one lacks what the other has")
		}
	}
	before := [2]int64{written[0].Load(), written[1].Load()}
	push(t, throughTap(t, servers[0]), "app", "index", one) // again
	soon(t, "both to rest", rest)
	if after := [2]int64{written[0].Load(), written[1].Load()}; after != before {
		t.Errorf("a push of what is there wrote %d manifests, %d before", after, before)
	}
}

// TestReplicationTakesOver: a server of a cluster that stops leaves what it has to
// copy to the others.
func TestReplicationTakesOver(t *testing.T) {
	t.Parallel()
	to, bucket := startServer(t, filesystemConfig(t.TempDir())), startS3(t)
	var down atomic.Bool
	between := newTap(t, to, func(w http.ResponseWriter, _ *http.Request) bool {
		if down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return down.Load()
	})
	first, _ := webhookServer(t, bucket.config())
	second, _ := webhookServer(t, bucket.config())
	defer second.stopCleanly(t)
	replicate(t, first, "dr", fmt.Sprintf(`{"url":%q}`, between.URL))
	replication(t, second, "dr") // which looks, and so need not wait for the next look
	here, _ := pushTinyTo(t, first, "app", "v1", 1)
	there, _ := pushTinyTo(t, second, "app", "v2", 2)
	soon(t, "the images of both servers", func() bool { return has(t, to, "app", "v1", here) && has(t, to, "app", "v2", there) })
	down.Store(true)
	left, _ := pushTinyTo(t, first, "app", "v3", 3)
	first.stopCleanly(t)
	down.Store(false)
	third, _ := webhookServer(t, bucket.config()) // which looks for what waits when it starts
	defer third.stopCleanly(t)
	soon(t, "the image of a server that is gone", func() bool { return has(t, to, "app", "v3", left) })
}

// TestReplicationRequests: replication costs a push one request to S3, also where
// there are webhooks, and nothing where nothing is replicated.
func TestReplicationRequests(t *testing.T) {
	t.Parallel()
	hooks, bucket := newReceiver(t), countS3(t)
	hooks.status.Store(http.StatusServiceUnavailable) // nothing is delivered meanwhile
	p, _ := webhookServer(t, bucket.config())
	defer p.stopCleanly(t)
	layer, conf := tiny(1)
	n := 0
	pushAgain := func() {
		n++
		manifest := tinyManifest(conf, layer)
		pushManifest(t, p, "app", fmt.Sprintf("v%d", n), tinyType, fmt.Appendf(manifest[:len(manifest)-1], `,"annotations":{"n":"%d"}}`, n))
	}
	pushTinyTo(t, p, "app", "v0", 1)
	pushAgain()
	without := len(bucket.count(pushAgain))
	replicate(t, p, "elsewhere", fmt.Sprintf(`{"url":"http://%s","repositories":["not/this"]}`, freeAddress(t)))
	pushAgain()
	if other := len(bucket.count(pushAgain)); other != without {
		t.Errorf("%d requests where nothing is replicated, %d without", other, without)
	}
	replicate(t, p, "dr", fmt.Sprintf(`{"url":"http://%s"}`, freeAddress(t)))
	pushAgain()
	alone := len(bucket.count(pushAgain))
	admin(t, p, http.MethodPost, "/webhooks", fmt.Sprintf(`{"name":"ci","url":"%s/ci"}`, hooks.URL), http.StatusCreated)
	pushAgain()
	both := len(bucket.count(pushAgain))
	if alone != without+1 || both != alone {
		t.Errorf("a push takes %d requests, %d with a replication, %d with a webhook, too", without, alone, both)
	}
}
