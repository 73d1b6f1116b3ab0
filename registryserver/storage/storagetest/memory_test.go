package storagetest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

func memory(testing.TB) storagetest.Store {
	m := storagetest.NewMemory()
	s := storagetest.Store{Blobs: m.Blobs(), Records: m.Records()}
	s.Reopen = func(testing.TB) storagetest.Store { return s }
	return s
}

func TestMemory(t *testing.T) { storagetest.Test(t, memory) }

// TestFaultsLetBe: without a plan, the decorator changes nothing.
func TestFaultsLetBe(t *testing.T) {
	storagetest.Test(t, func(t testing.TB) storagetest.Store {
		s := memory(t)
		f := &storagetest.Faults{}
		s = storagetest.Store{Blobs: f.Blobs(s.Blobs), Records: f.Records(s.Records)}
		s.Reopen = func(testing.TB) storagetest.Store { return s }
		return s
	})
}

func TestFaultsOfRecords(t *testing.T) {
	ctx := context.Background()
	under := memory(t).Records
	f := &storagetest.Faults{}
	r := f.Records(under)
	value := func() string {
		rec, err := under.Get(ctx, "a/b")
		if errors.Is(err, storage.ErrNotFound) {
			return "absent"
		}
		return string(rec.Value)
	}
	put := func(value string, was storage.Version) {
		t.Helper()
		if _, err := r.Put(ctx, "a/b", []byte(value), was); !errors.Is(err, storagetest.ErrInjected) {
			t.Errorf("put: %v", err)
		}
	}
	want := func(what, want string) {
		t.Helper()
		if got := value(); got != want {
			t.Errorf("%s: the record is %q, want %q", what, got, want)
		}
	}
	f.On(storagetest.Ops(storagetest.NotApplied, "Records.Put"))
	put("one", storage.Any)
	want("not applied", "absent")
	f.On(storagetest.Nth(0, storagetest.Applied))
	put("two", storage.Any)
	want("applied", "two")
	f.On(storagetest.Ops(storagetest.AppliedLater, "Records.Put", "Records.Delete"))
	cancelled, cancel := context.WithCancel(ctx)
	_, err := r.Put(cancelled, "a/b", []byte("three"), storage.Any)
	cancel()
	if !errors.Is(err, storagetest.ErrInjected) {
		t.Errorf("put: %v", err)
	}
	put("four", storage.VersionOf([]byte("two"))) // will come too late
	want("held back", "two")
	f.Release()
	want("applied later", "three")
	if err := r.Delete(ctx, "a/b", storage.Any); !errors.Is(err, storagetest.ErrInjected) {
		t.Errorf("delete: %v", err)
	}
	want("held back", "three")
	f.Release()
	want("applied later", "absent")

	f.On(nil)
	for i := range 3 {
		if _, err := r.Put(ctx, fmt.Sprint("l/", i), nil, storage.Any); err != nil {
			t.Error(err)
		}
	}
	if f.Calls() != 3 {
		t.Errorf("%d calls were counted", f.Calls())
	}
	for fault, items := range map[storagetest.Fault]int{storagetest.None: 3, storagetest.NotApplied: 0, storagetest.Applied: 1} {
		f.On(storagetest.Nth(0, fault))
		seen, failed := 0, false
		for _, err := range r.List(ctx, "l/", "") {
			if err != nil {
				failed = errors.Is(err, storagetest.ErrInjected)
				break
			}
			seen++
		}
		if seen != items || failed != (fault != storagetest.None) {
			t.Errorf("a listing with fault %d had %d items and failed: %v", fault, seen, failed)
		}
	}
}

func TestFaultsOfCommits(t *testing.T) {
	ctx := context.Background()
	content := []byte("content")
	d := oci.FromBytes(content)
	for fault, want := range map[storagetest.Fault][2]bool{ // visible after the commit, after the release
		storagetest.NotApplied:   {false, false},
		storagetest.Applied:      {true, true},
		storagetest.AppliedLater: {false, true},
	} {
		under := memory(t).Blobs
		f := &storagetest.Faults{}
		b := f.Blobs(under)
		f.On(storagetest.Ops(fault, "Upload.Commit"))
		up, err := b.StartUpload(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := up.Write(content); err != nil {
			t.Fatal(err)
		}
		if _, err := up.Commit(ctx, d); !errors.Is(err, storagetest.ErrInjected) {
			t.Errorf("commit: %v", err)
		}
		if err := up.Close(); err != nil { // as every caller does, whatever Commit said
			t.Errorf("close: %v", err)
		}
		visible := func() bool { _, err := under.Stat(ctx, d); return err == nil }
		if got := visible(); got != want[0] {
			t.Errorf("fault %d: visible is %v", fault, got)
		}
		_, err = b.ResumeUpload(ctx, up.State())
		switch fault {
		case storagetest.NotApplied:
			if err != nil {
				t.Errorf("resume: %v", err)
			}
		case storagetest.Applied:
			if !errors.Is(err, storage.ErrUploadUnknown) {
				t.Errorf("resume: %v", err)
			}
		case storagetest.AppliedLater:
			if !errors.Is(err, storage.ErrUploadBusy) {
				t.Errorf("resume: %v", err)
			}
		}
		f.Release()
		if got := visible(); got != want[1] {
			t.Errorf("fault %d: visible after the release is %v", fault, got)
		}
		storagetest.Fsck(t, under)
	}
}
