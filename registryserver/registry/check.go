package registry

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// Severity says what a Finding means to users.
type Severity string

const (
	// Broken is what a client can run into: an image that cannot be pulled, a
	// tag that leads nowhere.
	Broken Severity = "broken"
	// Garbage is what costs space and nothing else.
	Garbage Severity = "garbage"
)

// Finding is one thing that is not as it should be.
type Finding struct {
	Severity   Severity `json:"severity"`
	Kind       string   `json:"kind"` // one of the kinds in docs/operations.md
	Repository string   `json:"repository,omitempty"`
	Reference  string   `json:"reference,omitempty"` // a tag or digest
	Message    string   `json:"message"`
	Repaired   bool     `json:"repaired"`
}

// CheckOptions says how thorough a Check is.
type CheckOptions struct {
	// Content reads every blob and verifies its digest.
	Content bool
	// Repair mends what can be mended without a loss: see docs/operations.md.
	Repair bool
	// Partial, if not nil, reports whether manifests of a repository may name what
	// it lacks, since that is fetched when somebody asks for it.
	Partial func(oci.Repository) bool
	// Progress, if not nil, is told how many repositories and blobs were checked.
	Progress func(repositories, blobs int)
}

// CheckSummary counts what a Check looked at and found.
type CheckSummary struct {
	Repositories int   `json:"repositories"`
	Tags         int   `json:"tags"`
	Manifests    int   `json:"manifests"`
	Blobs        int   `json:"blobs"`
	Bytes        int64 `json:"bytes"`
	Broken       int   `json:"broken"`
	Garbage      int   `json:"garbage"`
	Repaired     int   `json:"repaired"`
}

// Check walks everything that the registry keeps, and reports what is not as
// it should be. The error is a fault of the store; what is merely wrong is a
// Finding. While others push and delete, it may report what was half done.
func (r *Registry) Check(ctx context.Context, o CheckOptions, found func(Finding)) (CheckSummary, error) {
	c := &checker{r: r, o: o, found: found, linked: map[oci.Digest]struct{}{}, damaged: map[oci.Digest]struct{}{}}
	err := c.blobs(ctx)
	if err == nil {
		err = c.repositories(ctx)
	}
	if err == nil {
		err = c.orphans(ctx)
	}
	return c.sum, err
}

// checker carries one Check.
type checker struct {
	r       *Registry
	o       CheckOptions
	found   func(Finding)
	sum     CheckSummary
	linked  map[oci.Digest]struct{} // canonical digests that some repository links
	damaged map[oci.Digest]struct{}
	led     map[oci.Digest]bool // to which the tags of ledIn lead; nil for unknown
	ledIn   oci.Repository
}

// report counts a finding, mends it if there is a way and that is wanted, and
// passes it on.
func (c *checker) report(ctx context.Context, f Finding, mend func(context.Context) error) error {
	if f.Severity == Broken {
		c.sum.Broken++
	} else {
		c.sum.Garbage++
	}
	var err error
	if mend != nil && c.o.Repair {
		if err = c.r.deleting(ctx, func() error { return mend(ctx) }); err == nil {
			f.Repaired = true
			c.sum.Repaired++
		}
	}
	c.found(f)
	return err
}

func (c *checker) progress() {
	if c.o.Progress != nil {
		c.o.Progress(c.sum.Repositories, c.sum.Blobs)
	}
}

// blobs reads every blob, if that is wanted. A damaged one is removed by a
// repair: no client accepts it, and while it is there no push brings it back.
func (c *checker) blobs(ctx context.Context) error {
	for info, err := range c.r.blobs.All(ctx) {
		if err != nil {
			return err
		}
		c.sum.Blobs++
		c.sum.Bytes += info.Size
		c.progress()
		if !c.o.Content {
			continue
		}
		good, err := c.verify(ctx, info)
		if err != nil {
			return err
		}
		if good {
			continue
		}
		c.damaged[info.Digest] = struct{}{}
		err = c.report(ctx, Finding{Severity: Broken, Kind: "blob-damaged", Reference: info.Digest.String(),
			Message: "the content does not have its digest: the disk or another program changed it; push it again"},
			func(ctx context.Context) error { return c.r.blobs.Delete(ctx, info.Digest) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) verify(ctx context.Context, info storage.BlobInfo) (bool, error) {
	content, err := c.r.blobs.Open(ctx, info.Digest, 0)
	if errors.Is(err, storage.ErrNotFound) {
		return true, nil // deleted meanwhile
	}
	if err != nil {
		return false, err
	}
	defer content.Close()
	h := oci.Canonical.NewHash()
	if _, err := io.Copy(h, content); err != nil {
		return false, fmt.Errorf("read blob %s: %w", info.Digest, err)
	}
	return oci.FromHash(oci.Canonical, h) == info.Digest, nil
}

// orphans reports the blobs that no repository links.
func (c *checker) orphans(ctx context.Context) error {
	for info, err := range c.r.blobs.All(ctx) {
		if err != nil {
			return err
		}
		if _, ok := c.linked[info.Digest]; ok {
			continue
		}
		err := c.report(ctx, Finding{Severity: Garbage, Kind: "blob-orphan", Reference: info.Digest.String(),
			Message: fmt.Sprintf("no repository has these %d bytes", info.Size)}, nil)
		if err != nil {
			return err
		}
	}
	return nil
}

// has reports whether the store has the content of a canonical digest, whole.
func (c *checker) has(ctx context.Context, d oci.Digest) (bool, error) {
	if _, bad := c.damaged[d]; bad {
		return false, nil
	}
	_, err := c.r.blobs.Stat(ctx, d)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
