package server

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// readiness is what /readyz says: true once the storage was reached, false
// from the start of a shutdown or while the disk of this machine cannot be
// written.
type readiness struct {
	check    func(context.Context) error
	draining atomic.Bool

	mu   sync.Mutex
	at   time.Time
	last error
}

// checkEvery bounds how often probes make the storage work.
const (
	checkEvery   = 2 * time.Second
	checkTimeout = 5 * time.Second
)

func (h *readiness) err(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.at) < checkEvery {
		return h.last
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
	defer cancel()
	h.last, h.at = h.check(ctx), time.Now()
	return h.last
}

// healthz is liveness: this process answers. It never touches the storage, so
// that no outage of it makes a supervisor kill the server.
func healthz(w http.ResponseWriter, _ *http.Request) {
	plain(w, http.StatusOK, "ok\n")
}

// readyz says whether a load balancer should send requests here.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	if s.ready.draining.Load() {
		plain(w, http.StatusServiceUnavailable, "shutting down\n")
		return
	}
	if err := s.ready.err(r.Context()); err != nil {
		s.log.ErrorContext(r.Context(), "not ready: the storage cannot be used", "error", err)
		plain(w, http.StatusServiceUnavailable, "the storage cannot be used; the log says why\n")
		return
	}
	plain(w, http.StatusOK, "ready\n")
}

func plain(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}
