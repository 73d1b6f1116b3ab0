package storagetest

import (
	"context"
	"io"
	"iter"
	"slices"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

type faultyUpload struct {
	f *Faults
	storage.Upload
	ended bool // by Commit or Abort, whatever became of it
}

func (u *faultyUpload) Write(p []byte) (int, error) {
	switch u.f.decide("Upload.Write", "") {
	case None:
		return u.Upload.Write(p)
	case Applied:
		n, _ := u.Upload.Write(p)
		return n, ErrInjected
	}
	return 0, ErrInjected
}

func (u *faultyUpload) ReadFrom(r io.Reader) (int64, error) {
	switch u.f.decide("Upload.ReadFrom", "") {
	case None:
		return u.Upload.ReadFrom(r)
	case Applied:
		n, _ := u.Upload.ReadFrom(r)
		return n, ErrInjected
	}
	return 0, ErrInjected
}

func (u *faultyUpload) Close() error {
	if u.ended {
		return nil
	}
	err := u.Upload.Close()
	if u.f.decide("Upload.Close", "") != None {
		return ErrInjected
	}
	return err
}

func (u *faultyUpload) Commit(ctx context.Context, want oci.Digest) (storage.BlobInfo, error) {
	var info storage.BlobInfo
	err := u.end(ctx, "Upload.Commit", want.String(), func(ctx context.Context) (err error) {
		info, err = u.Upload.Commit(ctx, want)
		return err
	})
	if err != nil {
		return storage.BlobInfo{}, err
	}
	return info, nil
}

func (u *faultyUpload) Abort(ctx context.Context) error {
	return u.end(ctx, "Upload.Abort", "", u.Upload.Abort)
}

// end is change for what ends the upload. If it is not applied, the upload is
// let go of; if it is held back, the upload stays held, as by a request that is
// stuck in the store.
func (u *faultyUpload) end(ctx context.Context, op, key string, do func(context.Context) error) error {
	u.ended = true
	fault := u.f.decide(op, key)
	if fault == NotApplied {
		_ = u.Upload.Close()
	}
	return u.f.apply(ctx, fault, do)
}

// Records wraps the half of a store that keeps records.
func (f *Faults) Records(r storage.Records) storage.Records { return faultyRecords{f, r} }

type faultyRecords struct {
	f *Faults
	storage.Records
}

func (r faultyRecords) Get(ctx context.Context, key string) (storage.Record, error) {
	if err := r.f.read("Records.Get", key); err != nil {
		return storage.Record{}, err
	}
	return r.Records.Get(ctx, key)
}

func (r faultyRecords) Put(ctx context.Context, key string, value []byte, was storage.Version) (storage.Version, error) {
	value = slices.Clone(value)
	var version storage.Version
	err := r.f.change(ctx, "Records.Put", key, func(ctx context.Context) (err error) {
		version, err = r.Records.Put(ctx, key, value, was)
		return err
	})
	if err != nil {
		return "", err
	}
	return version, nil
}

func (r faultyRecords) Delete(ctx context.Context, key string, was storage.Version) error {
	return r.f.change(ctx, "Records.Delete", key, func(ctx context.Context) error { return r.Records.Delete(ctx, key, was) })
}

func (r faultyRecords) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return listed(r.f.decide("Records.List", prefix), r.Records.List(ctx, prefix, after))
}

func (r faultyRecords) Children(ctx context.Context, dir, after string) iter.Seq2[string, error] {
	return listed(r.f.decide("Records.Children", dir), r.Records.Children(ctx, dir, after))
}
