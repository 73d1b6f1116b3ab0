package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
)

const collectedServer = "admin: {username: root, password: correct-horse}\nhttp: {secret: s}\n"

// background runs what runs beside the listeners until the test ends.
func (s *Server) background(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, len(s.tasks))
	for _, task := range s.tasks {
		go func() { ended <- ignoreEnd(task(ctx)) }()
	}
	t.Cleanup(func() {
		stop()
		for range s.tasks {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
}

// call asks the admin API as root.
func (s *Server) call(t *testing.T, method, path, body string, want int) []byte {
	t.Helper()
	w := s.request(method, "/api/v1"+path, basic("root", "correct-horse"), "application/json", body)
	if w.Code != want {
		t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	return w.Body.Bytes()
}

func (s *Server) collected(t *testing.T) []client.Collection {
	t.Helper()
	var page client.Page[client.Collection]
	if err := json.Unmarshal(s.call(t, "GET", "/collections", "", 200), &page); err != nil {
		t.Fatal(err)
	}
	return page.Items
}

// litter pushes a blob that no manifest needs, and returns how large it is.
func (s *Server) litter(t *testing.T, n int) int {
	t.Helper()
	content := fmt.Sprintf("litter %04d", n)
	w := s.request("POST", "/v2/app/blobs/uploads/?digest="+oci.FromBytes([]byte(content)).String(), basic("root", "correct-horse"), "application/octet-stream", content)
	if w.Code != http.StatusCreated {
		t.Fatalf("push: %d %s", w.Code, w.Body)
	}
	return len(content)
}

// TestCollectSchedule: a collection runs when the last one began an interval ago,
// whoever ran it, and is counted; a storage that is not exclusive is left alone.
func TestCollectSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := newTestServer(t, collectedServer+"gc: {enabled: true, interval: 10m, grace: 0s}")
		s.background(t)
		runs := func(result string) float64 { return testutil.ToFloat64(s.metrics.gcRuns.WithLabelValues(result)) }
		time.Sleep(time.Second)
		synctest.Wait() // it is marked as exclusive by then
		size := s.litter(t, 1)
		if len(s.collected(t)) != 0 || runs("ok") != 0 {
			t.Fatal("there is a collection already")
		}
		time.Sleep(2 * time.Minute) // the first tick is after one
		synctest.Wait()
		reports := s.collected(t)
		if len(reports) != 1 || reports[0].Trigger != "schedule" || reports[0].Error != "" || len(reports[0].Next) != 2 || runs("ok") != 1 {
			t.Fatalf("after the first tick: %+v, %v runs", reports, runs("ok"))
		}
		time.Sleep(8 * time.Minute)
		synctest.Wait()
		if n := len(s.collected(t)); n != 1 {
			t.Errorf("before the interval has passed there are %d reports", n)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if reports = s.collected(t); len(reports) != 2 || reports[0].DeletedBytes != int64(size) || runs("ok") != 2 {
			t.Errorf("after the interval: %+v, %v runs", reports, runs("ok"))
		}
		// One by hand puts the next one off.
		time.Sleep(5 * time.Minute)
		s.call(t, "POST", "/collections", `{}`, 202)
		time.Sleep(7 * time.Minute)
		synctest.Wait()
		if reports = s.collected(t); len(reports) != 3 || reports[0].Trigger != "api" {
			t.Errorf("after one by hand: %+v", reports)
		}
		for name, metric := range map[string]float64{
			"blobs":   testutil.ToFloat64(s.metrics.gcDeleted.WithLabelValues("blob")) - 1,
			"layers":  testutil.ToFloat64(s.metrics.gcDeleted.WithLabelValues("layer")) - 1,
			"bytes":   testutil.ToFloat64(s.metrics.gcBytes) - float64(size),
			"running": testutil.ToFloat64(s.metrics.gcRunning),
			"last":    testutil.ToFloat64(s.metrics.gcLast) - float64(reports[0].Ended.UnixNano())/1e9,
		} {
			if metric > 1e-3 || metric < -1e-3 {
				t.Errorf("the metric of %s is wrong by %v", name, metric)
			}
		}
		s.call(t, "DELETE", "/storage/exclusive", "", 204)
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		if len(s.collected(t)) != 3 || runs("skipped") == 0 || runs("failed") != 0 || !strings.Contains(log.String(), "no garbage was collected") {
			t.Errorf("without the mark: %d reports, %v skipped, %v failed", len(s.collected(t)), runs("skipped"), runs("failed"))
		}
	})
}

// TestCollectUnscheduled: without gc.enabled nothing runs by itself.
func TestCollectUnscheduled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newTestServer(t, collectedServer+"gc: {interval: 1m}")
		s.background(t)
		time.Sleep(time.Hour)
		synctest.Wait()
		if reports := s.collected(t); len(reports) != 0 {
			t.Errorf("reports: %+v", reports)
		}
	})
}

// TestCollectMetrics: a dry run deletes nothing, a failure is no success.
func TestCollectMetrics(t *testing.T) {
	m := newMetrics("x")
	deleted := registry.CollectReport{Deleted: []registry.UnusedCount{{Kind: "blob", Count: 3, Bytes: 30}}}
	dry := deleted
	dry.DryRun = true
	m.collected(dry, nil)
	if n := testutil.ToFloat64(m.gcBytes); n != 0 || testutil.ToFloat64(m.gcLast) != 0 {
		t.Errorf("a dry run counts as %v bytes", n)
	}
	m.collected(deleted, errors.New("the storage is down"))
	m.collected(registry.CollectReport{}, oci.Errorf(oci.CodeConflict, "another runs"))
	if testutil.ToFloat64(m.gcLast) != 0 || testutil.ToFloat64(m.gcBytes) != 30 || testutil.ToFloat64(m.gcDeleted.WithLabelValues("blob")) != 3 {
		t.Error("a collection that failed is not counted as one")
	}
	for result, want := range map[string]float64{"ok": 1, "failed": 1, "skipped": 1} {
		if n := testutil.ToFloat64(m.gcRuns.WithLabelValues(result)); n != want {
			t.Errorf("%v runs are %s, want %v", n, result, want)
		}
	}
}

// TestCollectEvicts: a collection of the schedule holds caches to the bounds that they
// have then, and its report and the metrics say so.
func TestCollectEvicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newTestServer(t, collectedServer+"gc: {enabled: true, interval: 10m, grace: 0s}")
		s.background(t)
		time.Sleep(time.Second)
		synctest.Wait()
		s.litter(t, 1)
		const config = "litter 0001"
		image := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/x","digest":%q,"size":%d},"layers":[]}`, oci.MediaTypeImageManifest, oci.FromBytes([]byte(config)), len(config))
		for _, repo := range []string{"hub/app", "hubs/app"} {
			s.request("POST", "/v2/"+repo+"/blobs/uploads/?digest="+oci.FromBytes([]byte(config)).String(), basic("root", "correct-horse"), "application/octet-stream", config)
			if w := s.request("PUT", "/v2/"+repo+"/manifests/v1", basic("root", "correct-horse"), oci.MediaTypeImageManifest, image); w.Code != http.StatusCreated {
				t.Fatalf("push: %d %s", w.Code, w.Body)
			}
		}
		s.call(t, "PUT", "/proxy-caches/hub", `{"upstream_url":"https://hub.example.com","max_size_bytes":100}`, 201)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		size := int64(len(image) + len(config))
		reports := s.collected(t)
		if want := (client.CacheUsage{Prefix: "hub", MaxBytes: 100, EvictedImages: 1, EvictedBytes: size}); len(reports) != 1 || len(reports[0].Caches) != 1 || reports[0].Caches[0] != want {
			t.Fatalf("%+v, want %+v", reports, want)
		}
		metric := func(prefix string) [3]float64 {
			m := s.metrics
			return [3]float64{testutil.ToFloat64(m.cacheBytes.WithLabelValues(prefix)), testutil.ToFloat64(m.evictedImages.WithLabelValues(prefix)), testutil.ToFloat64(m.evictedBytes.WithLabelValues(prefix))}
		}
		if got := metric("hub"); got != [3]float64{0, 1, float64(size)} {
			t.Errorf("metrics: %v", got)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if reports = s.collected(t); len(reports) != 2 || reports[0].Caches[0].EvictedImages != 0 || metric("hub")[1] != 1 {
			t.Errorf("what was evicted is counted again: %+v", reports)
		}
		if tags := s.request("GET", "/v2/hubs/app/tags/list", basic("root", "correct-horse"), "", ""); !strings.Contains(tags.Body.String(), "v1") {
			t.Errorf("of another repository: %s", tags.Body)
		}
	})
}

// TestCollectAPI: the requests of the admin API about collections.
func TestCollectAPI(t *testing.T) {
	s, _ := newTestServer(t, collectedServer+"gc: {grace: 0s}")
	s.call(t, "POST", "/users", `{"username":"joe","password":"a password of joe","policies":["read-write"]}`, 201)
	for _, c := range [][2]string{{"GET", "/collections"}, {"POST", "/collections"}, {"GET", "/storage/exclusive"}, {"PUT", "/storage/exclusive"}, {"DELETE", "/storage/exclusive"}} {
		if w := s.request(c[0], "/api/v1"+c[1], basic("joe", "a password of joe"), "application/json", "{}"); w.Code != http.StatusForbidden {
			t.Errorf("%s %s by one who is no admin: %d", c[0], c[1], w.Code)
		}
	}
	exclusive := func(want bool, by string) {
		t.Helper()
		var mark client.Exclusive
		if err := json.Unmarshal(s.call(t, "GET", "/storage/exclusive", "", 200), &mark); err != nil || mark.Exclusive != want || mark.By != by {
			t.Errorf("the mark is %+v, %v", mark, err)
		}
	}
	exclusive(false, "")
	if body := string(s.call(t, "POST", "/collections", `{}`, 409)); !strings.Contains(body, "PUT /api/v1/storage/exclusive") {
		t.Errorf("without the mark: %s", body)
	}
	s.call(t, "PUT", "/storage/exclusive", "", 204)
	exclusive(true, "api")
	s.call(t, "POST", "/collections", `{"unknown": true}`, 400)
	s.call(t, "PATCH", "/collections", `{}`, 405)

	s.litter(t, 1)
	s.call(t, "POST", "/collections", `{"dry_run": true, "delete_untagged": true}`, 202)
	if body := string(s.call(t, "POST", "/collections", `{}`, 409)); !strings.Contains(body, "already") { // nothing runs yet: the first waits
		t.Errorf("two at once: %s", body)
	}
	s.background(t)
	var reports []client.Collection
	waitFor(t, "the dry run", func() bool {
		reports = s.collected(t)
		return len(reports) == 1 && !reports[0].Ended.IsZero()
	})
	if r := reports[0]; !r.DryRun || !r.Untagged || r.ID == "" || r.Trigger != "api" || len(r.Next) != 2 || len(r.Examples) != 2 || r.Blobs != 1 || r.Repositories != 1 {
		t.Errorf("the dry run: %+v", r)
	}
	s.call(t, "POST", "/collections", `{}`, 202)
	waitFor(t, "the collection", func() bool {
		reports = s.collected(t)
		return len(reports) == 2 && !reports[1].DryRun && !reports[1].Ended.IsZero() // what runs comes first
	})
	if r := reports[1]; r.DryRun || r.Untagged || r.ID == "" || r.Error != "" || r.Deleted == nil || len(r.Next) != 2 {
		t.Errorf("the collection: %+v", r)
	}
	s.call(t, "DELETE", "/storage/exclusive", "", 204)
	exclusive(false, "")

	readOnly, _ := newTestServer(t, collectedServer+"storage: {maintenance: {readonly: {enabled: true}}}")
	readOnly.call(t, "POST", "/collections", `{}`, 409)
	readOnly.call(t, "PUT", "/storage/exclusive", "", 409)
	readOnly.call(t, "DELETE", "/storage/exclusive", "", 409)
	if reports := readOnly.collected(t); len(reports) != 0 {
		t.Errorf("a read-only server has %+v", reports)
	}
}

// TestCollectCannotBegin: who asked for a collection that does not come to pass
// finds out why under its id.
func TestCollectCannotBegin(t *testing.T) {
	for _, x := range []struct{ record, value, why string }{
		{"gc/lease", `{"version":1,"id":"of-another","beat":1}`, "of-another"},
		{"proxy-caches", `{"version":99}`, "format 99"},
	} {
		t.Run(x.record, func(t *testing.T) {
			s, _ := newTestServer(t, collectedServer)
			s.background(t)
			s.call(t, "PUT", "/storage/exclusive", "", 204)
			file := filepath.Join(s.config.Storage.Filesystem.RootDirectory, "registrykit", "v1", filepath.FromSlash(x.record))
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(x.value), 0o600); err != nil {
				t.Fatal(err)
			}
			var started client.CollectionStarted
			if err := json.Unmarshal(s.call(t, "POST", "/collections", `{"dry_run": false}`, 202), &started); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "the end of it", func() bool {
				all := s.collected(t)
				return len(all) == 1 && !all[0].Ended.IsZero()
			})
			if r := s.collected(t)[0]; started.ID == "" || r.ID != started.ID || r.Trigger != "api" || !strings.Contains(r.Error, x.why) {
				t.Errorf("%q was asked for: %+v", started.ID, r)
			}
		})
	}
}
