//go:build linux

package awstest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// APICall is what a program with credentials asked of AWS.
type APICall struct {
	AccessKeyID string
	From        string // the address
	Action      string // as policies name it: s3:GetObject
	Resource    string // an ARN, or "" where the request does not name it
	Status      int
}

// APIs is AWS as a world sees it: every name of it leads here. S3 goes to a server of its own, all else to the emulator; what is asked is
// recorded.
type APIs struct {
	cloud    Cloud
	emulator *httputil.ReverseProxy
	s3       *httputil.ReverseProxy

	mu    sync.Mutex
	calls []APICall
	away  map[string]bool
	holds func(instance string) bool
}

// NewAPIs serves the APIs of a region in a world, at their usual names with TLS and at Endpoint without. s3 is the address of
// an S3 server that has the region's name for S3 as its own.
func NewAPIs(t testing.TB, w *World, cloud Cloud, s3 string) *APIs {
	t.Helper()
	a := &APIs{cloud: cloud, emulator: forward(t, cloud.Endpoint), s3: forward(t, s3), away: map[string]bool{}}
	secure := w.CA.certify(t, "*.amazonaws.com", "*."+cloud.Region+".amazonaws.com", "*.s3."+cloud.Region+".amazonaws.com")
	for address, handler := range map[string]http.Handler{apisAddress + ":443": a, apisAddress + ":80": a.emulator} {
		// A server completes its configuration of TLS, also one that serves without: none shares it.
		server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute, TLSConfig: secure.Clone()}
		l := w.Listen(address)
		go func() {
			if strings.HasSuffix(address, ":443") {
				_ = server.ServeTLS(l, "", "")
				return
			}
			_ = server.Serve(l)
		}()
		t.Cleanup(func() { server.Close() })
	}
	return a
}

// Endpoint is where Terraform finds the emulator in a world, as AWS_ENDPOINT_URL. Of an address, unlike a name, all buckets are paths.
const Endpoint = "http://" + apisAddress

// forward passes requests on as they are: their signatures cover the host.
func forward(t testing.TB, to string) *httputil.ReverseProxy {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, r.In.Host
			endBody(r.Out)
		},
		FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusBadGateway)
		},
	}
}

// endBody makes a body of known length end by itself. Otherwise the transport looks for its end after the last byte, and where the answer is
// there first, the server has closed the body by then: the transport takes that for a failure and cuts the answer off.
func endBody(r *http.Request) {
	if r.ContentLength > 0 {
		r.Body = io.NopCloser(io.LimitReader(r.Body, r.ContentLength))
	}
}

// Away makes a service, such as "s3", unreachable or reachable: connections end without an answer.
func (a *APIs) Away(service string, away bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.away[service] = away
}

// HoldTermination says whether an instance is being taken out of its load balancer. As long as it is, the hook of its end has not begun, and
// cannot be completed: the group deregisters first.
func (a *APIs) HoldTermination(holds func(instance string) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.holds = holds
}

// Calls are all that were made so far.
func (a *APIs) Calls() []APICall {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.calls)
}

func (a *APIs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	service, calls := a.parse(r)
	a.mu.Lock()
	away, holds := a.away[service], a.holds
	a.mu.Unlock()
	if away {
		panic(http.ErrAbortHandler)
	}
	to := a.emulator
	if service == "s3" {
		to = a.s3
	}
	status := &statusWriter{ResponseWriter: w}
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, c := range calls {
			c.AccessKeyID, c.From, c.Status = accessKey(r), r.RemoteAddr, status.code
			a.calls = append(a.calls, c)
		}
	}()
	if service == "autoscaling" && r.Form.Get("Action") == "CompleteLifecycleAction" && holds != nil && holds(r.Form.Get("InstanceId")) {
		status.Header().Set("Content-Type", "text/xml")
		status.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(status, `<ErrorResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><Error><Type>Sender</Type><Code>ValidationError</Code><Message>No active Lifecycle Action found with instance ID %s</Message></Error></ErrorResponse>`, r.Form.Get("InstanceId"))
		return
	}
	to.ServeHTTP(status, r)
}

// maxForm bounds the body of a request that is not to S3.
const maxForm = 16 << 20

// parse finds out what is asked. The body of a request that is not to S3 is read and put back.
func (a *APIs) parse(r *http.Request) (service string, calls []APICall) {
	host, _, _ := strings.Cut(r.Host, ":")
	name := strings.TrimSuffix(host, ".amazonaws.com")
	if bucket, isBucket := strings.CutSuffix(name, ".s3."+a.cloud.Region); isBucket {
		return "s3", s3Calls(r, bucket, strings.TrimPrefix(r.URL.Path, "/"))
	}
	service = strings.TrimSuffix(name, "."+a.cloud.Region)
	if service == "s3" {
		bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		return service, s3Calls(r, bucket, key)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxForm))
	if err != nil {
		return service, nil
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	call := APICall{Action: service + ":" + r.URL.Path}
	if _, action, ok := strings.Cut(r.Header.Get("X-Amz-Target"), "."); ok {
		call.Action = service + ":" + action
		if call.Resource = jsonResource(body); !strings.HasPrefix(call.Resource, "arn:") {
			call.Resource = fmt.Sprintf("arn:aws:%s:%s:%s:%s", service, a.cloud.Region, Account, call.Resource)
		}
	} else if r.Form, err = url.ParseQuery(string(body)); err == nil && r.Form.Get("Action") != "" {
		call.Action = service + ":" + r.Form.Get("Action")
		if group := r.Form.Get("AutoScalingGroupName"); group != "" {
			call.Resource = fmt.Sprintf("arn:aws:autoscaling:%s:%s:autoScalingGroup:any:autoScalingGroupName/%s", a.cloud.Region, Account, group)
		}
	}
	return service, []APICall{call}
}

// accessKey is who signed a request, in its header or, for a presigned one, in its query.
func accessKey(r *http.Request) string {
	credential := r.URL.Query().Get("X-Amz-Credential")
	if _, header, ok := strings.Cut(r.Header.Get("Authorization"), "Credential="); ok {
		credential = header
	}
	key, _, _ := strings.Cut(credential, "/")
	return key
}

// statusWriter remembers the status that was answered.
type statusWriter struct {
	http.ResponseWriter
	code int
}

func (w *statusWriter) WriteHeader(code int) {
	w.code = code
	w.ResponseWriter.WriteHeader(code)
}

// Unwrap lets the proxy flush.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Eventually asks until it is so or a time is over, and fails the test then with what it was told last.
func Eventually(t testing.TB, within time.Duration, what string, ask func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	for {
		err := ask(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %s: %v", what, within, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
