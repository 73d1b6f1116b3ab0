package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.39.0"
	"go.opentelemetry.io/otel/trace"
)

// tracing makes a span of each request, and within it of each operation of the
// storage and each request to S3. nil makes none.
//
// Names and attributes are those of OpenTelemetry's semantic conventions for
// HTTP servers. Spans never hold a query, a header or a password.
type tracing struct {
	tracer   trace.Tracer
	incoming propagation.TextMapPropagator
	close    func(context.Context) error
}

// The SDK's own bound on a span's attributes is their number; paths are the only
// ones that clients write.
const maxTracedPath = 512

// newTracing exports over OTLP/HTTP to where the variables of OpenTelemetry say:
// OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER and others, which the SDK
// reads itself.
func newTracing(ctx context.Context, version string, log *slog.Logger) (*tracing, error) {
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("tracing.enabled: %w; see OTEL_EXPORTER_OTLP_ENDPOINT", err)
	}
	// What the environment says counts for more.
	who, err := resource.New(ctx, resource.WithAttributes(semconv.ServiceName("registryserver"), semconv.ServiceVersion(version)),
		resource.WithHost(), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("tracing.enabled: %w; see OTEL_RESOURCE_ATTRIBUTES", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(&loggedExporter{SpanExporter: exporter, log: log}), sdktrace.WithResource(who))
	return &tracing{tracer: provider.Tracer("registryserver", trace.WithInstrumentationVersion(version)), incoming: propagation.TraceContext{}, close: provider.Shutdown}, nil
}

// request begins the span of a request, in the trace that its client names.
func (t *tracing) request(r *http.Request, endpoint string) (*http.Request, func(exchange)) {
	if t == nil || endpoint == "health" {
		return r, func(exchange) {}
	}
	// Clients may write what is no UTF-8, and then OTLP could carry none of the batch.
	path := shortened(r.URL.Path, maxTracedPath)
	ctx, span := t.tracer.Start(t.incoming.Extract(r.Context(), propagation.HeaderCarrier(r.Header)), r.Method+" "+endpoint, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(semconv.HTTPRequestMethodKey.String(r.Method), semconv.HTTPRoute(endpoint), semconv.URLPath(path)))
	return r.WithContext(ctx), func(x exchange) {
		span.SetAttributes(semconv.HTTPResponseStatusCode(x.status), semconv.HTTPResponseBodySize(int(x.bytes)), attribute.String("registry.request_id", x.id))
		if x.status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}

// step begins a span within that of a request. What belongs to none is not
// traced: background work would be a trace of its own for each poll.
func (t *tracing) step(ctx context.Context, name string, kind trace.SpanKind, attributes ...attribute.KeyValue) (context.Context, trace.Span) {
	if t == nil || !trace.SpanContextFromContext(ctx).IsValid() {
		return ctx, nil
	}
	return t.tracer.Start(ctx, name, trace.WithSpanKind(kind), trace.WithAttributes(attributes...))
}

// operation is the span of an operation of the storage; call the function with
// its error.
func (t *tracing) operation(ctx context.Context, driver, action string) (context.Context, func(error)) {
	ctx, span := t.step(ctx, driver+" "+action, trace.SpanKindInternal)
	return ctx, func(err error) {
		if span == nil {
			return
		}
		if err != nil {
			span.RecordError(err)
		}
		span.End()
	}
}

// s3Request is the span of one request to S3.
func (t *tracing) s3Request(ctx context.Context, operation string) (context.Context, func(status int)) {
	ctx, span := t.step(ctx, "S3."+operation, trace.SpanKindClient, semconv.RPCSystemNameKey.String("aws-api"), semconv.RPCMethod("S3/"+operation))
	return ctx, func(status int) {
		if span == nil {
			return
		}
		if status != 0 {
			span.SetAttributes(semconv.HTTPResponseStatusCode(status))
		}
		if status == 0 || status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}

// loggedExporter says in the log when spans are lost, now and then.
type loggedExporter struct {
	sdktrace.SpanExporter
	log *slog.Logger

	said time.Time // exports come one after another
}

func (e *loggedExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	if err != nil && time.Since(e.said) > time.Minute {
		e.said = time.Now()
		e.log.Warn("traces are lost: the collector of OTEL_EXPORTER_OTLP_ENDPOINT does not take them", "error", err, "spans", len(spans))
	}
	return nil // it was said
}

// logTrace is what a line that is logged with ctx says of its trace.
func logTrace(ctx context.Context) []slog.Attr {
	span := trace.SpanContextFromContext(ctx)
	if !span.IsValid() {
		return nil
	}
	return []slog.Attr{slog.String("trace_id", span.TraceID().String())}
}
