package server

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/s3store"
)

// s3Metrics counts what a bucket was asked, which is what it costs.
type s3Metrics struct{ requests *prometheus.CounterVec }

func newS3Metrics() s3Metrics {
	return s3Metrics{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "registry_s3_requests_total", Help: "Requests to S3, repetitions included, by operation and status of the answer: none if there was no answer."}, []string{"operation", "code"})}
}

func (m s3Metrics) observe(operation string, status int) {
	code := "none"
	if status != 0 {
		code = strconv.Itoa(status)
	}
	m.requests.WithLabelValues(operation, code).Inc()
}

// sessionEvent is what an answered request did to an upload session, or "".
func sessionEvent(endpoint, method string, status int) string {
	switch {
	case endpoint == "blob_upload" && method == http.MethodPost && status == http.StatusAccepted:
		return "begun"
	case endpoint == "blob_upload_chunk" && method == http.MethodPut && status == http.StatusCreated:
		return "committed"
	case endpoint == "blob_upload_chunk" && method == http.MethodDelete && status == http.StatusNoContent:
		return "cancelled"
	}
	return ""
}

// watchStorage adds what the registry and its store count themselves. Names are
// those of distribution where it has such a metric.
func (m *metrics) watchStorage(s store, cache func() registry.CacheStats) {
	m.registry.MustRegister(
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "registry_storage_cache_requests_total", Help: "Links and blobs that were looked for in the cache."},
			func() float64 { return float64(cache().Requests) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "registry_storage_cache_hits_total", Help: "Links and blobs that the cache, or the shared one, had."},
			func() float64 { return float64(cache().Hits) }),
	)
	bucket, ok := s.(*s3store.Store)
	if !ok {
		return
	}
	gauge := func(name, help string, value func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	gauge("registry_upload_buffer_bytes", "Memory that parts of uploads take on their way to S3.", func() float64 { used, _ := bucket.Buffers(); return float64(used) })
	gauge("registry_upload_buffer_limit_bytes", "Memory that parts of uploads may take.", func() float64 { _, limit := bucket.Buffers(); return float64(limit) })
}
