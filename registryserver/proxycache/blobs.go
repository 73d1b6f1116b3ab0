package proxycache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
	"github.com/registrykit/terraform-provider-registry/registryserver/transfer"
)

// StatBlob describes a blob of any repository. Where it is one of a cache and not
// here, the upstream is asked, and nothing is fetched. BLOB_UNKNOWN,
// TOOMANYREQUESTS, UNAVAILABLE.
func (c *Cache) StatBlob(ctx context.Context, repo oci.Repository, d oci.Digest) (storage.BlobInfo, error) {
	info, rt, err := c.look(ctx, repo, d)
	if rt == nil {
		return info, err
	}
	size, err := c.askSize(ctx, rt, repo, d)
	if err == nil && size < 0 {
		err = errors.New("the upstream does not say how large the blob is")
	}
	if err != nil {
		return info, c.failed(ctx, rt, blobUnknown(repo, d), err)
	}
	return storage.BlobInfo{Digest: d, Size: size}, nil
}

// look returns the cache that has to fetch a blob that is not here; nil where
// nothing is to be fetched.
func (c *Cache) look(ctx context.Context, repo oci.Repository, d oci.Digest) (storage.BlobInfo, *route, error) {
	info, err := c.Registry.StatBlob(ctx, repo, d)
	if c.ReadOnly {
		return info, nil, err
	}
	find := c.Store.find
	if absent(err) {
		find = c.Store.findMissing
	}
	rt, ok := find(ctx, repo)
	if !ok {
		return info, nil, err
	}
	c.stats.add(counter{"requests", rt.Prefix, "blob"}, 1)
	if err == nil || !absent(err) {
		c.hit(rt, "blob")
		return info, nil, err
	}
	c.miss(rt, "blob")
	return info, rt, nil
}

func (c *Cache) askSize(ctx context.Context, rt *route, repo oci.Repository, d oci.Digest) (int64, error) {
	upstream, err := c.repository(ctx, rt, repo)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Silence)
	defer cancel()
	return upstream.Stat(ctx, d)
}

// Blob describes a blob of any repository. One of a cache that is not here is
// fetched, and returned as it comes; the caller closes it. There is no Stream of
// what is stored. BLOB_UNKNOWN, TOOMANYREQUESTS, UNAVAILABLE.
func (c *Cache) Blob(ctx context.Context, repo oci.Repository, d oci.Digest) (storage.BlobInfo, *Stream, error) {
	info, rt, err := c.look(ctx, repo, d)
	if rt == nil {
		return info, nil, err
	}
	f, err := c.join(ctx, rt, repo, d)
	if err != nil {
		return info, nil, err
	}
	size, done, err := f.await(ctx)
	if err != nil {
		return info, nil, err
	}
	if done {
		info, err = c.Registry.StatBlob(ctx, repo, d)
		return info, nil, err
	}
	return storage.BlobInfo{Digest: d, Size: size}, &Stream{ctx: ctx, cache: c, flight: f, repo: repo, digest: d, size: size}, nil
}

// StoredBlob describes a blob of any repository, once it is stored.
func (c *Cache) StoredBlob(ctx context.Context, repo oci.Repository, d oci.Digest) (storage.BlobInfo, error) {
	info, rt, err := c.look(ctx, repo, d)
	if rt == nil {
		return info, err
	}
	f, err := c.join(ctx, rt, repo, d)
	if err == nil {
		err = f.landed(ctx)
	}
	if err != nil {
		return info, err
	}
	return c.Registry.StatBlob(ctx, repo, d)
}

// mostFlights bounds the blobs that are fetched or wait for it: a flight goes on
// without its client, so the bound on connections is none on flights.
const mostFlights = 4096

// join returns the flight of a blob, which it begins if there is none.
// TOOMANYREQUESTS.
func (c *Cache) join(ctx context.Context, rt *route, repo oci.Repository, d oci.Digest) (*flight, error) {
	key := flightKey{repo, d}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.flights[key]; f != nil {
		return f, nil
	}
	if c.stopping.Err() != nil {
		return nil, errClosing
	}
	if len(c.flights) >= mostFlights {
		return nil, oci.Errorf(oci.CodeTooManyRequests, "too many blobs are being fetched from upstreams; try again in a while")
	}
	f := newFlight(c.Window)
	c.flights[key] = f
	c.running.Add(1)
	go func() {
		defer c.running.Done()
		ctx, cancel := c.detached(ctx)
		defer cancel()
		err := c.fetchBlob(ctx, rt, repo, d, f)
		// First it cannot be joined any more, then it ends: who comes between finds
		// the blob stored.
		c.mu.Lock()
		delete(c.flights, key)
		c.mu.Unlock()
		f.finish(err)
	}()
	return f, nil
}

// fetchBlob stores a blob that is not here.
func (c *Cache) fetchBlob(ctx context.Context, rt *route, repo oci.Repository, d oci.Digest, f *flight) error {
	err := c.once(ctx, d, func(ctx context.Context) (bool, error) {
		_, err := c.Registry.StatBlob(ctx, repo, d)
		if absent(err) {
			return false, nil
		}
		return err == nil, err
	}, func(ctx context.Context) error {
		if linked, err := c.link(ctx, rt, repo, d); linked || err != nil {
			return err
		}
		select {
		case c.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		defer func() { <-c.slots }()
		return c.store(ctx, rt, repo, d, f)
	})
	if err != nil && c.stopping.Err() != nil {
		return &oci.Error{Code: oci.CodeUnavailable, Message: "this server is stopping; try again", Err: errors.Join(errClosing, err)}
	}
	return err
}

// link gives the repository content that the storage has from another one, if the
// upstream has it, too: that the bytes are here gives nobody the right to them.
func (c *Cache) link(ctx context.Context, rt *route, repo oci.Repository, d oci.Digest) (bool, error) {
	has, err := c.Registry.HasContent(ctx, d)
	if !has || err != nil {
		return false, err
	}
	if _, err := c.askSize(ctx, rt, repo, d); err != nil {
		return false, c.failed(ctx, rt, blobUnknown(repo, d), err)
	}
	err = c.Registry.LinkBlob(ctx, repo, d)
	if absent(err) {
		return false, nil // it was just deleted
	}
	return err == nil, err
}

// store fetches a blob. Nothing is visible in the storage before all of it has
// come and has the digest.
func (c *Cache) store(ctx context.Context, rt *route, repo oci.Repository, d oci.Digest, f *flight) error {
	missing := blobUnknown(repo, d)
	upstream, err := c.repository(ctx, rt, repo)
	if err != nil {
		return c.failed(ctx, rt, missing, err)
	}
	in := &source{ctx: ctx, cache: c, upstream: upstream, digest: d, flight: f}
	defer in.close()
	if err := in.open(); err != nil {
		return c.failed(ctx, rt, missing, err)
	}
	since := c.Registry.Epoch()
	up, err := c.Registry.StartUpload(ctx)
	if err != nil {
		return err
	}
	f.start(in.size)
	up.Expect(d)
	if _, err := up.ReadFrom(in); err != nil {
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if in.err != nil {
			err = c.failed(ctx, rt, missing, in.err)
		}
		if lost := up.Abort(cleanup); lost != nil {
			c.Log.WarnContext(ctx, "an upload of a pull-through cache could not be given up; it is swept later", "error", lost)
		}
		return err
	}
	c.stats.add(counter{"pulled_bytes", rt.Prefix, "blob"}, float64(in.offset))
	if _, err = c.Registry.CommitUpload(ctx, repo, up, d, since); err != nil {
		_ = up.Close()
	}
	if oci.ErrorCode(err) == oci.CodeDigestInvalid {
		return c.failed(ctx, rt, missing, fmt.Errorf("%w: %w", errOtherBytes, err))
	}
	return err
}

// source reads a blob of an upstream, and goes on where it was cut off.
type source struct {
	ctx      context.Context
	cache    *Cache
	upstream *transfer.RemoteRepository
	digest   oci.Digest
	flight   *flight

	body   io.ReadCloser
	cancel context.CancelFunc // ends the present request
	quiet  *time.Timer        // calls cancel when nothing comes
	offset int64
	size   int64
	tries  int
	err    error // why the upstream could not be read to the end
}

// open asks for what is missing.
func (s *source) open() error {
	s.close()
	ctx, cancel := context.WithCancel(s.ctx)
	s.cancel = cancel
	s.quiet = time.AfterFunc(s.cache.Silence, cancel)
	body, size, err := s.upstream.Open(ctx, s.digest, s.offset)
	s.quiet.Stop()
	if err != nil {
		return err
	}
	s.body = body
	if s.offset > 0 && size != s.size {
		return fmt.Errorf("the blob had %d bytes when it was asked for first, and now it has %d", s.size, size)
	}
	s.size = size
	return nil
}

func (s *source) close() {
	if s.body != nil {
		_ = s.body.Close()
		s.body = nil
	}
	if s.cancel != nil {
		s.quiet.Stop()
		s.cancel()
	}
}

// Read reads, and shows what it has read to all who wait for it.
func (s *source) Read(p []byte) (int, error) {
	for {
		n, err := s.read(p)
		if n > 0 {
			s.offset += int64(n)
			s.flight.add(p[:n])
			return n, nil
		}
		if errors.Is(err, io.EOF) && (s.size < 0 || s.offset == s.size) {
			return 0, io.EOF
		}
		if s.tries++; s.tries >= fetchTries || s.ctx.Err() != nil || s.size < 0 {
			s.err = fmt.Errorf("the upstream broke off after %d of %d bytes: %w", s.offset, s.size, errors.Join(err, s.ctx.Err()))
			return 0, s.err
		}
		if s.err = wait(s.ctx, 100*time.Millisecond<<s.tries); s.err != nil {
			return 0, s.err
		}
		if err := s.open(); err != nil && s.tries+1 >= fetchTries {
			s.err = err
			return 0, err
		}
	}
}

func (s *source) read(p []byte) (int, error) {
	if s.body == nil {
		return 0, io.ErrUnexpectedEOF // asking again has failed
	}
	s.quiet.Reset(s.cache.Silence)
	defer s.quiet.Stop()
	return s.body.Read(p)
}

// Stream is a blob that is still coming. It is an io.ReadSeekCloser.
type Stream struct {
	ctx    context.Context // of the request that it is for
	cache  *Cache
	flight *flight
	repo   oci.Repository
	digest oci.Digest
	size   int64
	offset int64
	stored io.ReadCloser // from the storage, where the window was too short
	err    error
}

// Err returns why the blob did not come; nil if all is well so far.
func (s *Stream) Err() error { return s.err }

// Seek costs nothing: nothing is read before Read.
func (s *Stream) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.offset
	case io.SeekEnd:
		offset += s.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning of a blob")
	}
	if offset != s.offset {
		_ = s.Close()
	}
	s.offset = offset
	return offset, nil
}

// Read reads what has come, and waits for it.
func (s *Stream) Read(p []byte) (int, error) {
	if s.offset >= s.size {
		return 0, io.EOF
	}
	n, err := s.read(p)
	s.offset += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

func (s *Stream) read(p []byte) (int, error) {
	if s.stored == nil {
		n, err := s.flight.readAt(s.ctx, p, s.offset)
		if !errors.Is(err, errBehind{}) {
			return n, err
		}
		info, err := s.cache.Registry.StatBlob(s.ctx, s.repo, s.digest)
		if err == nil {
			s.stored, err = s.cache.Registry.OpenBlob(s.ctx, s.repo, info, s.offset)
		}
		if err != nil {
			return 0, err
		}
	}
	return s.stored.Read(p)
}

// Close lets go of the stream. The blob goes on being fetched.
func (s *Stream) Close() error {
	if s.stored == nil {
		return nil
	}
	stored := s.stored
	s.stored = nil
	return stored.Close()
}

func blobUnknown(repo oci.Repository, d oci.Digest) *oci.Error {
	return oci.Errorf(oci.CodeBlobUnknown, "blob %s unknown in repository %s", d, repo)
}
