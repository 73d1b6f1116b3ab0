package server

import (
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"time"

	"github.com/google/uuid"
)

// requestIDHeader carries the id of a request, in both directions.
const requestIDHeader = "X-Request-Id"

// requestIDs that a client or load balancer may choose; others are replaced.
var requestIDRE = regexp.MustCompile(`^[A-Za-z0-9._=-]{8,128}$`)

// exchange is one request and its answer as the access log and the metrics
// see them.
type exchange struct {
	id       string
	endpoint string
	status   int
	bytes    int64
	duration time.Duration
	caller   *caller
}

// observe gives each request an id, recovers from panics, and reports every
// exchange. One id is in the answer's header, in the access log, and in
// every line that is logged about the request.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		id := r.Header.Get(requestIDHeader)
		if !requestIDRE.MatchString(id) {
			id = uuid.NewString()
		}
		w.Header().Set(requestIDHeader, id)
		who := new(caller)
		r = r.WithContext(withCaller(withRequestID(r.Context(), id), who))
		s.watchBody(w, r)
		answer := &answer{ResponseWriter: w}
		endpoint := s.endpoint(r)
		s.metrics.begin(endpoint)
		r, traced := s.tracing.request(r, endpoint)
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint // a panic's value
				s.log.Error("panic in a handler", "request_id", id, "panic", p, "stack", string(debug.Stack()))
				if answer.status == 0 {
					answer.Header().Set("Content-Type", "application/json")
					answer.WriteHeader(http.StatusInternalServerError)
					_, _ = io.WriteString(answer, `{"errors":[{"code":"UNKNOWN","message":"the registry could not do this; its log has the cause under the request id of this answer"}]}`)
				}
			}
			x := exchange{id: id, endpoint: endpoint, status: answer.status, bytes: answer.bytes, duration: time.Since(start), caller: who}
			s.metrics.end(r, x)
			traced(x)
			s.logAccess(r, x)
			s.logAudit(r, x, answer.Header())
		}()
		next.ServeHTTP(answer, r)
	})
}

// logAccess writes one line for a request. It never holds the query: that of
// an upload seals its session. Probes are logged only for debugging.
func (s *Server) logAccess(r *http.Request, x exchange) {
	if s.config.Log.AccessLogDisabled {
		return
	}
	level := slog.LevelInfo
	if x.endpoint == "health" {
		level = slog.LevelDebug
	}
	// The user only of who could log in: people type passwords where the name
	// belongs.
	attributes := []slog.Attr{
		slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.Int("status", x.status), slog.Int64("bytes", x.bytes), slog.Duration("duration", x.duration),
		slog.String("client", s.clientAddr(r)), slog.String("user", x.caller.user), slog.String("user_agent", r.UserAgent()),
		slog.String("protocol", r.Proto),
	}
	if x.caller.token != "" { // the id of an issued token, which is no secret
		attributes = append(attributes, slog.String("token", x.caller.token))
	}
	s.log.LogAttrs(r.Context(), level, "request", attributes...)
}

// answer remembers the status and counts the bytes of an answer. It keeps the
// way open for sendfile (ReadFrom) and for http.ResponseController (Unwrap).
type answer struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= 200 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	n, err := a.ResponseWriter.Write(p)
	a.bytes += int64(n)
	return n, err
}

func (a *answer) ReadFrom(r io.Reader) (int64, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	n, err := io.Copy(a.ResponseWriter, r)
	a.bytes += n
	return n, err
}

func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
