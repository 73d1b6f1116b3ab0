package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"

	"github.com/registrykit/terraform-provider-registry/registryserver/certificates"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// maxHeaderBytes bounds the header of a request. Tokens of external issuers
// can be several KiB long.
const maxHeaderBytes = 64 << 10

// unusedGrace is how long a shutdown waits for the first request of a
// connection that was just opened. net/http would wait 5 s, and load balancers
// keep such connections.
const unusedGrace = time.Second

// Listen opens the server's sockets: after it, Addr says where the registry
// answers and connections queue until Run.
func (s *Server) Listen() error {
	c := s.config.HTTP
	if c.Net == "unix" {
		// A socket left by a server that was killed would refuse the address.
		if info, err := os.Lstat(c.Addr); err == nil && info.Mode()&os.ModeSocket != 0 {
			_ = os.Remove(c.Addr)
		}
	}
	var err error
	if s.listener, err = net.Listen(c.Net, c.Addr); err != nil {
		return fmt.Errorf("http.addr: %w", err)
	}
	if c.MaxConnections > 0 {
		s.listener = netutil.LimitListener(s.listener, c.MaxConnections)
	}
	if c.Debug.Addr == "" {
		return nil
	}
	if s.debugListener, err = net.Listen("tcp", c.Debug.Addr); err != nil {
		_ = s.listener.Close()
		return fmt.Errorf("http.debug.addr: %w", err)
	}
	return nil
}

// Addr is where the registry listens. It is known after Listen.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Run serves until ctx ends and for the drain wait, then stops taking requests
// and lets those under way finish, for at most the drain timeout.
func (s *Server) Run(ctx context.Context) error {
	if s.listener == nil {
		if err := s.Listen(); err != nil {
			return err
		}
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	notGone, gone := context.WithCancel(background)
	defer gone()
	signal := ctx
	ctx, leave := s.whileHere(ctx, background, gone)
	defer leave()
	group, groupCtx := errgroup.WithContext(background)
	for _, task := range s.tasks {
		group.Go(func() error { return ignoreEnd(task(storage.Background(groupCtx))) })
	}
	main := s.httpServer()
	group.Go(func() error { return s.serve(main, s.listener) })
	var debug *http.Server
	if s.debugListener != nil {
		debug = &http.Server{Handler: s.debugHandler(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: main.ErrorLog}
		group.Go(func() error { return s.serve(debug, s.debugListener) })
	}
	s.log.Info("registry is listening", "address", s.Addr().String(), "tls", s.tls != nil, "version", s.version)
	group.Go(func() error { return s.announceReady(groupCtx) })

	select {
	case <-ctx.Done():
		s.retire(groupCtx, notGone)
	case <-groupCtx.Done(): // a listener failed
	}
	s.drain(notGone, main)
	s.flushAudit(notGone)
	if debug != nil {
		_ = debug.Close()
	}
	s.completeEnd(signal, notGone)
	stop()
	return errors.Join(group.Wait(), s.Close())
}

// retire goes on serving for the drain wait while /readyz says no, so that load
// balancers have turned to others before a connection is refused.
func (s *Server) retire(failed, notGone context.Context) {
	s.ready.draining.Store(true)
	wait := s.config.HTTP.DrainWait
	if wait <= 0 {
		return
	}
	s.log.Info("shutting down; requests are served until load balancers have noticed", "wait", wait)
	select {
	case <-failed.Done():
	case <-notGone.Done():
	case <-time.After(wait):
	}
}

// drain lets requests under way finish, as long as the machine is not gone. New
// connections are refused at once, and /readyz says no on those that are open.
func (s *Server) drain(notGone context.Context, main *http.Server) {
	s.ready.draining.Store(true)
	timeout := s.config.HTTP.DrainTimeout
	s.log.Info("shutting down; requests under way may finish", "timeout", timeout)
	ctx, cancel := context.WithTimeout(notGone, timeout)
	defer cancel()
	unused := time.AfterFunc(unusedGrace, s.unused.close)
	defer unused.Stop()
	if err := main.Shutdown(ctx); err != nil {
		s.log.Warn("requests were still under way when the time to drain was over; their clients must try again", "error", err)
		_ = main.Close()
	}
}

func (s *Server) httpServer() *http.Server {
	c := s.config.HTTP
	server := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: c.Timeouts.Header,
		IdleTimeout:       c.Timeouts.Idle,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          newStdLog(s.log),
		Protocols:         new(http.Protocols),
		ConnState:         s.unused.track,
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetHTTP2(!c.HTTP2Disabled && s.tls != nil)
	server.Protocols.SetUnencryptedHTTP2(c.H2CEnabled && s.tls == nil)
	if s.tls != nil {
		server.TLSConfig = s.tls.Config()
		server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){certificates.ACMEProtocol: closeChallenge}
	}
	return server
}

func (s *Server) serve(server *http.Server, l net.Listener) error {
	var err error
	if server.TLSConfig != nil {
		err = server.Serve(tls.NewListener(l, server.TLSConfig))
	} else {
		err = server.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func ignoreEnd(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// unusedConns are the connections on which no request has begun yet.
type unusedConns struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

// track is the server's ConnState.
func (u *unusedConns) track(c net.Conn, state http.ConnState) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if state != http.StateNew {
		delete(u.conns, c)
		return
	}
	if u.conns == nil {
		u.conns = map[net.Conn]struct{}{}
	}
	u.conns[c] = struct{}{}
}

func (u *unusedConns) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for c := range u.conns {
		_ = c.Close()
	}
}
