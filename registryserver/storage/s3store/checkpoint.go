package s3store

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// mostLost is how many bytes of an upload may have to be sent again when the
// process that received them dies. Most are in parts by then, but nobody would
// know their hash.
const mostLost = 64 << 20

// checkpoint stores the state beside the parts, if enough of them came since the
// last time. That it could not is no reason to fail: it only saves time later.
func (u *upload) checkpoint() {
	// Chunks may be ahead of the parts: those on their way, and one that fills.
	if !u.target.IsZero() || u.good.inParts-u.checked+(maxSent+1)*u.s.config.ChunkSize < mostLost {
		return
	}
	u.checked = u.good.inParts
	next := u.good
	next.extras = true
	in := u.s.putInput(u.s.key(next.checkpointKey()), bytes.NewReader(next.encode()))
	if _, err := u.s.api.PutObject(u.ctx, in); err == nil {
		u.good = next
	}
}

// LatestState asks for the mark of an end, and for a checkpoint.
func (b blobs) LatestState(ctx context.Context, encoded []byte) ([]byte, error) {
	st, err := parseState(encoded)
	if err != nil {
		return nil, err
	}
	if err := b.notAborted(ctx, &st); err != nil {
		return nil, notCancelled(ctx, err)
	}
	out, err := b.api.GetObject(ctx, &s3.GetObjectInput{Bucket: b.bucket, Key: b.key(st.checkpointKey())})
	if notThere(err) {
		return encoded, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the checkpoint of an upload: %w", notCancelled(ctx, err))
	}
	defer out.Body.Close()
	newest, err := io.ReadAll(io.LimitReader(out.Body, maxState+1))
	if err != nil {
		return nil, fmt.Errorf("read the checkpoint of an upload: %w", notCancelled(ctx, err))
	}
	later, err := parseState(newest)
	if err != nil || later.id != st.id || later.offset <= st.offset {
		return encoded, nil
	}
	return newest, nil
}

var _ storage.LatestStates = blobs{}
