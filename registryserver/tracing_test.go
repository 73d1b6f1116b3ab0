package main_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// TestTracing: with a collector, a push is a trace in which its requests to S3
// are found, under the id that the client gave it; what is secret is not in it.
func TestTracing(t *testing.T) {
	t.Parallel()
	c := startCollector(t)
	p := startServer(t, startS3(t).config(), "REGISTRY_TRACING_ENABLED=true", "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL, "OTEL_BSP_SCHEDULE_DELAY=50",
		"OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test", "REGISTRY_ADMIN_USERNAME=admin", "REGISTRY_ADMIN_PASSWORD=change-me-please")
	p.login("admin", "change-me-please")
	layer, conf := tiny(1)
	for _, content := range [][]byte{layer, conf} {
		pushBlob(t, p, "app", sha256Digest(content), content)
	}
	const id = "0af7651916cd43dd8448eb211c80319c"
	resp, body := do(t, http.MethodPut, p.URL+"/v2/app/manifests/v1", tinyManifest(conf, layer), "Content-Type", tinyType, "Traceparent", "00-"+id+"-b7ad6b7169203331-01")
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s: %s", resp.Status, body)
	}
	do(t, http.MethodGet, p.URL+"/healthz", nil)
	do(t, http.MethodGet, p.URL+"/v2/%ff%fe/tags/list", nil) // no UTF-8, and no reason to lose spans
	var names []string
	eventually(t, "the trace of a push", func() error {
		names = nil
		var root []byte
		for _, span := range c.all() {
			if fmt.Sprintf("%x", span.GetTraceId()) != id {
				continue
			}
			names = append(names, span.GetName())
			if span.GetKind() == trace.Span_SPAN_KIND_SERVER {
				root = span.GetSpanId()
			}
		}
		if root == nil || !slices.Contains(names, "PUT manifest") || !slices.Contains(names, "S3.PutObject") || !slices.Contains(names, "s3 PutContent") {
			return fmt.Errorf("its spans are %q", names)
		}
		return nil
	})
	if !strings.Contains(p.output.String(), "trace_id="+id) {
		t.Error("the log does not name the trace")
	}
	p.stopCleanly(t) // which sends what is left
	text := c.text()
	for _, secret := range []string{"change-me-please", "_state=", "digest="} {
		if strings.Contains(text, secret) {
			t.Errorf("the traces hold %q", secret)
		}
	}
	for _, want := range []string{"registryserver", "deployment.environment.name", "POST blob_upload", "PUT blob_upload_chunk", "http.response.status_code"} {
		if !strings.Contains(text, want) {
			t.Errorf("the traces lack %q", want)
		}
	}
	if strings.Contains(text, "GET health") {
		t.Error("probes are traced")
	}
}

// A collector that is not there costs nothing but a warning.
func TestTracingWithoutCollector(t *testing.T) {
	t.Parallel()
	gone := freeAddress(t)
	p := startServer(t, filesystemConfig(t.TempDir()), "REGISTRY_TRACING_ENABLED=true", "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+gone, "OTEL_BSP_SCHEDULE_DELAY=50", "OTEL_EXPORTER_OTLP_TIMEOUT=200")
	if resp, _ := do(t, http.MethodGet, p.URL+"/v2/", nil); resp.StatusCode != http.StatusOK {
		t.Error(resp.Status)
	}
	eventually(t, "a warning", func() error {
		if !strings.Contains(p.output.String(), "traces are lost") {
			return fmt.Errorf("the log has none")
		}
		return nil
	})
}

// traceCollector takes OTLP over HTTP, as the OpenTelemetry collector does.
type traceCollector struct {
	*httptest.Server
	mu    sync.Mutex
	spans []*trace.Span
	got   []string
}

func startCollector(t *testing.T) *traceCollector {
	t.Helper()
	c := &traceCollector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := c.take(r); err != nil {
			t.Error(err)
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *traceCollector) take(r *http.Request) error {
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(body)
		if err != nil {
			return err
		}
		body = unpacked
	}
	content, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	var export collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(content, &export); err != nil || r.URL.Path != "/v1/traces" {
		return fmt.Errorf("%s: %w", r.URL, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got = append(c.got, export.String())
	for _, resource := range export.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
	return nil
}

func (c *traceCollector) all() []*trace.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

func (c *traceCollector) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.got, "\n")
}
