package storagetest

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

type memoryRecords struct{ m *Memory }

func (r memoryRecords) Get(ctx context.Context, key string) (storage.Record, error) {
	if err := check(ctx, storage.CheckKey(key)); err != nil {
		return storage.Record{}, err
	}
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	rec, ok := r.m.records[key]
	if !ok {
		return storage.Record{}, fmt.Errorf("record %s: %w", key, storage.ErrNotFound)
	}
	rec.Value = bytes.Clone(rec.Value)
	return rec, nil
}

func (r memoryRecords) Put(ctx context.Context, key string, value []byte, was storage.Version) (storage.Version, error) {
	if err := check(ctx, storage.CheckKey(key)); err != nil {
		return "", err
	}
	if len(value) > storage.MaxRecordSize {
		return "", fmt.Errorf("record %s: %d bytes are more than %d", key, len(value), storage.MaxRecordSize)
	}
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	if was != storage.Any && r.m.records[key].Version != was { // the zero Version is Absent
		return "", fmt.Errorf("record %s: %w", key, storage.ErrConflict)
	}
	if r.m.folders[key] > 0 {
		return "", fmt.Errorf("record %s: there are records below it", key)
	}
	if _, ok := r.m.records[key]; !ok {
		for folder := range folders(key) {
			if _, ok := r.m.records[folder]; ok {
				return "", fmt.Errorf("record %s: %s is a record", key, folder)
			}
		}
		for folder := range folders(key) {
			r.m.folders[folder]++
		}
	}
	rec := storage.Record{Value: bytes.Clone(value), Version: storage.VersionOf(value), ModTime: r.m.Now()}
	r.m.records[key] = rec
	return rec.Version, nil
}

func (r memoryRecords) Delete(ctx context.Context, key string, was storage.Version) error {
	if err := check(ctx, storage.CheckKey(key)); err != nil {
		return err
	}
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	rec, ok := r.m.records[key]
	if was != storage.Any && rec.Version != was {
		return fmt.Errorf("record %s: %w", key, storage.ErrConflict)
	}
	if !ok {
		return nil
	}
	delete(r.m.records, key)
	for folder := range folders(key) {
		if r.m.folders[folder]--; r.m.folders[folder] == 0 {
			delete(r.m.folders, folder)
		}
	}
	return nil
}

func (r memoryRecords) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := check(ctx, storage.CheckPrefix(prefix)); err != nil {
			yield("", err)
			return
		}
		yieldAll(ctx, r.keys(prefix), after, yield)
	}
}

func (r memoryRecords) Children(ctx context.Context, dir, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		prefix := ""
		if dir != "" {
			if err := storage.CheckKey(dir); err != nil {
				yield("", err)
				return
			}
			prefix = dir + "/"
		}
		if err := ctx.Err(); err != nil {
			yield("", err)
			return
		}
		var names []string
		for _, key := range r.keys(prefix) {
			name, _, _ := strings.Cut(key[len(prefix):], "/")
			names = append(names, name)
		}
		slices.Sort(names)
		yieldAll(ctx, slices.Compact(names), after, yield)
	}
}

// keys returns the keys that begin with prefix, in byte order.
func (r memoryRecords) keys(prefix string) []string {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	var keys []string
	for key := range r.m.records {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func yieldAll(ctx context.Context, names []string, after string, yield func(string, error) bool) {
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			yield("", err)
			return
		}
		if name > after && !yield(name, nil) {
			return
		}
	}
}

// folders yields every folder that the key lies in.
func folders(key string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range len(key) {
			if key[i] == '/' && !yield(key[:i]) {
				return
			}
		}
	}
}

func check(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	return ctx.Err()
}
