package server

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/registrykit/terraform-provider-registry/registryserver/audit"
	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
)

// metrics are the server's Prometheus metrics. Names and labels are those of
// distribution, so that dashboards go on working.
type metrics struct {
	registry *prometheus.Registry
	inFlight *prometheus.GaugeVec
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	received *prometheus.CounterVec
	sent     *prometheus.CounterVec
	storage  *prometheus.HistogramVec
	// reloadFailures counts certificates that could not be loaded anew.
	reloadFailures prometheus.Counter

	s3          s3Metrics
	sessions    *prometheus.CounterVec
	auditEvents *prometheus.CounterVec

	gcRuns    *prometheus.CounterVec
	gcDeleted *prometheus.CounterVec
	gcBytes   prometheus.Counter
	// Of pull-through caches with a bound.
	cacheBytes    *prometheus.GaugeVec
	evictedImages *prometheus.CounterVec
	evictedBytes  *prometheus.CounterVec
	gcRunning     prometheus.Gauge
	gcLast        prometheus.Gauge
}

func newMetrics(version string) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "registry_http_in_flight_requests", Help: "Requests that are being answered, by endpoint."}, []string{"handler"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "registry_http_requests_total", Help: "Requests answered, by endpoint, method and status."}, []string{"handler", "method", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "registry_http_request_duration_seconds", Help: "Time to answer a request.", Buckets: prometheus.ExponentialBuckets(.001, 4, 9)}, []string{"handler", "method"}),
		received: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "registry_http_received_bytes_total", Help: "Bytes of request bodies with a known length."}, []string{"handler"}),
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "registry_http_sent_bytes_total", Help: "Bytes of answers' bodies."}, []string{"handler"}),
		storage: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "registry_storage_action_seconds", Help: "Time that an operation of the storage took.", Buckets: prometheus.ExponentialBuckets(.0001, 4, 10)}, []string{"driver", "action"}),
	}
	m.s3 = newS3Metrics()
	m.sessions = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "registry_upload_sessions_total", Help: "Upload sessions, by what became of them on this server: begun, committed or cancelled."}, []string{"event"})
	m.registry.MustRegister(m.s3.requests, m.sessions)
	m.reloadFailures = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "registry_tls_certificate_reload_failures_total", Help: "Changed certificates that could not be loaded; the ones before stayed in force."})
	m.gcRuns = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "registry_gc_runs_total", Help: "Garbage collections of this server, by result: ok, failed, or skipped because another ran or the storage is not exclusive."}, []string{"result"})
	m.gcDeleted = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "registry_gc_deleted_total", Help: "What garbage collections of this server deleted, by kind."}, []string{"kind"})
	m.gcBytes = prometheus.NewCounter(prometheus.CounterOpts{Name: "registry_gc_deleted_bytes_total", Help: "Bytes of content that garbage collections of this server deleted."})
	m.gcRunning = prometheus.NewGauge(prometheus.GaugeOpts{Name: "registry_gc_running", Help: "1 while this server collects garbage."})
	m.gcLast = prometheus.NewGauge(prometheus.GaugeOpts{Name: "registry_gc_last_success_timestamp_seconds", Help: "When this server's last garbage collection that did not fail ended."})
	m.cacheBytes = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "registry_proxy_size_bytes", Help: "What the images of a pull-through cache with a bound occupy, as of the last garbage collection of this server."}, []string{"prefix"})
	m.evictedImages = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "registry_proxy_evicted_images_total", Help: "Images that garbage collections of this server evicted from pull-through caches."}, []string{"prefix"})
	m.evictedBytes = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "registry_proxy_evicted_bytes_total", Help: "Bytes that nothing else in the cache needs of the images that were evicted."}, []string{"prefix"})
	m.registry.MustRegister(m.cacheBytes, m.evictedImages, m.evictedBytes)
	m.registry.MustRegister(m.gcRuns, m.gcDeleted, m.gcBytes, m.gcRunning, m.gcLast)
	m.auditEvents = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "registry_audit_events_total", Help: "Events of the audit log, by action and by whether it was allowed."}, []string{"action", "allowed"})
	m.registry.MustRegister(m.auditEvents)
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "registry_build_info", Help: "Always 1; the version is the label."}, []string{"version"})
	build.WithLabelValues(version).Set(1)
	m.registry.MustRegister(m.inFlight, m.requests, m.duration, m.received, m.sent, m.storage, m.reloadFailures, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// watchLogins adds what the gate counts.
func (m *metrics) watchLogins(stats func() auth.Stats) {
	for _, c := range []struct {
		name, help string
		of         func(auth.Stats) int64
	}{
		{"registry_auth_password_failures_total", "Logins with a wrong user name or password.", func(s auth.Stats) int64 { return s.Failures }},
		{"registry_auth_token_failures_total", "Requests with a bearer token that did not count.", func(s auth.Stats) int64 { return s.Tokens }},
		{"registry_auth_throttled_total", "Logins turned away because there were too many.", func(s auth.Stats) int64 { return s.Refusals }},
		{"registry_auth_tokens_total", "Tokens made at /token.", func(s auth.Stats) int64 { return s.Scoped }},
	} {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: c.name, Help: c.help}, func() float64 { return float64(c.of(stats())) }))
	}
}

// watchAudit adds what the audit log has lost.
func (m *metrics) watchAudit(dropped func() int64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "registry_audit_dropped_total", Help: "Events of the audit log that were dropped because the storage did not take them for too long."}, func() float64 { return float64(dropped()) }))
}

func (m *metrics) audited(e audit.Event) {
	m.auditEvents.WithLabelValues(e.Action, strconv.FormatBool(e.Allowed)).Inc()
}

// collected counts what a garbage collection did.
func (m *metrics) collected(report registry.CollectReport, err error) {
	result := "ok"
	switch {
	case oci.ErrorCode(err) == oci.CodeConflict:
		result = "skipped"
	case err != nil:
		result = "failed"
	}
	m.gcRuns.WithLabelValues(result).Inc()
	if report.DryRun {
		return
	}
	for _, n := range report.Deleted {
		m.gcDeleted.WithLabelValues(n.Kind).Add(float64(n.Count))
	}
	m.gcBytes.Add(float64(report.DeletedBytes()))
	m.evicted(report.Caches)
	if err == nil {
		m.gcLast.SetToCurrentTime()
	}
}

// evicted shows how large caches are, of which only those with a bound are known.
func (m *metrics) evicted(caches []registry.CacheUsage) {
	m.cacheBytes.Reset()
	for _, u := range caches {
		m.cacheBytes.WithLabelValues(u.Prefix).Set(float64(u.Bytes))
		m.evictedImages.WithLabelValues(u.Prefix).Add(float64(u.EvictedImages))
		m.evictedBytes.WithLabelValues(u.Prefix).Add(float64(u.EvictedBytes))
	}
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

func (m *metrics) begin(endpoint string) { m.inFlight.WithLabelValues(endpoint).Inc() }

func (m *metrics) end(r *http.Request, x exchange) {
	m.inFlight.WithLabelValues(x.endpoint).Dec()
	method := strings.ToLower(r.Method)
	switch r.Method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE":
	default:
		method = "other" // a label must not grow with what clients make up
	}
	m.requests.WithLabelValues(x.endpoint, method, strconv.Itoa(x.status)).Inc()
	m.duration.WithLabelValues(x.endpoint, method).Observe(x.duration.Seconds())
	m.sent.WithLabelValues(x.endpoint).Add(float64(x.bytes))
	if event := sessionEvent(x.endpoint, r.Method, x.status); event != "" {
		m.sessions.WithLabelValues(event).Inc()
	}
	if r.ContentLength > 0 {
		m.received.WithLabelValues(x.endpoint).Add(float64(r.ContentLength))
	}
}
