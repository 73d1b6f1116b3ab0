package proxycache

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
	"github.com/registrykit/terraform-provider-registry/registryserver/transfer"
)

// Config is what a Cache is made of. Store, Registry and Records are needed.
type Config struct {
	Store    *Store
	Registry *registry.Registry
	Records  storage.Records // for the leases of fetches
	Log      *slog.Logger    // the default is slog.Default()
	// UserAgent is how upstreams see this server.
	UserAgent string
	// ReadOnly fetches nothing.
	ReadOnly bool

	// Window is how much of a blob is kept in memory for those who read it while it
	// is fetched; who is slower reads on from the storage. The default is 4 MiB.
	Window int
	// Fetches is how many blobs are fetched at once. The default is 32.
	Fetches int
	// Silence is for how long an upstream may send nothing before a request counts
	// as failed. The default is 30 s.
	Silence time.Duration
	// Beat is how often a fetch shows the other servers that it lives, and Lapse
	// for how long it may show nothing until another takes over. The defaults are
	// 5 s and 20 s.
	Beat, Lapse time.Duration
	// Rest is for how long an upstream that failed is left alone where there is
	// something to serve without it. The default is 15 s.
	Rest time.Duration
	// Now is the clock. The default is time.Now.
	Now func() time.Time
}

// The bounds of what is kept for upstreams.
const (
	maxRepositoryClients = 512
	fetchTries           = 4 // of one fetch that is cut off
)

// Cache fetches from upstreams. Its methods may be called concurrently.
type Cache struct {
	Config
	slots   chan struct{} // one for each fetch at once
	clients *lru.Cache[clientKey, *transfer.RemoteRepository]
	stats   *stats
	asking  singleflight.Group // manifests

	mu        sync.Mutex
	flights   map[flightKey]*flight // blobs that are being fetched
	upstreams map[string]*remote    // by prefix

	stopping context.Context // ends when Close is called
	stop     context.CancelFunc
	running  sync.WaitGroup
}

// New returns a cache.
func New(c Config) (*Cache, error) {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Window <= 0 {
		c.Window = 4 << 20
	}
	if c.Fetches <= 0 {
		c.Fetches = 32
	}
	for _, d := range []struct {
		of       *time.Duration
		fallback time.Duration
	}{{&c.Silence, 30 * time.Second}, {&c.Beat, 5 * time.Second}, {&c.Lapse, 20 * time.Second}, {&c.Rest, 15 * time.Second}} {
		if *d.of <= 0 {
			*d.of = d.fallback
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.UserAgent == "" {
		c.UserAgent = "registryserver"
	}
	clients, err := lru.New[clientKey, *transfer.RemoteRepository](maxRepositoryClients)
	if err != nil {
		return nil, err
	}
	stopping, stop := context.WithCancel(context.Background())
	return &Cache{
		Config: c, slots: make(chan struct{}, c.Fetches), clients: clients, stats: newStats(),
		flights: map[flightKey]*flight{}, upstreams: map[string]*remote{},
		stopping: stopping, stop: stop,
	}, nil
}

// Close ends all fetches and waits for them.
func (c *Cache) Close() error {
	c.stop()
	c.running.Wait()
	return nil
}

// RefusePush is that of the Store.
func (c *Cache) RefusePush(ctx context.Context, repo oci.Repository) error {
	return c.Store.RefusePush(ctx, repo)
}

// detached returns a context that outlives the request that it comes from, and
// ends when the cache is closed.
func (c *Cache) detached(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(c.stopping, cancel)
	return ctx, func() { stop(); cancel() }
}

// begin counts a goroutine that Close is to wait for; false once it is closed.
func (c *Cache) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopping.Err() != nil {
		return false
	}
	c.running.Add(1)
	return true
}

// absent reports whether an error says that the registry does not have something.
func absent(err error) bool {
	code := oci.ErrorCode(err)
	return code == oci.CodeBlobUnknown || code == oci.CodeManifestUnknown
}

var errClosing = errors.New("the server is stopping")
