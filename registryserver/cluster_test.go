package main_test

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestCluster breaks what several servers on one bucket stand on, while clients
// push and pull through a load balancer that sends each request to the next
// server. After each case, whatever was acknowledged is there.
func TestCluster(t *testing.T) {
	t.Parallel()
	t.Run("crowds and crashes", func(t *testing.T) {
		t.Parallel()
		c := startCluster(t)
		t.Run("pushes at once", func(t *testing.T) { clusterPushes(t, c) })
		t.Run("kills", func(t *testing.T) { clusterKills(t, c) })
		t.Run("nodes pull at once", func(t *testing.T) { clusterPulls(t, c) })
	})
	t.Run("restarts", func(t *testing.T) {
		t.Parallel()
		c := startCluster(t, "REGISTRY_HTTP_SECRET=first")
		t.Run("one after another", func(t *testing.T) {
			clusterRestarts(t, c, []string{"REGISTRY_HTTP_SECRET=first", "REGISTRY_HTTP_PREVIOUSSECRETS=[second]"})
		})
		t.Run("another secret", func(t *testing.T) {
			steps := [][]string{{"REGISTRY_HTTP_SECRET=second", "REGISTRY_HTTP_PREVIOUSSECRETS=[first]"}}
			if !testing.Short() {
				steps = append(steps, []string{"REGISTRY_HTTP_SECRET=second"})
			}
			clusterRestarts(t, c, steps...)
		})
	})
	t.Run("Redis", func(t *testing.T) {
		t.Parallel()
		redis := startRedis(t)
		c := startCluster(t, "REGISTRY_REDIS_ADDR="+redis.addr)
		clusterRedis(t, c, redis)
	})
	t.Run("faults of S3", func(t *testing.T) {
		t.Parallel()
		c := startCluster(t)
		t.Run("in threes", func(t *testing.T) { clusterFaults(t, c) })
		t.Run("outage", func(t *testing.T) { clusterOutage(t, c) })
	})
}

// long is how much of something the long form has, and short the short one.
func long[T any](long, short T) T {
	if testing.Short() {
		return short
	}
	return long
}

func clusterPushes(t *testing.T, c *cluster) {
	var (
		left    = atomic.Int64{}
		clients sync.WaitGroup
		p       = pusher{cluster: c, tries: 1}
	)
	left.Store(int64(long(1000, 100)))
	began := time.Now()
	for range long(50, 16) {
		clients.Go(func() {
			for n := left.Add(-1); n >= 0; n = left.Add(-1) {
				tag := fmt.Sprintf("shared%d", n%3)
				if n%2 == 0 {
					tag = fmt.Sprintf("t%d", n)
				}
				if err := p.push(t.Context(), fmt.Sprintf("crowd/app%d", n%4), tag, imageSize(int(n))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	clients.Wait()
	t.Logf("pushed in %s", time.Since(began))
	c.check(t)
}

func clusterKills(t *testing.T, c *cluster) {
	stop := c.load(t, pusher{cluster: c, tries: 8}, "killed")
	for range long(30, 4) {
		time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond)
		c.kill(rand.IntN(instances))
	}
	stop()
	c.check(t)
}

func clusterRestarts(t *testing.T, c *cluster, steps ...[]string) {
	stop := c.load(t, pusher{cluster: c, tries: 1}, "restarted")
	for _, env := range steps {
		for range long(3, 1) {
			c.roll(env...)
		}
	}
	stop()
	for _, s := range c.servers {
		if strings.Contains(s.output.String(), "REGISTRY_HTTP_SECRET") {
			t.Error("a server warns of the secrets")
		}
	}
	if n := c.failed.Load(); n > 0 {
		t.Errorf("%d requests failed, none should", n)
	}
	c.check(t)
}

// clusterRedis takes away what the servers share beside the bucket, while clients
// push and pull: no request fails for it.
func clusterRedis(t *testing.T, c *cluster, redis *redisServer) {
	for range long(5, 1) {
		stop := c.load(t, pusher{cluster: c, tries: 1}, "redis")
		for _, harm := range []struct {
			what string
			do   func()
		}{
			{"all is well", func() {}},
			{"it is emptied", func() { redis.flush(t) }},
			{"it hangs", func() { redis.signal(t, syscall.SIGSTOP) }},
			{"it goes on", func() { redis.signal(t, syscall.SIGCONT) }},
			{"it is killed", redis.kill},
			{"it is back, and empty", func() { redis.start(t) }},
		} {
			t.Log(harm.what)
			harm.do()
			time.Sleep(long(5*time.Second, time.Second))
		}
		stop()
	}
	if n := c.failed.Load(); n > 0 {
		t.Errorf("%d requests failed, none should", n)
	}
	c.check(t)
}

// clusterFaults fails writes in every way, at first such that tries again
// succeed. In the long form it then fails some for good, as far as one request
// is concerned.
func clusterFaults(t *testing.T, c *cluster) {
	run := func(kind string, lasts time.Duration, plan func(*http.Request) s3Fault) {
		t.Logf("%s", kind)
		c.bucket.set(plan)
		stop := c.load(t, pusher{cluster: c, tries: 12, fault: onlyUnavailable(t)}, "faults")
		time.Sleep(lasts)
		c.bucket.set(nil)
		stop()
		c.check(t)
	}
	changes := func(r *http.Request) bool { return r.Method != http.MethodGet && r.Method != http.MethodHead }
	threes := []s3Fault{notApplied, applied, appliedLater}
	run("each fifth write fails", long(time.Minute, 3*time.Second), func(r *http.Request) s3Fault {
		if changes(r) && rand.IntN(5) == 0 {
			return threes[rand.IntN(len(threes))]
		}
		return passed
	})
	began := time.Now()
	run("bursts of SlowDown, and stalls", long(time.Minute, 5*time.Second), func(*http.Request) s3Fault {
		switch time.Since(began) / time.Second % 6 {
		case 1:
			return slowDown
		case 3:
			return stalled
		}
		return passed
	})
	if testing.Short() {
		return
	}
	run("some writes fail each time they are tried", 2*time.Minute, func(r *http.Request) s3Fault {
		h := fnv.New32()
		_, _ = h.Write([]byte(r.Header.Get("Amz-Sdk-Invocation-Id"))) // the same for all tries
		if n := h.Sum32() % 100; changes(r) && n < 9 {
			return threes[n%3]
		}
		return passed
	})
}

// onlyUnavailable fails the test for a failure that is not 503, with a time to
// try again.
func onlyUnavailable(t *testing.T) func(error) {
	t.Helper()
	return func(err error) {
		s, ok := errors.AsType[*statusError](err)
		if !ok || s.status != http.StatusServiceUnavailable || s.retryAfter == "" {
			t.Errorf("a fault of S3 became: %v", err)
		}
	}
}

func clusterOutage(t *testing.T, c *cluster) {
	var unavailable atomic.Int64
	fault := onlyUnavailable(t)
	stop := c.load(t, pusher{cluster: c, tries: 100, fault: func(err error) { unavailable.Add(1); fault(err) }}, "outage")
	time.Sleep(time.Second)
	c.bucket.set(func(*http.Request) s3Fault { return notApplied })
	for end := time.Now().Add(long(3*time.Minute, 15*time.Second)); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		for _, s := range c.servers {
			if resp, _ := do(t, http.MethodGet, s.URL+"/readyz", nil); resp.StatusCode != http.StatusOK {
				t.Errorf("readyz during the outage: %s", resp.Status)
			}
		}
	}
	c.bucket.set(nil)
	time.Sleep(time.Second)
	stop()
	if unavailable.Load() == 0 && !testing.Short() {
		t.Error("no request heard of the outage")
	}
	t.Logf("%d requests were answered with 503", unavailable.Load())
	c.check(t)
}

// clusterPulls: a new image comes to 200 nodes at the same time.
func clusterPulls(t *testing.T, c *cluster) {
	p := pusher{cluster: c, tries: 1}
	const repo, tag, nodes = "nodes/app", "v1", 200
	for range 3 { // the last one counts
		if err := p.push(t.Context(), repo, tag, long(1<<20, 100<<10)); err != nil {
			t.Fatal(err)
		}
	}
	c.mu.Lock()
	puts := c.tags[repo][tag]
	manifest := c.acked["/v2/"+repo+"/manifests/"+puts[len(puts)-1].digest]
	var blobs []string
	for path := range c.acked {
		if len(path) > 64 && bytes.Contains(manifest, []byte(path[len(path)-64:])) {
			blobs = append(blobs, path)
		}
	}
	c.mu.Unlock()
	if len(blobs) != 2 {
		t.Fatalf("the image has %q", blobs)
	}
	before, began := c.bucket.requests.Load(), time.Now()
	var (
		all      sync.WaitGroup
		requests atomic.Int64
	)
	for range nodes {
		all.Go(func() {
			for _, path := range append([]string{"/v2/" + repo + "/manifests/" + tag}, blobs...) {
				if _, err := c.pull(t.Context(), c.url+path); err != nil {
					t.Error(err)
				}
				requests.Add(1)
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	t.Logf("%d nodes pulled in %s: %.0f requests/s, %d requests to S3", nodes, took.Round(time.Millisecond),
		float64(requests.Load())/took.Seconds(), c.bucket.requests.Load()-before)
	c.check(t)
}
