package s3store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/uuid"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// leftover is what is staged of one upload.
type leftover struct {
	newest     time.Time
	onlyEnded  bool
	multiparts []state // of which only the key and the multipart id matter
}

// SweepUploads removes what is staged of uploads that nobody wrote to since
// before. A small upload leaves nothing to sweep: what it stored at the key of
// its digest is a blob without a link, which the collector removes.
func (b blobs) SweepUploads(ctx context.Context, before time.Time) (int, error) {
	found := map[string]*leftover{}
	err := b.findStaged(ctx, found)
	if err == nil {
		err = b.findMultiparts(ctx, before, found)
	}
	if err == nil {
		err = b.sweepUnfinished(ctx, before)
	}
	swept := 0
	for id, left := range found {
		if err != nil {
			break
		}
		if !left.newest.Before(before) {
			continue
		}
		if err = b.removeLeftover(ctx, id, left); err == nil && !left.onlyEnded {
			swept++
		}
	}
	if err != nil {
		return swept, fmt.Errorf("sweep uploads: %w", notCancelled(ctx, err))
	}
	return swept, nil
}

func (b blobs) findStaged(ctx context.Context, found map[string]*leftover) error {
	for e, err := range b.entries(ctx, uploadsDir+"/", "", "") {
		if err != nil {
			return err
		}
		id, name, ok := strings.Cut(strings.TrimPrefix(e.key, uploadsDir+"/"), "/")
		if !ok {
			continue
		}
		left := found[id]
		if left == nil {
			left = &leftover{onlyEnded: true}
			found[id] = left
		}
		left.onlyEnded = left.onlyEnded && name == "ended"
		if at := aws.ToTime(e.object.LastModified); at.After(left.newest) {
			left.newest = at
		}
	}
	return nil
}

// findMultiparts adds the multipart uploads. When the last part of one came is
// asked only of those that began before.
func (b blobs) findMultiparts(ctx context.Context, before time.Time, found map[string]*leftover) error {
	in := &s3.ListMultipartUploadsInput{Bucket: b.bucket, Prefix: b.key(uploadsDir + "/")}
	for {
		page, err := b.api.ListMultipartUploads(ctx, in)
		if err != nil {
			return err
		}
		for _, m := range page.Uploads {
			st, ok := b.stagedAt(aws.ToString(m.Key))
			if !ok {
				continue
			}
			st.uploadID = aws.ToString(m.UploadId)
			newest := aws.ToTime(m.Initiated)
			if newest.Before(before) {
				if newest, err = b.lastPart(ctx, &st, newest); err != nil {
					return err
				}
			}
			id := st.id.String()
			left := found[id]
			if left == nil {
				left = &leftover{}
				found[id] = left
			}
			left.onlyEnded = false
			left.multiparts = append(left.multiparts, st)
			if newest.After(left.newest) {
				left.newest = newest
			}
		}
		if !aws.ToBool(page.IsTruncated) {
			return nil
		}
		in.KeyMarker, in.UploadIdMarker = page.NextKeyMarker, page.NextUploadIdMarker
	}
}

// sweepUnfinished gives up the multipart uploads at the keys of blobs that a
// crash left: nobody goes on with one, and those under way are younger.
func (b blobs) sweepUnfinished(ctx context.Context, before time.Time) error {
	_, err := b.sweepMultiparts(ctx, blobsDir+"/", before)
	return err
}

// SweepForeignUploads gives up the multipart uploads of CNCF distribution, which
// keeps them in the repositories.
func (b blobs) SweepForeignUploads(ctx context.Context, before time.Time) (int, error) {
	swept, err := b.sweepMultiparts(ctx, storage.DistributionRoot+"/repositories/", before)
	if err != nil {
		err = fmt.Errorf("sweep uploads of other programs: %w", notCancelled(ctx, err))
	}
	return swept, err
}

func (b blobs) sweepMultiparts(ctx context.Context, prefix string, before time.Time) (swept int, err error) {
	in := &s3.ListMultipartUploadsInput{Bucket: b.bucket, Prefix: b.key(prefix)}
	for {
		page, err := b.api.ListMultipartUploads(ctx, in)
		if err != nil {
			return swept, err
		}
		for _, m := range page.Uploads {
			if !aws.ToTime(m.Initiated).Before(before) {
				continue
			}
			_, err := b.api.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: b.bucket, Key: m.Key, UploadId: m.UploadId})
			if err != nil && code(err) != "NoSuchUpload" {
				return swept, err
			}
			swept++
		}
		if !aws.ToBool(page.IsTruncated) {
			return swept, nil
		}
		in.KeyMarker, in.UploadIdMarker = page.NextKeyMarker, page.NextUploadIdMarker
	}
}

// stagedAt is the state, as far as the key of an object tells it.
func (b blobs) stagedAt(key string) (st state, ok bool) {
	rest, ok := strings.CutPrefix(key, b.prefix+uploadsDir+"/")
	id, _, _ := strings.Cut(rest, "/")
	if !ok {
		return st, false
	}
	var err error
	if st.id, err = uuid.Parse(id); err != nil {
		return st, false
	}
	nonce, ok := strings.CutPrefix(rest, id+"/data-")
	if !ok || !parseNonce(&st, nonce) {
		return st, false
	}
	return st, b.prefix+st.dataKey() == key
}

func (b blobs) lastPart(ctx context.Context, st *state, newest time.Time) (time.Time, error) {
	in := &s3.ListPartsInput{Bucket: b.bucket, Key: b.key(st.dataKey()), UploadId: &st.uploadID}
	for {
		page, err := b.api.ListParts(ctx, in)
		if code(err) == "NoSuchUpload" {
			return newest, nil
		}
		if err != nil {
			return newest, err
		}
		for _, p := range page.Parts {
			if at := aws.ToTime(p.LastModified); at.After(newest) {
				newest = at
			}
		}
		if !aws.ToBool(page.IsTruncated) {
			return newest, nil
		}
		in.PartNumberMarker = page.NextPartNumberMarker
	}
}

func (b blobs) removeLeftover(ctx context.Context, id string, left *leftover) error {
	for i := range left.multiparts {
		b.abortMultipart(ctx, &left.multiparts[i])
	}
	for e, err := range b.entries(ctx, uploadsDir+"/"+id+"/", "", "") {
		if err != nil {
			return err
		}
		if _, err := b.api.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b.bucket, Key: b.key(e.key)}); err != nil && !notThere(err) {
			return err
		}
	}
	return nil
}
