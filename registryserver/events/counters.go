package events

import (
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// counters are metrics with the names of distribution's.
type counters struct {
	events  *prometheus.CounterVec
	pending *prometheus.GaugeVec
	status  *prometheus.CounterVec
	queued  *prometheus.Desc
}

func newCounters() counters {
	return counters{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "registry_notifications_events_total", Help: "Events by receiver, replications as replication:NAME: Events taken on, Successes and Failures of requests, Dropped ones that were given up."}, []string{"endpoint", "type"}),
		pending: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "registry_notifications_pending_total", Help: "Events that this server is delivering, by receiver."}, []string{"endpoint"}),
		status: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "registry_notifications_status_total", Help: "Answers of receivers, by status."}, []string{"endpoint", "code"}),
		queued: prometheus.NewDesc("registry_notifications_queued", "Events of all servers that wait in the storage, as this server knows it.", nil, nil),
	}
}

// Describe is part of prometheus.Collector.
func (n *Notifier) Describe(out chan<- *prometheus.Desc) {
	n.counts.events.Describe(out)
	n.counts.pending.Describe(out)
	n.counts.status.Describe(out)
	out <- n.counts.queued
}

// Collect is part of prometheus.Collector.
func (n *Notifier) Collect(out chan<- prometheus.Metric) {
	n.counts.events.Collect(out)
	n.counts.pending.Collect(out)
	n.counts.status.Collect(out)
	out <- prometheus.MustNewConstMetric(n.counts.queued, prometheus.GaugeValue, float64(max(n.queue.waiting.Load(), 0)))
}

// label is a receiver's name in metrics: that of an endpoint of the configuration
// is as distribution has it.
func label(receiver string) string { return strings.TrimPrefix(receiver, endpointPrefix) }

func (c counters) begin(webhook string) {
	c.events.WithLabelValues(label(webhook), "Events").Inc()
	c.pending.WithLabelValues(label(webhook)).Inc()
}

func (c counters) end(webhook string) { c.pending.WithLabelValues(label(webhook)).Dec() }

func (c counters) failed(webhook string) { c.events.WithLabelValues(label(webhook), "Failures").Inc() }

func (c counters) answered(webhook string, status int) {
	c.status.WithLabelValues(label(webhook), strconv.Itoa(status)).Inc()
	if status/100 == 2 {
		c.events.WithLabelValues(label(webhook), "Successes").Inc()
		return
	}
	c.failed(webhook)
}

func (c counters) drop(webhooks []string) {
	for _, webhook := range webhooks {
		c.events.WithLabelValues(label(webhook), "Dropped").Inc()
	}
}
