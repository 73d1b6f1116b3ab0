package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisConfig is the Redis beside several servers. The fields are the keys of
// distribution 3, which are the options of the Redis client; Addr and Pool are
// those of 2.8.
type RedisConfig struct {
	Addrs                            []string
	Addr                             string
	Username, ClientName             string
	SentinelUsername, MasterName     string
	IdentitySuffix                   string
	Password, SentinelPassword       Secret
	DB, Protocol, MaxRetries         int
	PoolSize, MinIdleConns           int
	MaxIdleConns, MaxActiveConns     int
	MaxRedirects                     int
	MinRetryBackoff, MaxRetryBackoff time.Duration
	DialTimeout                      time.Duration
	ReadTimeout, WriteTimeout        time.Duration
	PoolTimeout                      time.Duration
	ConnMaxIdleTime, ConnMaxLifetime time.Duration
	PoolFIFO, ReadOnly               bool
	RouteByLatency, RouteRandomly    bool
	DisableIdentity                  bool
	TLS                              RedisTLSConfig
	PoolMaxIdle, PoolMaxActive       int
	PoolIdleTimeout                  time.Duration
}

// RedisTLSConfig is how the connections are encrypted.
type RedisTLSConfig struct {
	Enabled          bool
	Certificate, Key string
	RootCAs          []string
}

// configured reports whether there is a Redis.
func (c *RedisConfig) configured() bool { return c.Addr != "" || len(c.Addrs) > 0 }

// settings are both shapes of the section: 3's, after the Redis client's options,
// and 2.8's addr and pool.
func (c *RedisConfig) settings() []setting {
	if c == nil {
		return nil
	}
	number := func(to *int) settingValue { return asInt(to, math.MinInt) }
	return []setting{
		{"redis.addrs", asTexts(&c.Addrs)},
		{"redis.addr", asText(&c.Addr)},
		{"redis.username", asText(&c.Username)},
		{"redis.password", asSecret(&c.Password)},
		{"redis.db", number(&c.DB)},
		{"redis.clientname", asText(&c.ClientName)},
		{"redis.identitysuffix", asText(&c.IdentitySuffix)},
		{"redis.disableidentity", asBool(&c.DisableIdentity)},
		{"redis.mastername", asText(&c.MasterName)},
		{"redis.sentinelusername", asText(&c.SentinelUsername)},
		{"redis.sentinelpassword", asSecret(&c.SentinelPassword)},
		{"redis.tls.enabled", asBool(&c.TLS.Enabled)},
		{"redis.tls.certificate", asText(&c.TLS.Certificate)},
		{"redis.tls.key", asText(&c.TLS.Key)},
		{"redis.tls.rootcas", asTexts(&c.TLS.RootCAs)},
		{"redis.protocol", number(&c.Protocol)},
		{"redis.dialtimeout", asDuration(&c.DialTimeout)},
		{"redis.readtimeout", asDuration(&c.ReadTimeout)},
		{"redis.writetimeout", asDuration(&c.WriteTimeout)},
		{"redis.maxretries", number(&c.MaxRetries)},
		{"redis.minretrybackoff", asDuration(&c.MinRetryBackoff)},
		{"redis.maxretrybackoff", asDuration(&c.MaxRetryBackoff)},
		{"redis.poolsize", number(&c.PoolSize)},
		{"redis.poolfifo", asBool(&c.PoolFIFO)},
		{"redis.pooltimeout", asDuration(&c.PoolTimeout)},
		{"redis.minidleconns", number(&c.MinIdleConns)},
		{"redis.maxidleconns", number(&c.MaxIdleConns)},
		{"redis.maxactiveconns", number(&c.MaxActiveConns)},
		{"redis.connmaxidletime", asDuration(&c.ConnMaxIdleTime)},
		{"redis.connmaxlifetime", asDuration(&c.ConnMaxLifetime)},
		{"redis.maxredirects", number(&c.MaxRedirects)},
		{"redis.readonly", asBool(&c.ReadOnly)},
		{"redis.routebylatency", asBool(&c.RouteByLatency)},
		{"redis.routerandomly", asBool(&c.RouteRandomly)},
		{"redis.pool.maxidle", number(&c.PoolMaxIdle)},
		{"redis.pool.maxactive", number(&c.PoolMaxActive)},
		{"redis.pool.idletimeout", asDuration(&c.PoolIdleTimeout)},
	}
}

// options are those of the Redis client.
func (c *RedisConfig) options() (*redis.UniversalOptions, error) {
	o := &redis.UniversalOptions{
		Addrs: c.Addrs, ClientName: c.ClientName, DB: c.DB, Protocol: c.Protocol,
		Username: c.Username, Password: string(c.Password),
		SentinelUsername: c.SentinelUsername, SentinelPassword: string(c.SentinelPassword), MasterName: c.MasterName,
		MaxRetries: c.MaxRetries, MinRetryBackoff: c.MinRetryBackoff, MaxRetryBackoff: c.MaxRetryBackoff,
		DialTimeout: c.DialTimeout, ReadTimeout: c.ReadTimeout, WriteTimeout: c.WriteTimeout,
		PoolFIFO: c.PoolFIFO, PoolSize: c.PoolSize, PoolTimeout: c.PoolTimeout,
		MinIdleConns: c.MinIdleConns, MaxIdleConns: c.MaxIdleConns, MaxActiveConns: c.MaxActiveConns,
		ConnMaxIdleTime: c.ConnMaxIdleTime, ConnMaxLifetime: c.ConnMaxLifetime,
		MaxRedirects: c.MaxRedirects, ReadOnly: c.ReadOnly, RouteByLatency: c.RouteByLatency, RouteRandomly: c.RouteRandomly,
		DisableIdentity: c.DisableIdentity, IdentitySuffix: c.IdentitySuffix,
	}
	if len(o.Addrs) == 0 {
		o.Addrs = []string{c.Addr}
		o.MaxIdleConns, o.MaxActiveConns, o.ConnMaxIdleTime = c.PoolMaxIdle, c.PoolMaxActive, c.PoolIdleTimeout
	}
	var err error
	o.TLSConfig, err = c.TLS.config()
	return o, err
}

// config is nil without TLS. A certificate or a CA asks for it, too.
func (c RedisTLSConfig) config() (*tls.Config, error) {
	if !c.Enabled && c.Certificate == "" && len(c.RootCAs) == 0 {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.Certificate != "" || c.Key != "" {
		pair, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
		if err != nil {
			return nil, fmt.Errorf("redis.tls.certificate and redis.tls.key: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	for _, file := range c.RootCAs {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("redis.tls.rootcas: %w", err)
		}
		if t.RootCAs == nil {
			t.RootCAs = x509.NewCertPool()
		}
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("redis.tls.rootcas: " + file + " has no certificate in PEM")
		}
	}
	return t, nil
}
