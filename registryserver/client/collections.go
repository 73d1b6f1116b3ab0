package client

import (
	"context"
	"net/http"
	"time"
)

// CollectionSpec asks for a garbage collection.
type CollectionSpec struct {
	DryRun bool `json:"dry_run,omitempty"`
	// DeleteUntagged is what the server's configuration says if it is nil.
	DeleteUntagged *bool `json:"delete_untagged,omitempty"`
}

// CollectionStarted names a garbage collection that begins.
type CollectionStarted struct {
	ID string `json:"id"`
}

// Collection is a garbage collection that runs, or has run.
type Collection struct {
	CollectReport
	// Step is what it is doing, and Done how far it is with it, of so many (0:
	// nobody knows).
	Step string `json:"step,omitempty"`
	Done int    `json:"done,omitempty"`
	Of   int    `json:"of,omitempty"`
}

// CollectReport is what a garbage collection did. Ended is zero while it runs.
type CollectReport struct {
	ID           string        `json:"id"`
	Trigger      string        `json:"trigger"`
	DryRun       bool          `json:"dry_run"`
	Untagged     bool          `json:"delete_untagged"`
	Started      time.Time     `json:"started_at"`
	Ended        time.Time     `json:"ended_at,omitzero"`
	Error        string        `json:"error,omitempty"`
	Repositories int           `json:"repositories"`
	Manifests    int           `json:"manifests"`
	Blobs        int           `json:"blobs"`
	Bytes        int64         `json:"bytes"`
	DeletedBytes int64         `json:"deleted_bytes"`
	Deleted      []UnusedCount `json:"deleted"`
	Next         []UnusedCount `json:"next"`
	Caches       []CacheUsage  `json:"caches,omitempty"`
	Examples     []Unused      `json:"examples"`
}

// CacheUsage is what a collection says of a pull-through cache that has a bound.
type CacheUsage struct {
	Prefix   string `json:"prefix"` // "" for the cache of the whole registry
	MaxBytes int64  `json:"max_bytes"`
	Images   int    `json:"images"` // that stay
	Bytes    int64  `json:"bytes"`  // of those
	// EvictedImages and EvictedBytes are what the collection was the first to evict.
	EvictedImages int   `json:"evicted_images"`
	EvictedBytes  int64 `json:"evicted_bytes"`
}

// UnusedCount is how much of one kind was garbage, and why.
type UnusedCount struct {
	Kind   string `json:"kind"`
	Reason string `json:"reason"`
	Count  int    `json:"count"`
	Bytes  int64  `json:"bytes"`
}

// Unused is one thing that was garbage.
type Unused struct {
	Kind       string `json:"kind"`
	Repository string `json:"repository,omitempty"`
	Reference  string `json:"reference,omitempty"`
	Reason     string `json:"reason"`
	Bytes      int64  `json:"bytes,omitempty"`
	Next       bool   `json:"next,omitempty"`
}

// Exclusive says whether only servers of Registry Kit write to the storage.
type Exclusive struct {
	Exclusive bool      `json:"exclusive"`
	Since     time.Time `json:"since,omitzero"`
	By        string    `json:"by,omitempty"`
}

// StartCollection has a garbage collection begin in the background, and returns its
// id. CONFLICT if the server runs one, or the storage is not marked as exclusive.
func (c *Client) StartCollection(ctx context.Context, spec CollectionSpec) (string, error) {
	var started CollectionStarted
	err := c.do(ctx, request{method: http.MethodPost, path: "/collections", body: spec}, &started)
	return started.ID, err
}

// ListCollections returns the collection that the server runs which is asked, and
// the reports of the last ones of all servers, the newest first.
func (c *Client) ListCollections(ctx context.Context) ([]Collection, error) {
	var all struct {
		Items []Collection `json:"items"`
	}
	err := c.do(ctx, request{method: http.MethodGet, path: "/collections"}, &all)
	return all.Items, err
}

// GetExclusive returns whether the storage is marked as exclusive.
func (c *Client) GetExclusive(ctx context.Context) (Exclusive, error) {
	var e Exclusive
	err := c.do(ctx, request{method: http.MethodGet, path: "/storage/exclusive"}, &e)
	return e, err
}

// SetExclusive marks the storage as exclusive, or takes the mark away.
func (c *Client) SetExclusive(ctx context.Context, exclusive bool) error {
	method := http.MethodPut
	if !exclusive {
		method = http.MethodDelete
	}
	return c.do(ctx, request{method: method, path: "/storage/exclusive"}, nil)
}
