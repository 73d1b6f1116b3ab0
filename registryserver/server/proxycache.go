package server

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/registrykit/terraform-provider-registry/registryserver/proxycache"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// openProxy opens the pull-through caches.
func (s *Server) openProxy(ctx context.Context, records storage.Records, images *registry.Registry) error {
	keys, err := s.configuredKeys()
	if err != nil {
		return err
	}
	s.proxies, err = proxycache.OpenStore(ctx, proxycache.StoreConfig{
		Records: records, Keys: keys, Log: s.log, Whole: s.config.Proxy.whole(), ReadOnly: s.config.Storage.ReadOnly, Changed: s.announce(changedProxies),
	})
	if err != nil {
		return fmt.Errorf("pull-through caches: %w", err)
	}
	s.proxy, err = proxycache.New(proxycache.Config{
		Store: s.proxies, Registry: images, Records: records, Log: s.log, UserAgent: "registryserver/" + s.version, ReadOnly: s.config.Storage.ReadOnly,
	})
	if err != nil {
		return err
	}
	// What is being fetched is written to the storage, so it ends first.
	s.closers = append([]func() error{s.proxy.Close}, s.closers...)
	s.metrics.registry.MustRegister(newProxyCollector(s.proxy))
	return nil
}

// whole is the cache that the configuration asks for; nil for none.
func (c ProxyConfig) whole() *proxycache.Whole {
	if c.RemoteURL == "" {
		return nil
	}
	return &proxycache.Whole{URL: c.RemoteURL, Username: c.Username, Password: string(c.Password), MaxSize: int64(c.MaxSize)}
}

// storedProxies opens the pull-through caches for a command, which needs none of
// their passwords.
func storedProxies(ctx context.Context, c *Config, records storage.Records) (*proxycache.Store, error) {
	proxies, err := proxycache.OpenStore(ctx, proxycache.StoreConfig{Records: records, Whole: c.Proxy.whole(), ReadOnly: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, fmt.Errorf("pull-through caches: %w", err)
	}
	return proxies, nil
}

// proxyCollector shows what pull-through caches count. Names are those of
// distribution where it has them.
type proxyCollector struct {
	cache     *proxycache.Cache
	counts    map[string]*prometheus.Desc
	limit     *prometheus.Desc
	remaining *prometheus.Desc
}

func newProxyCollector(cache *proxycache.Cache) proxyCollector {
	count := func(name, help, label string) *prometheus.Desc {
		return prometheus.NewDesc("registry_proxy_"+name+"_total", help, []string{label, "prefix"}, nil)
	}
	gauge := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("registry_proxy_upstream_ratelimit_"+name, help, []string{"prefix"}, nil)
	}
	return proxyCollector{
		cache: cache,
		counts: map[string]*prometheus.Desc{
			"requests":        count("requests", "Requests for what is in pull-through caches.", "type"),
			"hits":            count("hits", "Requests that were answered without fetching anything.", "type"),
			"misses":          count("misses", "Requests for what was not here.", "type"),
			"stale":           count("stale", "Requests for tags that were answered with what is here since the upstream did not answer.", "type"),
			"pulled_bytes":    count("pulled_bytes", "Bytes that were fetched from upstreams.", "type"),
			"upstream_errors": count("upstream_errors", "Requests that upstreams did not answer as they should, by reason.", "reason"),
		},
		limit:     gauge("limit", "How many pulls the upstream allows (ratelimit-limit), as it said last."),
		remaining: gauge("remaining", "How many of them are left (ratelimit-remaining), as it said last."),
	}
}

// Describe is part of prometheus.Collector.
func (c proxyCollector) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range c.counts {
		out <- desc
	}
	out <- c.limit
	out <- c.remaining
}

// Collect is part of prometheus.Collector.
func (c proxyCollector) Collect(out chan<- prometheus.Metric) {
	for _, n := range c.cache.Counts() {
		if desc := c.counts[n.Name]; desc != nil {
			out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, n.Value, n.Kind, n.Prefix)
		}
	}
	for _, l := range c.cache.Limits() {
		out <- prometheus.MustNewConstMetric(c.limit, prometheus.GaugeValue, l.Limit, l.Prefix)
		out <- prometheus.MustNewConstMetric(c.remaining, prometheus.GaugeValue, l.Remaining, l.Prefix)
	}
}
