package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

func TestRetries(t *testing.T) {
	for _, tc := range []struct {
		status, tries int
	}{{429, 5}, {502, 5}, {503, 5}, {500, 1}, {504, 1}, {401, 1}, {403, 1}, {404, 1}, {409, 1}, {412, 1}} {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
			t.Run(fmt.Sprint(method, tc.status), func(t *testing.T) {
				var keys []string
				c, waits := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
					keys = append(keys, r.Header.Get("Idempotency-Key"))
					writeError(w, tc.status, ErrorItem{Code: oci.CodeUnknown})
				}, nil)
				if err := call(t.Context(), c, method); err == nil {
					t.Fatal("no error")
				}
				if len(keys) != tc.tries || len(*waits) != tc.tries-1 {
					t.Fatalf("%d tries, %d waits; want %d tries", len(keys), len(*waits), tc.tries)
				}
				for i, d := range *waits {
					if d < minWait/2 || d > min(maxWait, minWait<<i) {
						t.Errorf("wait %d is %s", i, d)
					}
				}
				for _, k := range keys {
					if k != keys[0] {
						t.Error("a repeated request bears another key")
					}
				}
			})
		}
	}
}

func call(ctx context.Context, c *Client, method string) (err error) {
	switch method {
	case "GET":
		_, err = c.GetUser(ctx, "ci")
	case "POST":
		_, err = c.CreateUser(ctx, UserSpec{Username: "ci"})
	case "PUT":
		_, err = c.UpdateUser(ctx, UserSpec{Username: "ci"}, "")
	case "DELETE":
		err = c.DeleteUser(ctx, "ci", "")
	}
	return err
}

func TestRetrySucceeds(t *testing.T) {
	var n int
	c, waits := newTestClient(t, func(w http.ResponseWriter, _ *http.Request) {
		if n++; n < 3 {
			w.Header().Set("Retry-After", "20")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		writeJSON(w, 200, Server{Version: "1.2"})
	}, nil)
	s, err := c.Server(t.Context())
	if err != nil || s.Version != "1.2" {
		t.Fatal(s, err)
	}
	if len(*waits) != 2 || (*waits)[0] != 20*time.Second {
		t.Errorf("waits %v", *waits)
	}
}

func TestLongRetryAfterIsAnError(t *testing.T) {
	c, waits := newTestClient(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		writeError(w, 429, ErrorItem{Code: oci.CodeTooManyRequests, Message: "too many failures"})
	}, nil)
	_, err := c.Server(t.Context())
	var e *Error
	if !errors.As(err, &e) || e.RetryAfter != time.Hour || len(*waits) != 0 {
		t.Errorf("got %v after %d waits", err, len(*waits))
	}
}

// TestDeleteAfterLostAnswer: the first try was carried out and its answer
// lost; the 404 of the second means success.
func TestDeleteAfterLostAnswer(t *testing.T) {
	for _, tc := range []struct {
		first func(http.ResponseWriter)
		ok    bool
	}{
		{func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, true},
		{func(w http.ResponseWriter) { w.WriteHeader(502) }, true},
		{func(w http.ResponseWriter) { w.WriteHeader(429) }, false},
	} {
		n := 0
		c, _ := newTestClient(t, func(w http.ResponseWriter, _ *http.Request) {
			if n++; n == 1 {
				tc.first(w)
				return
			}
			writeError(w, 404, ErrorItem{oci.CodeNotFound, "no user", Missing{"user", "ci"}})
		}, nil)
		if err := c.DeleteUser(t.Context(), "ci", ""); (err == nil) != tc.ok {
			t.Errorf("got %v, want success %v", err, tc.ok)
		}
	}
}

func TestNoRetries(t *testing.T) {
	n := 0
	c, _ := newTestClient(t, func(w http.ResponseWriter, _ *http.Request) { n++; w.WriteHeader(503) },
		func(cfg *Config) { cfg.MaxRetries = -1 })
	if _, err := c.Server(t.Context()); err == nil || n != 1 {
		t.Errorf("got %v after %d tries", err, n)
	}
}

func TestRefusedConnection(t *testing.T) {
	c, waits := newTestClient(t, nil, nil)
	c.base = "http://" + refusingAddress(t) + BasePath
	_, err := c.CreateUser(t.Context(), UserSpec{Username: "ci"})
	if err == nil || !strings.Contains(err.Error(), "no registry answers at") || len(*waits) != 4 {
		t.Errorf("got %v after %d waits", err, len(*waits))
	}
}

// TestReadyTimeout: a server that starts late is waited for, and only until it
// has answered once.
func TestReadyTimeout(t *testing.T) {
	addr := refusingAddress(t)
	c, err := New(Config{Endpoint: "http://" + addr, ReadyTimeout: time.Minute, MaxRetries: -1})
	if err != nil {
		t.Fatal(err)
	}
	var waits int
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, 200, Server{}) })}
	c.sleep = func(context.Context, time.Duration) error {
		if waits++; waits == 20 {
			l, err := net.Listen("tcp", addr)
			if err != nil {
				return err
			}
			go func() { _ = srv.Serve(l) }()
		}
		return nil
	}
	if _, err := c.Server(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = srv.Close()
	if _, err := c.Server(t.Context()); err == nil || waits > 20 {
		t.Errorf("after the first answer: %v, %d waits", err, waits)
	}
}

func TestReadyTimeoutEnds(t *testing.T) {
	var tries atomic.Int32
	c, _ := newTestClient(t, func(w http.ResponseWriter, _ *http.Request) { tries.Add(1); w.WriteHeader(503) },
		func(cfg *Config) { cfg.ReadyTimeout = 100 * time.Millisecond; cfg.MaxRetries = 1 })
	c.sleep = func(context.Context, time.Duration) error { time.Sleep(10 * time.Millisecond); return nil }
	start := time.Now()
	if _, err := c.Server(t.Context()); err == nil || tries.Load() < 3 || time.Since(start) > 10*time.Second {
		t.Errorf("got %v after %d tries and %s", err, tries.Load(), time.Since(start))
	}
}

func TestContextEndsRetries(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	c, _ := newTestClient(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, nil)
	why := errors.New("terraform was interrupted")
	c.sleep = func(ctx context.Context, d time.Duration) error { cancel(why); return sleep(ctx, d) }
	if _, err := c.Server(ctx); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	if _, err := c.Server(ctx); !errors.Is(err, why) {
		t.Errorf("with an ended context: %v", err)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for v, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-1": 0, "x": 0, "99999999999999": 86400 * 365 * time.Second,
		"Thu, 01 Jan 2026 00:01:00 GMT": time.Minute, "Thu, 01 Jan 2025 00:01:00 GMT": 0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {v}}, now); got != want {
			t.Errorf("%q: got %s, want %s", v, got, want)
		}
	}
}

// TestDiagnosis: what is known about a server that does not answer is part of the error, and ends a wait that is in vain.
func TestDiagnosis(t *testing.T) {
	asked := 0
	diagnose := func(cfg *Config) {
		cfg.ReadyTimeout, cfg.MaxRetries = time.Hour, -1
		cfg.Diagnose = func(context.Context) Diagnosis {
			asked++
			return Diagnosis{Reason: "the instance has no secret", Hopeless: asked >= 3}
		}
	}
	unavailable := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }
	c, waits := newTestClient(t, unavailable, diagnose)
	if _, err := c.Server(t.Context()); err == nil || !strings.HasSuffix(err.Error(), "\n\nthe instance has no secret") || len(*waits) != 2 {
		t.Errorf("got %v after %d waits", err, len(*waits))
	}

	asked = 3
	c, waits = newTestClient(t, nil, diagnose)
	c.base = "http://" + refusingAddress(t) + BasePath
	if _, err := c.Server(t.Context()); err == nil || !strings.Contains(err.Error(), "no registry answers at") || !strings.HasSuffix(err.Error(), "no secret") || len(*waits) != 0 {
		t.Errorf("got %v after %d waits", err, len(*waits))
	}

	asked = 0
	c, _ = newTestClient(t, func(w http.ResponseWriter, _ *http.Request) { writeError(w, 403, ErrorItem{Code: oci.CodeDenied}) }, diagnose)
	if _, err := c.Server(t.Context()); err == nil || strings.Contains(err.Error(), "no secret") || asked > 0 {
		t.Errorf("a server that answers was diagnosed: %v", err)
	}
}
