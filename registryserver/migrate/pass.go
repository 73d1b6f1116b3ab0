package migrate

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// pair is one thing of two sorted lists: in the old one, the new one, or both.
type pair[T any] struct {
	old, new   T
	inOld, has bool
}

// merge walks two sorted lists at once, so that neither is kept in memory.
func merge[T any](a, b iter.Seq2[T, error], compare func(T, T) int) iter.Seq2[pair[T], error] {
	return func(yield func(pair[T], error) bool) {
		nextA, stopA := iter.Pull2(a)
		defer stopA()
		nextB, stopB := iter.Pull2(b)
		defer stopB()
		x, errX, okX := nextA()
		y, errY, okY := nextB()
		for okX || okY {
			if err := errors.Join(errX, errY); err != nil {
				yield(pair[T]{}, err)
				return
			}
			c := -1
			if !okX {
				c = 1
			} else if okY {
				c = compare(x, y)
			}
			p := pair[T]{old: x, new: y, inOld: c <= 0, has: c >= 0}
			if c <= 0 {
				x, errX, okX = nextA()
			}
			if c >= 0 {
				y, errY, okY = nextB()
			}
			if !yield(p, nil) {
				return
			}
		}
	}
}

func compareBlobs(a, b storage.BlobInfo) int {
	return cmp.Compare(a.Digest.String(), b.Digest.String())
}

// blobs copies what the new storage lacks. What the old one has no more stays: it
// is garbage, for a collection to find.
func (m *migration) blobs(ctx context.Context) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(m.o.Parallel)
	m.report.Blobs = 0
	for p, err := range merge(m.from.Blobs.All(groupCtx), m.to.Blobs.All(groupCtx), compareBlobs) {
		if err != nil {
			return errors.Join(err, group.Wait())
		}
		if p.inOld {
			m.report.Blobs++
		}
		if p.inOld && (!p.has || p.old.Size != p.new.Size) {
			group.Go(func() error { return m.blob(groupCtx, p.old) })
		}
	}
	return group.Wait()
}

// blob copies one; the new storage compares its digest. One that is damaged is
// noted, and the others go on.
func (m *migration) blob(ctx context.Context, info storage.BlobInfo) error {
	content, err := m.from.Blobs.Open(ctx, info.Digest, 0)
	if errors.Is(err, storage.ErrNotFound) {
		return nil // deleted meanwhile
	}
	if err != nil {
		return err
	}
	defer content.Close()
	up, err := m.to.Blobs.StartUpload(ctx)
	if err != nil {
		return err
	}
	up.Expect(info.Digest)
	if _, err := up.ReadFrom(content); err != nil {
		return errors.Join(fmt.Errorf("blob %s: %w", info.Digest, err), up.Abort(context.WithoutCancel(ctx)))
	}
	stored, err := up.Commit(ctx, info.Digest)
	if errors.Is(err, storage.ErrDigestMismatch) {
		m.fail("blob "+info.Digest.String(), errors.New("its content has another digest"))
		return nil
	}
	if err != nil {
		return errors.Join(fmt.Errorf("blob %s: %w", info.Digest, err), up.Close())
	}
	m.note(func(r *Report) { r.BlobsCopied++; r.BytesCopied += stored.Size })
	return nil
}

// records makes the records of the new storage those of the old one.
func (m *migration) records(ctx context.Context) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(m.o.Parallel)
	m.report.Records = 0
	for p, err := range merge(wanted(groupCtx, m.from.Records, m.o), wanted(groupCtx, m.to.Records, m.o), strings.Compare) {
		if err == nil && p.inOld {
			m.report.Records++
			err = m.enter(groupCtx, p.old)
		}
		if err != nil {
			return errors.Join(err, group.Wait())
		}
		switch {
		case !p.inOld:
			group.Go(func() error { return m.remove(groupCtx, p.new) })
		case !p.has || !constant(p.old):
			group.Go(func() error { return m.record(groupCtx, p.old) })
		}
	}
	return group.Wait()
}

// constant reports whether a record's key says what it holds, so that one that is
// there need not be read.
func constant(key string) bool {
	return strings.HasSuffix(key, "/link") && !strings.HasSuffix(key, "/current/link") && !strings.Contains(key, "/sha512/")
}

// enter tells of the repository of a link, once.
func (m *migration) enter(ctx context.Context, key string) error {
	rest, ok := strings.CutPrefix(key, storage.DistributionRoot+"/repositories/")
	name, _, belongs := strings.Cut(rest, "/_")
	if !ok || !belongs || m.entered[name] || m.o.Enter == nil {
		return nil
	}
	repo, err := oci.ParseRepository(name)
	if err != nil {
		return nil //nolint:nilerr // of another program, and never served
	}
	m.entered[name] = true
	return m.o.Enter(ctx, repo)
}

func (m *migration) record(ctx context.Context, key string) error {
	old, err := m.from.Records.Get(ctx, key)
	if errors.Is(err, storage.ErrNotFound) {
		return nil // removed meanwhile
	}
	if err != nil {
		return err
	}
	now, err := m.to.Records.Get(ctx, key)
	switch {
	case err == nil && bytes.Equal(now.Value, old.Value):
		return nil
	case err != nil && !errors.Is(err, storage.ErrNotFound):
		return err
	}
	if _, err := m.to.Records.Put(ctx, key, old.Value, storage.Any); err != nil {
		return err
	}
	m.note(func(r *Report) { r.RecordsCopied++ })
	return nil
}

// remove removes what the old storage has no more.
func (m *migration) remove(ctx context.Context, key string) error {
	if err := m.to.Records.Delete(ctx, key, storage.Any); err != nil {
		return err
	}
	m.note(func(r *Report) { r.RecordsRemoved++ })
	return nil
}

// verify reads all blobs of the new storage that the old one has, and all records
// of both.
func (m *migration) verify(ctx context.Context) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(m.o.Parallel)
	for p, err := range merge(m.from.Blobs.All(groupCtx), m.to.Blobs.All(groupCtx), compareBlobs) {
		if err != nil {
			return errors.Join(err, group.Wait())
		}
		if p.has && p.inOld {
			group.Go(func() error { return m.verifyBlob(groupCtx, p.new) })
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for key, err := range wanted(ctx, m.from.Records, m.o) {
		if err == nil {
			err = m.verifyRecord(ctx, key)
		}
		if err != nil {
			return err
		}
	}
	m.report.Verified = len(m.report.Failures) == 0
	return nil
}

func (m *migration) verifyBlob(ctx context.Context, info storage.BlobInfo) error {
	content, err := m.to.Blobs.Open(ctx, info.Digest, 0)
	if err != nil {
		return err
	}
	defer content.Close()
	hash := info.Digest.Algorithm().NewHash()
	if _, err := io.Copy(hash, content); err != nil {
		return err
	}
	if oci.FromHash(info.Digest.Algorithm(), hash) != info.Digest {
		m.fail("blob "+info.Digest.String(), errors.New("in the new storage its content has another digest; remove it there"))
	}
	return nil
}

func (m *migration) verifyRecord(ctx context.Context, key string) error {
	old, err := m.from.Records.Get(ctx, key)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	now, err := m.to.Records.Get(ctx, key)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	// While the old storage is written, a record may have changed since the last pass.
	if m.o.Final && (err != nil || !bytes.Equal(now.Value, old.Value)) {
		m.fail("record "+key, errors.New("it differs in the new storage"))
	}
	return nil
}
