package transfer

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/registrykit/terraform-provider-registry/registryserver/archive"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Copier copies images to the repositories of one registry. What a repository
// has is not sent again, and what another one of them got is mounted from there.
// It may be used concurrently.
type Copier struct {
	slots    chan struct{} // one for each blob on its way
	progress *Progress

	mu    sync.Mutex
	known map[oci.Digest]string // a repository of the target's registry that has it
	locks map[oci.Digest]*lock
}

// lock keeps two images from sending one blob at the same time.
type lock struct {
	sync.Mutex
	users int
}

// NewCopier returns a Copier that has at most so many blobs on their way at once.
// Progress may be nil.
func NewCopier(parallel int, p *Progress) *Copier {
	if p == nil {
		p = &Progress{}
	}
	return &Copier{slots: make(chan struct{}, max(parallel, 1)), progress: p, known: map[oci.Digest]string{}, locks: map[oci.Digest]*lock{}}
}

// Place is a repository that images are put into, and its name.
type Place struct {
	Target
	Name string
}

const (
	maxDepth = 4 // of indexes in indexes, and of referrers of referrers
	blobTry  = 4
)

// errUnsupported: the manifest is of a kind that no registry takes today.
var errUnsupported = errors.New("it is an image of Docker's schema 1, which has to be converted: pull it with an old Docker, and push it again")

// errDamaged: the source keeps other bytes than it says.
var errDamaged = errors.New("it is damaged at the source: its content has another digest")

// Manifest copies a manifest under its digest, and before it all that it leads
// to.
func (c *Copier) Manifest(ctx context.Context, from archive.Source, to Place, d oci.Digest) error {
	return c.manifest(ctx, from, to, d, 0)
}

func (c *Copier) manifest(ctx context.Context, from archive.Source, to Place, d oci.Digest, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("more than %d indexes are in one another", maxDepth)
	}
	// A registry takes a manifest after what it leads to. So what it has is whole.
	if has, err := to.HasManifest(ctx, d); has || err != nil {
		if has {
			c.progress.add(func(s *Sums) { s.ManifestsPresent++ })
		}
		return err
	}
	content, m, err := readManifest(ctx, from, d)
	if err != nil {
		return err
	}
	for _, child := range m.Manifests {
		if err := c.manifest(ctx, from, to, child.Digest, depth+1); err != nil {
			return fmt.Errorf("%s: %w", child.Digest, err)
		}
	}
	group, groupCtx := errgroup.WithContext(ctx)
	seen := map[oci.Digest]bool{}
	for _, b := range m.Blobs() {
		if seen[b.Digest] || b.NonDistributable() {
			continue
		}
		seen[b.Digest] = true
		group.Go(func() error { return c.blob(groupCtx, from, to, b) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	listed, err := to.PutManifest(ctx, oci.Reference{Digest: d}, m.MediaType, content)
	if err == nil && m.Subject != nil && !listed {
		err = c.list(ctx, to, m, d, int64(len(content)))
	}
	if err == nil {
		c.progress.add(func(s *Sums) { s.ManifestsCopied++ })
	}
	return err
}

func readManifest(ctx context.Context, from archive.Source, d oci.Digest) ([]byte, *oci.Manifest, error) {
	content, err := from.Manifest(ctx, d)
	if err != nil {
		return nil, nil, err
	}
	m, err := oci.ParseManifest("", content)
	if err != nil && oci.SniffMediaType(content) == "application/vnd.docker.distribution.manifest.v1+prettyjws" {
		err = errUnsupported
	}
	return content, m, err
}

// blob makes sure that the target has a blob.
func (c *Copier) blob(ctx context.Context, from archive.Source, to Place, d oci.Descriptor) error {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	unlock := c.lock(d.Digest)
	defer unlock()
	has, err := to.HasBlob(ctx, d.Digest)
	if err != nil {
		return fmt.Errorf("blob %s: %w", d.Digest, err)
	}
	if has {
		c.progress.add(func(s *Sums) { s.BlobsPresent++ })
		c.remember(d.Digest, to.Name)
		return nil
	}
	if other := c.elsewhere(d.Digest, to.Name); other != "" {
		if mounted, err := to.MountBlob(ctx, d.Digest, other); err == nil && mounted {
			c.progress.add(func(s *Sums) { s.BlobsMounted++ })
			return nil
		}
	}
	for try := 1; ; try++ {
		err = c.send(ctx, from, to, d)
		if err == nil || try >= blobTry || ctx.Err() != nil || !worthRepeating(err) {
			break
		}
		if err := sleep(ctx, retryPause(try)); err != nil {
			return err
		}
	}
	if err != nil {
		return fmt.Errorf("blob %s: %w", d.Digest, err)
	}
	c.remember(d.Digest, to.Name)
	c.progress.add(func(s *Sums) { s.BlobsCopied++; s.Bytes += d.Size })
	return nil
}

// send sends a blob once.
func (c *Copier) send(ctx context.Context, from archive.Source, to Place, d oci.Descriptor) error {
	r := &resumed{ctx: ctx, from: from, d: d, hash: d.Digest.Algorithm().NewHash(), progress: c.progress}
	defer r.close()
	err := to.PutBlob(ctx, d, r)
	if r.failed != nil { // the target only says that the content did not come
		return fmt.Errorf("read it: %w", r.failed)
	}
	return err
}

// worthRepeating reports whether a blob may arrive if it is sent again.
func worthRepeating(err error) bool {
	s := status(err)
	return !errors.Is(err, errDamaged) && !errors.Is(err, errNoTLS) && oci.ErrorCode(err) == oci.CodeUnknown &&
		(s == 0 || s >= 500 || s == http.StatusTooManyRequests || s == http.StatusNotFound)
}

// retryPause is how long to wait after a failure.
func retryPause(try int) time.Duration { return 250 * time.Millisecond << try }

func (c *Copier) lock(d oci.Digest) (unlock func()) {
	c.mu.Lock()
	l := c.locks[d]
	if l == nil {
		l = &lock{}
		c.locks[d] = l
	}
	l.users++
	c.mu.Unlock()
	l.Lock()
	return func() {
		l.Unlock()
		c.mu.Lock()
		defer c.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(c.locks, d)
		}
	}
}

// maxKnown bounds what is remembered: forgetting costs a blob that is sent
// twice.
const maxKnown = 1_000_000

func (c *Copier) remember(d oci.Digest, repository string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.known[d]; !ok && len(c.known) < maxKnown {
		c.known[d] = repository
	}
}

func (c *Copier) elsewhere(d oci.Digest, than string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known[d] == than {
		return ""
	}
	return c.known[d]
}

// resumed reads a blob, goes on where a connection broke, and fails if it does
// not have its size and digest.
type resumed struct {
	ctx      context.Context // of the one request that reads it
	from     archive.Source
	d        oci.Descriptor
	hash     hash.Hash
	progress *Progress

	content io.ReadCloser
	offset  int64
	tries   int
	failed  error
}

func (r *resumed) Read(p []byte) (int, error) {
	n, err := r.read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.failed = err
	}
	return n, err
}

func (r *resumed) read(p []byte) (int, error) {
	for {
		if r.content == nil {
			if err := r.open(); err != nil {
				return 0, err
			}
		}
		n, err := r.content.Read(p)
		r.offset += int64(n)
		_, _ = r.hash.Write(p[:n])
		r.progress.sent(n)
		switch {
		case r.offset > r.d.Size:
			return 0, fmt.Errorf("it is longer than the %d bytes that the manifest says", r.d.Size)
		case n > 0:
			return n, nil // an error comes again
		case errors.Is(err, io.EOF) && r.offset == r.d.Size:
			return 0, r.verify()
		case err == nil:
		case r.tries >= blobTry || r.ctx.Err() != nil:
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		default:
			r.close()
			r.tries++
			if err := sleep(r.ctx, retryPause(r.tries)); err != nil {
				return 0, err
			}
		}
	}
}

// verify returns io.EOF if all that was read has the digest.
func (r *resumed) verify() error {
	if oci.FromHash(r.d.Digest.Algorithm(), r.hash) != r.d.Digest {
		return errDamaged
	}
	return io.EOF
}

func (r *resumed) open() error {
	content, size, err := r.from.Open(r.ctx, r.d.Digest, r.offset)
	if err != nil {
		return err
	}
	if size >= 0 && size != r.d.Size {
		_ = content.Close()
		return fmt.Errorf("it has %d bytes, and the manifest says %d", size, r.d.Size)
	}
	r.content = content
	return nil
}

// Close lets go of the connection.
func (r *resumed) Close() error {
	r.close()
	return nil
}

func (r *resumed) close() {
	if r.content != nil {
		_ = r.content.Close()
		r.content = nil
	}
}
