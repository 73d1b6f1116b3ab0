package provider

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ebs"
	ebstypes "github.com/aws/aws-sdk-go-v2/service/ebs/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"
	"golang.org/x/sync/errgroup"
)

// progressEvery is how often an upload is logged and recorded.
const progressEvery = 5 * time.Second

// blockUpload puts the blocks of a disk into a snapshot that was started.
type blockUpload struct {
	api      *ebs.Client
	snapshot string
	progress *blockProgress
	record   func(ctx context.Context, progress string) error // keeps the progress with the snapshot
	read     atomic.Int64
	sent     atomic.Int64
}

// sealedDisk is what CompleteSnapshot is told, and what was read for it.
type sealedDisk struct {
	blocks   int32
	checksum string // SHA-256 over the SHA-256 of the blocks in order, in base64
	sha256   string // of the file, in hexadecimal
}

// run reads the disk from its beginning and puts the blocks that are not there
// yet, some at once. Blocks of zeros are left out: what a snapshot does not have
// reads as zeros. Memory is bounded by the buffers.
func (u *blockUpload) run(ctx context.Context, disk io.Reader, size int64) (sealedDisk, error) {
	defer u.report(ctx, size)()
	buffers := make(chan []byte, uploadBuffers)
	for range cap(buffers) {
		buffers <- make([]byte, blockSize)
	}
	whole, aggregate, zeros := sha256.New(), sha256.New(), make([]byte, blockSize)
	blocks := 0
	// After a failure nothing more is begun, but what is under way may end: it
	// need not be put again.
	begin, stop := context.WithCancel(ctx)
	defer stop()
	var putting errgroup.Group
	putting.SetLimit(uploadParallel)
	read := func() error {
		for index := 0; begin.Err() == nil; index++ {
			block := <-buffers
			n, err := io.ReadFull(disk, block)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
				return err
			}
			u.read.Add(int64(n))
			whole.Write(block[:n])
			clear(block[n:])
			if bytes.Equal(block, zeros) {
				buffers <- block
				continue
			}
			sum := sha256.Sum256(block)
			aggregate.Write(sum[:])
			blocks++
			if u.progress.has(index) {
				buffers <- block
				continue
			}
			u.progress.begin(index)
			putting.Go(func() error {
				defer func() { buffers <- block }()
				err := u.put(ctx, index, block, sum)
				if err != nil {
					stop()
				}
				return err
			})
		}
		return nil
	}
	err := read()
	if failed := putting.Wait(); failed != nil { // it came first
		err = failed
	}
	if err == nil {
		err = ctx.Err()
	}
	return sealedDisk{
		int32(blocks), // largestVolume bounds it
		base64.StdEncoding.EncodeToString(aggregate.Sum(nil)), hex.EncodeToString(whole.Sum(nil)),
	}, err
}

func (u *blockUpload) put(ctx context.Context, index int, block []byte, sum [sha256.Size]byte) error {
	_, err := u.api.PutSnapshotBlock(ctx, &ebs.PutSnapshotBlockInput{
		SnapshotId: &u.snapshot, BlockIndex: aws.Int32(int32(index)), // largestVolume bounds it
		BlockData: bytes.NewReader(block), DataLength: aws.Int32(blockSize),
		Checksum: aws.String(base64.StdEncoding.EncodeToString(sum[:])), ChecksumAlgorithm: ebstypes.ChecksumAlgorithmChecksumAlgorithmSha256,
	})
	if err != nil {
		return needs("ebs:PutSnapshotBlock", fmt.Errorf("put block %d of %s: %w", index, u.snapshot, err))
	}
	u.progress.end(index)
	u.sent.Add(1)
	return nil
}

// report logs and records the progress until the function that it returns is
// called, which does so for the last time, also when the context has ended.
func (u *blockUpload) report(ctx context.Context, size int64) func() {
	note := func(ctx context.Context) {
		tflog.Info(ctx, "uploading the image", map[string]any{
			"snapshot": u.snapshot, "percent": 100 * u.read.Load() / max(size, 1), "bytes_read": u.read.Load(), "blocks_sent": u.sent.Load(),
		})
		if err := u.record(ctx, u.progress.String()); err != nil && ctx.Err() == nil {
			tflog.Warn(ctx, "the progress of the upload was not recorded", map[string]any{"snapshot": u.snapshot, "error": err.Error()})
		}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(progressEvery)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
				note(ctx)
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), awsCredentialsTimeout)
		defer cancel()
		note(last)
	}
}
