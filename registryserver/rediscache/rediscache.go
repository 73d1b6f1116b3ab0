// Package rediscache is the optional Redis beside several servers on one
// storage: a cache of what each has seen, and a channel for word of changes. It
// is disposable. A Redis that is slow, empty, wrong or gone costs speed; nothing
// here returns an error. What it holds is sealed, so that whoever writes to
// Redis can make a server forget, and nothing else.
package rediscache

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
)

const (
	purpose = "shared cache"
	// patience is how long a request waits for Redis before the storage is asked,
	// and rest how long nobody asks Redis after that.
	patience = 100 * time.Millisecond
	rest     = 2 * time.Second
	// queued bounds the values that wait to be written. More are dropped.
	queued = 1024
	// maxValue bounds what is read: facts are small.
	maxValue = 1 << 10
)

// Config says which Redis, and what for. Options and Keys are needed.
type Config struct {
	Options *redis.UniversalOptions
	Keys    *auth.Keyring // seals what is kept; the same on all servers
	// Place names the storage that the values are about: several registries may
	// share one Redis, and even their secret.
	Place    string
	Lifetime time.Duration // of a value; the default is an hour
	Log      *slog.Logger  // the default is slog.Default()
}

// Cache is a connection to Redis. It is safe for concurrent use.
type Cache struct {
	Config
	client  redis.UniversalClient
	puts    chan entry
	resting atomic.Int64 // until when, in Unix nanoseconds
	failing atomic.Bool
}

type entry struct {
	key   string
	value []byte
}

// New connects when it is first needed.
func New(c Config) *Cache {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Lifetime <= 0 {
		c.Lifetime = time.Hour
	}
	o := *c.Options
	o.ContextTimeoutEnabled = true
	if o.DialTimeout == 0 {
		o.DialTimeout = time.Second
	}
	if o.MaxRetries == 0 {
		o.MaxRetries = -1 // the storage answers sooner than a retry
	}
	return &Cache{Config: c, client: redis.NewUniversalClient(&o), puts: make(chan entry, queued)}
}

func (c *Cache) name(key string) string { return "registrykit:v1:" + c.Place + ":" + key }

// Get returns a value that Put was given under the key, by any server.
func (c *Cache) Get(ctx context.Context, key string) ([]byte, bool) {
	if time.Now().UnixNano() < c.resting.Load() {
		return nil, false
	}
	asked, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	sealed, err := c.client.GetRange(asked, c.name(key), 0, maxValue).Bytes()
	if ctx.Err() != nil {
		return nil, false // it was not Redis that failed
	}
	c.note(err)
	if err != nil || len(sealed) == 0 {
		return nil, false
	}
	value, err := c.Keys.Open(purpose, sealed, []byte(c.name(key)))
	return value, err == nil
}

// Put stores a value soon, or not at all.
func (c *Cache) Put(key string, value []byte) {
	select {
	case c.puts <- entry{key, value}:
	default:
	}
}

func (c *Cache) put(ctx context.Context, e entry) {
	if time.Now().UnixNano() < c.resting.Load() {
		return
	}
	sealed, err := c.Keys.Seal(purpose, e.value, []byte(c.name(e.key)))
	if err != nil {
		return
	}
	asked, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = c.client.Set(asked, c.name(e.key), sealed, c.Lifetime).Err()
	if ctx.Err() == nil {
		c.note(err)
	}
}

// note remembers whether Redis works, and logs when that changes.
func (c *Cache) note(err error) {
	if err == nil || err == redis.Nil { //nolint:errorlint // it is returned bare
		if c.failing.Swap(false) {
			c.Log.Info("Redis works again")
		}
		return
	}
	c.resting.Store(time.Now().Add(rest).UnixNano())
	if !c.failing.Swap(true) {
		c.Log.Warn("Redis does not work; the storage is asked instead", "error", err)
	}
}

// Close ends the connections.
func (c *Cache) Close() error { return c.client.Close() }
