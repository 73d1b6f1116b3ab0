package server

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// progressBody is a request's body that must make progress: a client that
// sends nothing for the timeout loses its connection, so that stalled ones do
// not pile up. What it sent of an upload stays, and it can go on from there.
type progressBody struct {
	io.ReadCloser
	control *http.ResponseController
	timeout time.Duration
	renewed time.Time
}

func (b *progressBody) Read(p []byte) (int, error) {
	// A deadline may end up to a quarter early; setting it for each read of a
	// fast client would be waste.
	if now := time.Now(); now.Sub(b.renewed) > b.timeout/4 {
		_ = b.control.SetReadDeadline(now.Add(b.timeout))
		b.renewed = now
	}
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		// The deadline must not end the connection while an answer takes long.
		// After another error it must: net/http still tries to read the rest.
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// watchBody makes the body of a request fail when it makes no progress.
func (s *Server) watchBody(w http.ResponseWriter, r *http.Request) {
	if timeout := s.config.HTTP.Timeouts.Body; timeout > 0 && r.Body != nil && r.ContentLength != 0 {
		r.Body = &progressBody{ReadCloser: r.Body, control: http.NewResponseController(w), timeout: timeout}
	}
}
