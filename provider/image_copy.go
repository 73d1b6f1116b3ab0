package provider

import (
	"context"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/hashicorp/terraform-plugin-log/tflog"
)

// archive opens a file that docker save wrote, each time from its beginning.
func archive(file string) tarball.Opener {
	return func() (io.ReadCloser, error) { return os.Open(file) }
}

// copy pushes the content to a repository under its digest and no tag. What is
// there is not sent again, and what another repository of the same registry has
// is mounted from there. Blobs are streamed, so many at a time, and verified on
// both ends.
func (a *ociAccess) copy(ctx context.Context, c content, repository string, parallel int) error {
	digest, err := c.pushed().Digest()
	if err != nil {
		return err
	}
	var sent atomic.Int64
	done := make(chan struct{})
	defer close(done)
	go logProgress(ctx, repository, &sent, done)
	pusher, err := remote.NewPusher(a.with(ctx, remote.WithJobs(parallel), remote.WithTransport(countingTransport{a.transport, &sent}))...)
	if err != nil {
		return err
	}
	if c.index != nil {
		err = a.copyImages(ctx, pusher, c.index, repository, 0)
	}
	if err == nil {
		err = pusher.Push(ctx, a.by(repository, digest.String()), c.pushed())
	}
	tflog.Info(ctx, "copied an image", map[string]any{"repository": repository, "digest": digest.String(), "bytes_sent": sent.Load(), "failed": err != nil})
	return err
}

// copyImages copies the images of an index one after the other: left to itself,
// the pusher takes so many images at a time and so many layers of each. The
// pusher remembers what it has pushed.
func (a *ociAccess) copyImages(ctx context.Context, pusher *remote.Pusher, index v1.ImageIndex, repository string, depth int) error {
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	for _, d := range manifest.Manifests {
		switch {
		case d.MediaType.IsImage():
			var image v1.Image
			if image, err = index.Image(d.Digest); err == nil {
				err = pusher.Push(ctx, a.by(repository, d.Digest.String()), image)
			}
		case d.MediaType.IsIndex() && depth < deepest:
			var inner v1.ImageIndex
			if inner, err = index.ImageIndex(d.Digest); err == nil {
				err = a.copyImages(ctx, pusher, inner, repository, depth+1)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// logProgress logs every few seconds how much was sent.
func logProgress(ctx context.Context, repository string, sent *atomic.Int64, done <-chan struct{}) {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			tflog.Info(ctx, "copying an image", map[string]any{"repository": repository, "bytes_sent": sent.Load()})
		}
	}
}

// countingTransport counts the bytes of the bodies that are sent.
type countingTransport struct {
	base http.RoundTripper
	sent *atomic.Int64
}

func (t countingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r = r.Clone(r.Context())
		r.Body = countedBody{r.Body, t.sent}
	}
	return t.base.RoundTrip(r)
}

type countedBody struct {
	io.ReadCloser
	sent *atomic.Int64
}

func (b countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.sent.Add(int64(n))
	return n, err
}
