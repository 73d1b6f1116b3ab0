//go:build linux

package awstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// Balancer is an Application Load Balancer as the emulator has it: TLS, health checks, targets by the least outstanding requests, and no request
// that is sent twice.
type Balancer struct {
	w     *World
	cloud Cloud
	fleet *Fleet
	from  net.IP // where its own connections come from: an address of its first subnet
	proxy *httputil.ReverseProxy

	mu      sync.Mutex
	group   *TargetGroup
	targets map[string]*target
	events  []string
	own     map[int]int // answers that are no target's, by status
}

// target is an instance that is registered, or was and still has requests.
type target struct {
	id, address string
	state       string // initial, healthy, unhealthy, draining: as AWS names them
	passed      int    // checks in a row; negative ones failed
	next        time.Time
	checking    bool
	outstanding int
	since       time.Time // when draining began
}

// NewBalancer follows the load balancer of the emulated cloud until the test ends, and serves names as soon as there is one. It connects to
// the machines of fleet.
func NewBalancer(t testing.TB, w *World, cloud Cloud, fleet *Fleet, dnsNames ...string) *Balancer {
	t.Helper()
	b := &Balancer{w: w, cloud: cloud, fleet: fleet, targets: map[string]*target{}, own: map[int]int{}}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if err := b.follow(ctx); err != nil && ctx.Err() == nil {
				b.note("the emulator: %v", err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(followEvery):
			}
		}
	}()
	t.Cleanup(func() { stop(); <-done })
	for _, name := range dnsNames {
		w.Name(name, BalancerAddress)
	}
	l := w.Listen(BalancerAddress + ":443")
	server := &http.Server{Handler: b, ReadHeaderTimeout: time.Minute, TLSConfig: w.CA.certify(t, dnsNames...)}
	go func() { _ = server.ServeTLS(l, "", "") }()
	t.Cleanup(func() { server.Close() })
	return b
}

// follow takes over what the emulator says about listener and targets.
func (b *Balancer) follow(ctx context.Context) error {
	b.mu.Lock()
	group := b.group
	b.mu.Unlock()
	if group == nil {
		found, err := b.cloud.HTTPSTargets(ctx)
		if err != nil || found == nil {
			return err
		}
		if err := b.listen(ctx, found); err != nil {
			return err
		}
		group = found
	}
	registered, err := b.cloud.Targets(ctx, group.ARN)
	if err != nil {
		if listeners, _ := b.cloud.HTTPSTargets(ctx); listeners == nil { // destroyed
			registered, err = nil, nil
		}
	}
	if err != nil {
		return err
	}
	b.register(registered)
	b.check()
	return nil
}

// listen begins to forward.
func (b *Balancer) listen(ctx context.Context, group *TargetGroup) error {
	from, err := b.cloud.firstAddress(ctx, group.LoadBalancer)
	if err != nil {
		return err
	}
	if out, err := b.w.Run("ip", "address", "replace", from.String()+"/32", "dev", "cloud"); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.group, b.from = group, from
	b.proxy = &httputil.ReverseProxy{
		Rewrite:       b.rewrite,
		FlushInterval: -1,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				return b.w.dial(ctx, from, address)
			},
			IdleConnTimeout:       group.IdleTimeout,
			ResponseHeaderTimeout: group.IdleTimeout,
			MaxIdleConnsPerHost:   64,
			DisableCompression:    true,
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			status := http.StatusBadGateway
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				status = http.StatusGatewayTimeout
			}
			if r.Context().Err() == nil {
				b.note("%s %s to %s: %v", r.Method, r.URL.Path, r.Context().Value(targetKey{}).(*target).id, err)
			}
			b.answer(w, status)
		},
	}
	return nil
}

// register makes the targets those that the emulator has, as far as their machines have addresses.
func (b *Balancer) register(ids []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	gone := map[string]bool{}
	for id := range b.targets {
		gone[id] = true
	}
	for _, id := range ids {
		delete(gone, id)
		if address := b.fleet.Address(id); address != "" && b.targets[id] == nil {
			b.targets[id] = &target{id: id, address: net.JoinHostPort(address, fmt.Sprint(b.group.Port)), state: "initial"}
			b.noteLocked("%s is registered", id)
		}
	}
	for id := range gone {
		t := b.targets[id]
		if t.state != "draining" {
			t.state, t.since = "draining", time.Now()
			b.noteLocked("%s is deregistered with %d requests", id, t.outstanding)
		}
		if t.outstanding == 0 || time.Since(t.since) > b.group.Deregister {
			delete(b.targets, id)
			b.noteLocked("%s has drained with %d requests left", id, t.outstanding)
		}
	}
}

// Has reports whether an instance is registered, or was and has not drained.
func (b *Balancer) Has(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.targets[id] != nil
}

type targetKey struct{}

func (b *Balancer) rewrite(r *httputil.ProxyRequest) {
	t := r.In.Context().Value(targetKey{}).(*target)
	r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = strings.ToLower(b.group.Protocol), t.address, r.In.Host
	r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
	r.SetXForwarded()
	r.Out.Header.Del("X-Forwarded-Host")
	r.Out.Header.Set("X-Forwarded-Port", "443")
	endBody(r.Out)
	if r.In.Method == http.MethodGet || r.In.Method == http.MethodHead {
		// A body is dropped; and so is the transport's wish to send again what was sent once.
		r.Out.Body, r.Out.ContentLength = io.NopCloser(strings.NewReader("")), 0
	}
}

func (b *Balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	proxy, t := b.proxy, b.pick()
	if t != nil {
		t.outstanding++
	}
	b.mu.Unlock()
	if t == nil {
		b.answer(w, http.StatusServiceUnavailable)
		return
	}
	defer func() {
		b.mu.Lock()
		t.outstanding--
		b.mu.Unlock()
	}()
	proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), targetKey{}, t)))
}

// pick is the healthy target with the fewest requests. Where none is healthy, all count as if they were.
func (b *Balancer) pick() *target {
	var best *target
	for _, t := range b.targets {
		if t.state != "draining" && (best == nil || t.rank() < best.rank()) {
			best = t
		}
	}
	return best
}

// rank orders targets: the healthy ones first, and those that have less to do.
func (t *target) rank() int {
	const unhealthy = 1 << 30
	if t.state == "healthy" {
		return t.outstanding
	}
	return unhealthy + t.outstanding
}

// answer is the load balancer's own.
func (b *Balancer) answer(w http.ResponseWriter, status int) {
	b.mu.Lock()
	b.own[status]++
	b.mu.Unlock()
	w.Header().Set("Server", "awselb/2.0")
	http.Error(w, http.StatusText(status), status)
}

// check checks the targets whose turn it is.
func (b *Balancer) check() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range b.targets {
		if t.state == "draining" || t.checking || time.Now().Before(t.next) {
			continue
		}
		t.checking, t.next = true, time.Now().Add(time.Duration(b.group.Health.Interval)*time.Second)
		go func() {
			err := b.checkOne(t)
			b.mu.Lock()
			defer b.mu.Unlock()
			t.checking = false
			b.checked(t, err)
		}()
	}
}

// checked counts the outcome of a check.
func (b *Balancer) checked(t *target, err error) {
	switch {
	case err == nil:
		t.passed = max(0, t.passed) + 1
	default:
		t.passed = min(0, t.passed) - 1
	}
	before := t.state
	switch h := b.group.Health; {
	case before == "draining":
	case t.passed >= h.Healthy, before == "initial" && t.passed >= 1: // a new target has to pass once
		t.state = "healthy"
	case -t.passed >= h.Unhealthy:
		t.state = "unhealthy"
	}
	if t.state != before {
		b.noteLocked("%s is %s: %v", t.id, t.state, err)
	}
}

func (b *Balancer) checkOne(t *target) error {
	b.mu.Lock()
	h := b.group.Health
	from := b.from
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(h.Timeout)*time.Second)
	defer cancel()
	ask := url.URL{Scheme: strings.ToLower(h.Protocol), Host: t.address, Path: h.Path}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, ask.String(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "ELB-HealthChecker/2.0")
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return b.w.dial(ctx, from, address)
		},
	}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if fmt.Sprint(resp.StatusCode) != h.Matcher {
		return errors.New(resp.Status)
	}
	return nil
}

func (b *Balancer) note(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.noteLocked(format, args...)
}

func (b *Balancer) noteLocked(format string, args ...any) {
	b.events = append(b.events, time.Now().UTC().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// Events are what happened to targets and requests.
func (b *Balancer) Events() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.events...)
}

// Own are the answers that were no target's, by status.
func (b *Balancer) Own() map[int]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	own := map[int]int{}
	for status, n := range b.own {
		own[status] = n
	}
	return own
}

// States are those of the targets, by instance.
func (b *Balancer) States() map[string]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	states := map[string]string{}
	for id, t := range b.targets {
		states[id] = t.state
	}
	return states
}
