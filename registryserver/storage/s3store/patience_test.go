package s3store_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/s3store"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

// operations are all that a store does, each on what is there already.
func operations(s storagetest.Store, d oci.Digest, partial []byte) map[string]func(t *testing.T) error {
	return map[string]func(t *testing.T) error{
		"get": func(t *testing.T) error { _, err := s.Records.Get(t.Context(), "dir/there"); return err },
		"put": func(t *testing.T) error {
			_, err := s.Records.Put(t.Context(), "dir/put", []byte("x"), storage.Any)
			return err
		},
		"delete": func(t *testing.T) error { return s.Records.Delete(t.Context(), "dir/delete", storage.Any) },
		"list": func(t *testing.T) error {
			for _, err := range s.Records.List(t.Context(), "dir/", "") {
				return err
			}
			return errors.New("nothing is there")
		},
		"stat": func(t *testing.T) error { _, err := s.Blobs.Stat(t.Context(), d); return err },
		"open": func(t *testing.T) error {
			r, err := s.Blobs.Open(t.Context(), d, 0)
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = io.ReadAll(r)
			return err
		},
		"small upload": func(t *testing.T) error { return upload(t, s.Blobs, content(2, 5000)) },
		"large upload": func(t *testing.T) error { return upload(t, s.Blobs, content(3, 12<<20)) },
		"resume":       func(t *testing.T) error { _, err := s.Blobs.ResumeUpload(t.Context(), partial); return err },
	}
}

// upload pushes as POST ?digest= does, and gives up as it does.
func upload(t *testing.T, b storage.Blobs, all []byte) error {
	t.Helper()
	up, err := b.StartUpload(t.Context())
	if err != nil {
		return err
	}
	up.Expect(oci.FromBytes(all))
	if _, err := up.ReadFrom(bytes.NewReader(all)); err != nil {
		return errors.Join(err, up.Close())
	}
	_, err = up.Commit(t.Context(), oci.FromBytes(all))
	return err
}

// faulty answers instead of the S3 server where fault says so.
func faulty(t *testing.T, conf *s3store.Config, fault func(w http.ResponseWriter, r *http.Request) bool) {
	t.Helper()
	proxy := forward(t, conf.RegionEndpoint)
	conf.RegionEndpoint = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !fault(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>injected</Message></Error>", code)
}

// TestPatience: what S3 fails for a moment succeeds; what it goes on failing is
// storage.ErrUnreachable, soon enough for whoever waits, and never anything else.
func TestPatience(t *testing.T) {
	t.Parallel()
	for _, fault := range []struct {
		name    string
		do      func(w http.ResponseWriter, r *http.Request)
		passing bool // fails each second request only
	}{
		{"SlowDown", func(w http.ResponseWriter, _ *http.Request) { refuse(w, 503, "SlowDown") }, false},
		{"429", func(w http.ResponseWriter, _ *http.Request) { refuse(w, 429, "TooManyRequests") }, false},
		{"InternalError", func(w http.ResponseWriter, _ *http.Request) { refuse(w, 500, "InternalError") }, false},
		{"a proxy's 502", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }, false},
		{"connections break", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false},
		{"no answer", func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}, false},
		{"SlowDown now and then", func(w http.ResponseWriter, _ *http.Request) { refuse(w, 503, "SlowDown") }, true},
		{"connections break now and then", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true},
	} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			conf := config(t)
			var on, n atomic.Int64
			faulty(t, &conf, func(w http.ResponseWriter, r *http.Request) bool {
				if on.Load() == 0 || fault.passing && n.Add(1)%2 == 0 {
					return false
				}
				fault.do(w, r)
				return true
			})
			s := open(t, conf)
			impatient := s
			if !fault.passing {
				conf.Patience = 500 * time.Millisecond
				impatient = open(t, conf)
			}
			info, err := s.Blobs.Put(t.Context(), content(1, 1000))
			must(t, err)
			_, err = s.Records.Put(t.Context(), "dir/there", []byte("x"), storage.Any)
			must(t, err)
			partial := add(t, s.Blobs, begin(t, s.Blobs), []byte("part"))
			on.Store(1)
			for name, do := range operations(impatient, info.Digest, partial) {
				began := time.Now()
				err := do(t)
				took := time.Since(began)
				switch {
				case fault.passing && err != nil:
					t.Errorf("%s: %v", name, err)
				case fault.passing:
				case !errors.Is(err, storage.ErrUnreachable) || !errors.Is(err, storage.ErrUnavailable) || oci.ErrorCode(err) != oci.CodeUnavailable:
					t.Errorf("%s: %v", name, err)
				case took > 20*time.Second:
					t.Errorf("%s took %s", name, took)
				}
			}
			on.Store(0)
			for name, do := range operations(s, info.Digest, partial) {
				if err := do(t); err != nil {
					t.Errorf("%s, once all is well: %v", name, err)
				}
			}
		})
	}
}

// TestStall: two seconds without an answer are nobody's error.
func TestStall(t *testing.T) {
	t.Parallel()
	conf := config(t)
	var until atomic.Int64
	faulty(t, &conf, func(http.ResponseWriter, *http.Request) bool {
		time.Sleep(time.Until(time.UnixMilli(until.Load())))
		return false
	})
	s := open(t, conf)
	info, err := s.Blobs.Put(t.Context(), content(1, 1000))
	must(t, err)
	_, err = s.Records.Put(t.Context(), "dir/there", []byte("x"), storage.Any)
	must(t, err)
	partial := add(t, s.Blobs, begin(t, s.Blobs), []byte("part"))
	until.Store(time.Now().Add(2 * time.Second).UnixMilli())
	for name, do := range operations(s, info.Digest, partial) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			must(t, do(t))
		})
	}
}

// TestBrokenAnswer: half an answer is a fault of S3, not a short object.
func TestBrokenAnswer(t *testing.T) {
	t.Parallel()
	conf := config(t)
	var on atomic.Bool
	faulty(t, &conf, func(w http.ResponseWriter, r *http.Request) bool {
		if !on.Load() || r.Method != http.MethodGet {
			return false
		}
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write(bytes.Repeat([]byte("x"), 500))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	s := open(t, conf)
	info, err := s.Blobs.Put(t.Context(), content(1, 1000))
	must(t, err)
	on.Store(true)
	r, err := s.Blobs.Open(t.Context(), info.Digest, 0)
	must(t, err)
	defer r.Close()
	if got, err := io.ReadAll(r); !errors.Is(err, storage.ErrUnreachable) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	if _, err := s.Records.Get(t.Context(), "dir/there"); !errors.Is(err, storage.ErrUnreachable) {
		t.Errorf("get: %v", err)
	}
}
