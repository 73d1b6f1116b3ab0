package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// adminName is the first admin, who comes from the server's configuration.
const adminName = "admin"

// registry is the running server.
type registry struct {
	host          string
	adminPassword string
	logPath       string
	process       *exec.Cmd
	exited        chan error
}

func (r *registry) endpoint() string { return "http://" + r.host }

// start runs the server with its images in the workspace, and waits until it
// is ready.
func (w *workspace) start(ctx context.Context, port int) (*registry, error) {
	password, err := w.secret("admin-password")
	if err != nil {
		return nil, err
	}
	r := &registry{host: freeAddress(port), adminPassword: password, logPath: w.path("registry.log"), exited: make(chan error, 1)}
	log, err := os.OpenFile(r.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	// A file of its own, and no variable that is set here by chance: this
	// machine may have the configuration of another registry.
	config := fmt.Sprintf("version: 0.1\nhttp:\n  addr: %s\nstorage:\n  filesystem:\n    rootdirectory: %q\n", r.host, w.path("images"))
	if err := os.WriteFile(w.path("config.yml"), []byte(config), 0o600); err != nil {
		return nil, err
	}
	r.process = exec.Command(w.program("registryserver"), "serve", w.path("config.yml"))
	r.process.Env = append(withoutRegistry(os.Environ()), "REGISTRY_ADMIN_USERNAME="+adminName, "REGISTRY_ADMIN_PASSWORD="+password)
	r.process.Stdout, r.process.Stderr = log, log
	// Ctrl-C is for the quickstart, which then asks the server to end.
	r.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := r.process.Start(); err != nil {
		return nil, err
	}
	go func() { r.exited <- r.process.Wait() }()
	if err := r.ready(ctx); err != nil {
		return nil, errors.Join(err, r.stop())
	}
	done("%s keeps images in %s", r.endpoint(), w.path("images"))
	return r, nil
}

func withoutRegistry(env []string) []string {
	return slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, "REGISTRY_") })
}

// freeAddress is the port on loopback, or another one if it is taken.
func freeAddress(port int) string {
	for _, p := range []int{port, 0} {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p)))
		if err != nil {
			continue
		}
		defer l.Close()
		return l.Addr().String()
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

func (r *registry) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.endpoint()+"/readyz", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case err := <-r.exited:
			r.exited <- err
			return fmt.Errorf("the server ended: %w; see %s", err, r.logPath)
		case <-ctx.Done():
			return fmt.Errorf("the server is not ready; see %s", r.logPath)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// wait returns when ctx ends or the server does.
func (r *registry) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		fmt.Println("\nStopping the registry. make quickstart starts it again with its images.")
		return nil
	case err := <-r.exited:
		r.exited <- err
		return fmt.Errorf("the server ended by itself: %w; see %s", err, r.logPath)
	}
}

// stop asks the server to end and waits until it has.
func (r *registry) stop() error {
	_ = r.process.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-r.exited:
		if err != nil {
			return fmt.Errorf("the server ended badly: %w; see %s", err, r.logPath)
		}
		return nil
	case <-time.After(40 * time.Second):
		_ = r.process.Process.Kill()
		return errors.New("the server did not end when asked to")
	}
}
