package storagetest

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// ErrInjected is what an operation fails with when Faults makes it fail.
var ErrInjected = errors.New("injected fault")

// Fault is a way to fail. Faults of writes come in threes, since a caller that
// reads an error never knows which of them it was.
type Fault int

const (
	// None lets the operation be.
	None Fault = iota
	// NotApplied fails it and does nothing.
	NotApplied
	// Applied does it and then fails it: the answer was lost. A listing fails
	// after its first item.
	Applied
	// AppliedLater fails it and does it when Release is called, after others
	// have gone on: the request was stuck on the way. It concerns Put, Delete,
	// Commit, Abort and SweepUploads; elsewhere it is NotApplied.
	AppliedLater
)

// Call is one operation, as Faults sees it.
type Call struct {
	// Op is the interface and method, such as "Records.Put" or "Upload.Commit".
	Op string
	// Key is the record's key, the folder or prefix listed, or the digest; empty
	// where there is none.
	Key string
	// N counts the operations, from 0 since On was called last.
	N int
}

// Faults makes operations of the stores it wraps fail. The zero value lets
// everything be.
type Faults struct {
	mu    sync.Mutex
	plan  func(Call) Fault
	n     int
	later []func()
}

// On sets the plan that says of every operation how it fails, and counts from 0
// again; nil lets everything be. The plan may block, to order events.
func (f *Faults) On(plan func(Call) Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plan, f.n = plan, 0
}

// Calls is the number of operations since On was called last.
func (f *Faults) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

// Release does what AppliedLater has held back, in the order it came.
func (f *Faults) Release() {
	f.mu.Lock()
	later := f.later
	f.later = nil
	f.mu.Unlock()
	for _, do := range later {
		do()
	}
}

// Nth is a plan: the operation number n, counted from 0, fails; no other. A test
// runs its scenario with n = 0, 1, … until Calls is at most n.
func Nth(n int, fault Fault) func(Call) Fault {
	return func(c Call) Fault {
		if c.N == n {
			return fault
		}
		return None
	}
}

// Ops is a plan: every operation of these names fails.
func Ops(fault Fault, ops ...string) func(Call) Fault {
	return func(c Call) Fault {
		if slices.Contains(ops, c.Op) {
			return fault
		}
		return None
	}
}

func (f *Faults) decide(op, key string) Fault {
	f.mu.Lock()
	call := Call{Op: op, Key: key, N: f.n}
	f.n++
	plan := f.plan
	f.mu.Unlock()
	if plan == nil {
		return None
	}
	return plan(call)
}

// change runs a change of the store under the fault that the plan has for it.
func (f *Faults) change(ctx context.Context, op, key string, do func(context.Context) error) error {
	return f.apply(ctx, f.decide(op, key), do)
}

func (f *Faults) apply(ctx context.Context, fault Fault, do func(context.Context) error) error {
	switch fault {
	case None:
		return do(ctx)
	case Applied:
		_ = do(ctx) // the answer, good or bad, was lost
	case AppliedLater:
		f.mu.Lock()
		defer f.mu.Unlock()
		ctx = context.WithoutCancel(ctx) // the request that asked has ended by then
		f.later = append(f.later, func() { _ = do(ctx) })
	}
	return ErrInjected
}

// read fails with the plan, whatever kind of fault that has.
func (f *Faults) read(op, key string) error {
	if f.decide(op, key) != None {
		return ErrInjected
	}
	return nil
}

func listed[T any](fault Fault, all iter.Seq2[T, error]) iter.Seq2[T, error] {
	if fault == None {
		return all
	}
	return func(yield func(T, error) bool) {
		var zero T
		if fault == Applied {
			for item, err := range all {
				if !yield(item, err) || err != nil {
					return
				}
				break
			}
		}
		yield(zero, ErrInjected)
	}
}

// Blobs wraps the half of a store that keeps content.
func (f *Faults) Blobs(b storage.Blobs) storage.Blobs { return faultyBlobs{f, b} }

type faultyBlobs struct {
	f *Faults
	storage.Blobs
}

func (b faultyBlobs) Stat(ctx context.Context, d oci.Digest) (storage.BlobInfo, error) {
	if err := b.f.read("Blobs.Stat", d.String()); err != nil {
		return storage.BlobInfo{}, err
	}
	return b.Blobs.Stat(ctx, d)
}

func (b faultyBlobs) Open(ctx context.Context, d oci.Digest, offset int64) (io.ReadCloser, error) {
	if err := b.f.read("Blobs.Open", d.String()); err != nil {
		return nil, err
	}
	return b.Blobs.Open(ctx, d, offset)
}

func (b faultyBlobs) Put(ctx context.Context, content []byte) (storage.BlobInfo, error) {
	content = slices.Clone(content)
	var info storage.BlobInfo
	err := b.f.change(ctx, "Blobs.Put", oci.FromBytes(content).String(), func(ctx context.Context) (err error) {
		info, err = b.Blobs.Put(ctx, content)
		return err
	})
	if err != nil {
		return storage.BlobInfo{}, err
	}
	return info, nil
}

func (b faultyBlobs) Delete(ctx context.Context, d oci.Digest) error {
	return b.f.change(ctx, "Blobs.Delete", d.String(), func(ctx context.Context) error { return b.Blobs.Delete(ctx, d) })
}

func (b faultyBlobs) All(ctx context.Context) iter.Seq2[storage.BlobInfo, error] {
	return listed(b.f.decide("Blobs.All", ""), b.Blobs.All(ctx))
}

func (b faultyBlobs) StartUpload(ctx context.Context) (storage.Upload, error) {
	fault := b.f.decide("Blobs.StartUpload", "")
	if fault == NotApplied || fault == AppliedLater {
		return nil, ErrInjected
	}
	up, err := b.Blobs.StartUpload(ctx)
	if err != nil {
		return nil, err
	}
	if fault == Applied {
		_ = up.Close()
		return nil, ErrInjected
	}
	return &faultyUpload{f: b.f, Upload: up}, nil
}

func (b faultyBlobs) ResumeUpload(ctx context.Context, state []byte) (storage.Upload, error) {
	if err := b.f.read("Blobs.ResumeUpload", ""); err != nil {
		return nil, err
	}
	up, err := b.Blobs.ResumeUpload(ctx, state)
	if err != nil {
		return nil, err
	}
	return &faultyUpload{f: b.f, Upload: up}, nil
}

func (b faultyBlobs) SweepUploads(ctx context.Context, before time.Time) (int, error) {
	var swept int
	err := b.f.change(ctx, "Blobs.SweepUploads", "", func(ctx context.Context) (err error) {
		swept, err = b.Blobs.SweepUploads(ctx, before)
		return err
	})
	if err != nil {
		return 0, err
	}
	return swept, nil
}
