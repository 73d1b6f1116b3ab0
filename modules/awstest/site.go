package awstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// Site is the internet for programs that are told so by Env: names lead to servers of the test, over TLS that a CA of its own certifies, and
// everything else is refused. So examples with names of their own run as they are.
type Site struct {
	t     testing.TB
	ca    *CA
	proxy *httptest.Server

	mu      sync.Mutex
	hosts   map[string]string // host -> address of its TLS server
	refused []string
}

// NewSite returns one that ends with the test.
func NewSite(t testing.TB) *Site {
	t.Helper()
	s := &Site{t: t, ca: newCA(t, filepath.Join(t.TempDir(), "ca.pem")), hosts: map[string]string{}}
	s.proxy = httptest.NewServer(http.HandlerFunc(s.connect))
	t.Cleanup(s.proxy.Close)
	return s
}

// Env makes a program live in the site. What is on the loopback is reached as ever.
func (s *Site) Env() []string {
	return []string{"HTTPS_PROXY=" + s.proxy.URL, "NO_PROXY=127.0.0.1,localhost", "SSL_CERT_FILE=" + s.ca.File, "SSL_CERT_DIR=/nowhere"}
}

// Refused are the hosts that somebody wanted and that are not there.
func (s *Site) Refused() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}

// Serve answers at https://host.
func (s *Site) Serve(host string, handler http.Handler) {
	s.t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.TLS = s.ca.certify(s.t, host)
	server.StartTLS()
	s.t.Cleanup(server.Close)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts[host] = server.Listener.Addr().String()
}

// connect joins a client with the server of the host that it asks for.
func (s *Site) connect(w http.ResponseWriter, r *http.Request) {
	host, _, _ := net.SplitHostPort(r.Host)
	s.mu.Lock()
	address := s.hosts[host]
	if address == "" {
		s.refused = append(s.refused, r.Host)
	}
	s.mu.Unlock()
	if r.Method != http.MethodConnect || address == "" {
		http.Error(w, "this host is not part of the test", http.StatusForbidden)
		return
	}
	server, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", address)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer server.Close()
	w.WriteHeader(http.StatusOK)
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	go func() {
		_, _ = io.Copy(server, buffered)
		_ = server.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(client, server)
}

// BuildServer builds registryserver.
func (tf *Terraform) BuildServer(t testing.TB) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "registryserver")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./registryserver")
	build.Dir = tf.root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the server: %v\n%s", err, out)
	}
	return binary
}

// Server is a registryserver at a name of a site. Its process starts with the first request after an instance was launched, with the
// configuration that is in the instance's user data, and ends with the test, or by Stop.
type Server struct {
	t      testing.TB
	binary string
	e      *Emulator

	mu   sync.Mutex
	cmd  *exec.Cmd
	url  *url.URL
	log  string
	from string // the instance
}

// ServeInstances lets the real server answer at https://host for the instances that Terraform launches in the emulator.
func (s *Site) ServeInstances(host, binary string, e *Emulator) *Server {
	s.t.Helper()
	server := &Server{t: s.t, binary: binary, e: e, log: filepath.Join(s.t.TempDir(), "registryserver.log")}
	s.t.Cleanup(func() {
		server.Stop()
		if said, err := os.ReadFile(server.log); err == nil && s.t.Failed() {
			s.t.Logf("the server said:\n%s", said[max(0, len(said)-5000):])
		}
	})
	s.Serve(host, server)
	return server
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	target, err := s.start(context.WithoutCancel(r.Context()))
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	proxy := httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(target)
		p.SetXForwarded()
		p.Out.Host = p.In.Host
	}}
	proxy.ServeHTTP(w, r)
}

// Stop ends the process.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

func (s *Server) start(ctx context.Context) (*url.URL, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		return s.url, nil
	}
	instances, err := s.e.Launched(ctx)
	if err != nil {
		return nil, err
	}
	if len(instances) == 0 {
		return nil, errors.New("no instance is running yet")
	}
	files, err := instances[0].Files()
	if err != nil {
		return nil, err
	}
	port := freePort(s.t)
	config, err := onLoopback(files["/etc/registry/config.yml"], "127.0.0.1:"+port, s.e.URL)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(filepath.Dir(s.log), "config.yml")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(s.binary, "serve", path)
	cmd.Env = append(withoutAWS(os.Environ()), s.e.Env()...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s.cmd, s.url, s.from = cmd, &url.URL{Scheme: "http", Host: "127.0.0.1:" + port}, instances[0].ID
	return s.url, s.ready(ctx)
}

// ready waits until the server is.
func (s *Server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url.String()+"/readyz", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(resp.Status)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the server of instance %s is not ready: %w", s.from, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// onLoopback takes out of an instance's configuration what only an instance has: its address, the way to its certificate, its metadata
// service. Storage and secrets stay what Terraform made them.
func onLoopback(config, address, endpoint string) ([]byte, error) {
	var c map[string]map[string]any
	if err := yaml.Unmarshal([]byte(strings.Replace(config, "\"version\": \"0.1\"\n", "", 1)), &c); err != nil {
		return nil, fmt.Errorf("the instance's configuration: %w\n%s", err, config)
	}
	c["http"]["addr"] = address
	delete(c["http"], "tls")
	delete(c["aws"], "autoscaling")
	delete(c["aws"], "bootreport")
	if s3, ok := c["storage"]["s3"].(map[string]any); ok {
		s3["regionendpoint"], s3["forcepathstyle"], s3["secure"] = endpoint, true, false
	}
	text, err := yaml.Marshal(c)
	return append([]byte("version: 0.1\n"), text...), err
}

// ServeImages lets a real server with an image answer at https://host, for anybody: another registry, such as Docker Hub.
func (s *Site) ServeImages(host, binary string, push func(address string) error) {
	s.t.Helper()
	dir, port := s.t.TempDir(), freePort(s.t)
	config := fmt.Sprintf("version: 0.1\nhttp:\n  addr: 127.0.0.1:%s\nstorage:\n  filesystem:\n    rootdirectory: %s\nauth: none\n", port, filepath.Join(dir, "images"))
	path := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(binary, "serve", path)
	cmd.Env = withoutAWS(os.Environ())
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	server := &Server{t: s.t, cmd: cmd, url: &url.URL{Scheme: "http", Host: "127.0.0.1:" + port}, from: host}
	if err := server.ready(s.t.Context()); err != nil {
		s.t.Fatalf("%v\n%s", err, said.String())
	}
	if err := push("127.0.0.1:" + port); err != nil {
		s.t.Fatal(err)
	}
	s.Serve(host, server)
}
