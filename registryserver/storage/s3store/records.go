package s3store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// records is the storage.Records of a Store. A record is an object; its version
// is the object's ETag, and conditions are those of S3.
type records struct{ *Store }

func (r records) Get(ctx context.Context, key string) (storage.Record, error) {
	if err := r.mayBe(ctx, key); err != nil {
		return storage.Record{}, err
	}
	out, err := r.api.GetObject(ctx, &s3.GetObjectInput{Bucket: r.bucket, Key: r.key(key)})
	if err != nil {
		return storage.Record{}, recordErr(ctx, "read", key, err)
	}
	defer out.Body.Close()
	value, err := io.ReadAll(io.LimitReader(out.Body, storage.MaxRecordSize+1))
	switch {
	case err != nil:
		return storage.Record{}, recordErr(ctx, "read", key, err)
	case len(value) > storage.MaxRecordSize:
		return storage.Record{}, fmt.Errorf("read record %s: it has more than %d bytes", key, storage.MaxRecordSize)
	}
	return storage.Record{Value: value, Version: version(out.ETag), ModTime: aws.ToTime(out.LastModified)}, nil
}

func (r records) Put(ctx context.Context, key string, value []byte, was storage.Version) (storage.Version, error) {
	if err := r.mayBe(ctx, key); err != nil {
		return "", err
	}
	if len(value) > storage.MaxRecordSize {
		return "", fmt.Errorf("write record %s: %d bytes are more than %d", key, len(value), storage.MaxRecordSize)
	}
	in := r.putInput(r.key(key), nil)
	switch was {
	case storage.Any:
	case storage.Absent:
		in.IfNoneMatch = aws.String("*")
	default:
		in.IfMatch = etag(was)
	}
	var now storage.Version
	err := patiently(ctx, func() error {
		in.Body = bytes.NewReader(value)
		out, err := r.api.PutObject(ctx, in)
		if err == nil {
			now = version(out.ETag)
		}
		return err
	})
	if was != storage.Any && notThere(err) {
		err = storage.ErrConflict // there is nothing that could have that version
	}
	if err != nil {
		return "", recordErr(ctx, "write", key, err)
	}
	return now, nil
}

func (r records) Delete(ctx context.Context, key string, was storage.Version) error {
	if err := r.mayBe(ctx, key); err != nil {
		if errors.Is(err, storage.ErrNotFound) && was == storage.Any {
			return nil
		}
		return err
	}
	in := &s3.DeleteObjectInput{Bucket: r.bucket, Key: r.key(key)}
	if was != storage.Any {
		in.IfMatch = etag(was)
		// S3 says nothing of an object that is absent already, so we ask. Of two
		// who delete one version at the same instant, both may be told that they did.
		if _, err := r.api.HeadObject(ctx, &s3.HeadObjectInput{Bucket: r.bucket, Key: in.Key, IfMatch: in.IfMatch}); err != nil {
			if notThere(err) {
				err = storage.ErrConflict
			}
			return recordErr(ctx, "delete", key, err)
		}
	}
	err := patiently(ctx, func() error {
		_, err := r.api.DeleteObject(ctx, in)
		return err
	})
	if notThere(err) {
		if was == storage.Any {
			return nil
		}
		err = storage.ErrConflict
	}
	if err != nil {
		return recordErr(ctx, "delete", key, err)
	}
	return nil
}

// mayBe returns an error if the context has ended or the key cannot be that of
// a record.
func (r records) mayBe(ctx context.Context, key string) error {
	if err := storage.CheckKey(key); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if reserved(key) {
		return fmt.Errorf("record %s: its folder is the store's own: %w", key, storage.ErrInvalidKey)
	}
	return nil
}

// patiently tries again what met another write of the same object (409), as AWS
// says one should. Nothing was written then.
func patiently(ctx context.Context, do func() error) error {
	const tries = 8
	for try := 1; ; try++ {
		err := do()
		if status(err) != http.StatusConflict || try == tries {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(try) * (10 + rand.N[time.Duration](20)) * time.Millisecond):
		}
	}
}

// version is the version of an ETag, which S3 quotes.
func version(etag *string) storage.Version {
	return storage.Version(strings.Trim(aws.ToString(etag), `"`))
}

func etag(v storage.Version) *string { return aws.String(`"` + string(v) + `"`) }

func recordErr(ctx context.Context, what, key string, err error) error {
	switch {
	case notThere(err):
		err = storage.ErrNotFound
	case preconditionFailed(err), conflicting(err):
		err = storage.ErrConflict
	}
	return fmt.Errorf("%s record %s: %w", what, key, notCancelled(ctx, err))
}
