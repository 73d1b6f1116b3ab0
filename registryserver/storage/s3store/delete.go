package s3store

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

const (
	// deleteExpiry is for how long a signed deletion is good. A process that is
	// paused before it sends one, or a network that holds it, cannot delete what
	// came after that.
	deleteExpiry = 60 * time.Second
	// deletesAtOnce is how many keys one request may have.
	deletesAtOnce = 1000
	// deleteAnswerSize bounds what is read of an answer, which names what failed.
	deleteAnswerSize = 4 << 20
)

// storeClock knows the time of S3 from the last answer.
type storeClock struct {
	mu   sync.Mutex
	date time.Time // of S3
	at   time.Time // when it came, by the clock of this machine
}

func (c *storeClock) set(date time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.date, c.at = date, time.Now()
}

// now is what to sign with: a wrong clock of this machine does not matter.
func (c *storeClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.date.IsZero() {
		return time.Now()
	}
	return c.date.Add(time.Since(c.at))
}

// deletion is requests that were signed before it was published that it begins.
type deletion struct {
	s        *Store
	expires  time.Time
	requests []*http.Request
}

// PrepareDelete signs requests that delete a thousand keys each, and are good for
// a minute. It asks nothing of the bucket.
func (b blobs) PrepareDelete(ctx context.Context, targets []storage.Target) (storage.Deletion, error) {
	keys := make([]string, 0, len(targets))
	for _, t := range targets {
		key := t.Key
		if key == "" {
			if err := mayBeBlob(ctx, t.Blob); err != nil {
				return nil, err
			}
			key = storage.BlobKey(t.Blob)
		}
		keys = append(keys, *b.key(key))
	}
	// A Date has no fractions of a second.
	at := b.clock.now()
	d := &deletion{s: b.Store, expires: at.Add(deleteExpiry + time.Second)}
	for len(keys) > 0 {
		n := min(len(keys), deletesAtOnce)
		r, err := b.signDelete(ctx, keys[:n], at)
		if err != nil {
			return nil, fmt.Errorf("sign a deletion: %w", err)
		}
		d.requests, keys = append(d.requests, r), keys[n:]
	}
	return d, nil
}

type deleteBody struct {
	XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ Delete"`
	Quiet   bool
	Object  []deleteObject
}

type deleteObject struct{ Key string }

// signDelete signs a DeleteObjects, whose content is bound by its MD5.
func (s *Store) signDelete(ctx context.Context, keys []string, at time.Time) (*http.Request, error) {
	in := deleteBody{Quiet: true}
	for _, key := range keys {
		in.Object = append(in.Object, deleteObject{key})
	}
	body, err := xml.Marshal(in)
	if err != nil {
		return nil, err
	}
	base, err := s.bucketURL(ctx)
	if err != nil {
		return nil, err
	}
	base.RawQuery = url.Values{"delete": {""}, "X-Amz-Expires": {fmt.Sprint(int(deleteExpiry.Seconds()))}}.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, base.String(), nil)
	if err != nil {
		return nil, err
	}
	sum := md5.Sum(body)
	r.Header.Set("Content-MD5", base64.StdEncoding.EncodeToString(sum[:]))
	o := s.api.Options()
	credentials, err := o.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	signed, headers, err := v4.NewSigner().PresignHTTP(ctx, credentials, r, "UNSIGNED-PAYLOAD", "s3", o.Region, at, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err != nil {
		return nil, err
	}
	if r.URL, err = url.Parse(signed); err != nil {
		return nil, err
	}
	r.Header = headers
	r.Header.Del("Host")
	r.ContentLength = int64(len(body))
	r.Body = io.NopCloser(bytes.NewReader(body))
	return r, nil
}

// bucketURL is where requests on the bucket go, by the rules of the SDK.
func (s *Store) bucketURL(ctx context.Context) (*url.URL, error) {
	signed, err := s3.NewPresignClient(s.api).PresignHeadBucket(ctx, &s3.HeadBucketInput{Bucket: s.bucket})
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(signed.URL)
	if err == nil && u.Path == "" {
		u.Path = "/"
	}
	return u, err
}

func (d *deletion) Expires() time.Time { return d.expires }

// Do sends each request once: what is tried again is signed again, by a new
// PrepareDelete.
func (d *deletion) Do(ctx context.Context, still func(context.Context) error) error {
	if err := still(ctx); err != nil {
		return err
	}
	for _, r := range d.requests {
		if err := d.s.sendDelete(ctx, r); err != nil {
			return fmt.Errorf("delete objects: %w", notCancelled(ctx, err))
		}
	}
	return nil
}

func (s *Store) sendDelete(ctx context.Context, r *http.Request) error {
	// The bucket needs little time for it; by deleteExpiry it has begun or never does.
	ctx, cancel := context.WithTimeout(ctx, deleteExpiry)
	defer cancel()
	ctx, answered := s.config.Observe(ctx, "DeleteObjects")
	r = r.WithContext(ctx)
	if storage.IsBackground(ctx) {
		r.Header.Set(BackgroundHeader, "1")
	}
	resp, err := s.api.Options().HTTPClient.Do(r)
	if err != nil {
		answered(0)
		return storage.Unreachable(fmt.Errorf("POST ?delete: %w", bareURL(err)))
	}
	defer resp.Body.Close()
	answered(resp.StatusCode)
	answer, err := io.ReadAll(io.LimitReader(resp.Body, deleteAnswerSize))
	if err != nil {
		return storage.Unreachable(fmt.Errorf("the answer of S3 broke off: %w", err))
	}
	var result struct {
		Code    string
		Message string
		Error   []struct{ Key, Code, Message string }
	}
	if err := xml.Unmarshal(answer, &result); err != nil && len(bytes.TrimSpace(answer)) > 0 {
		return fmt.Errorf("POST ?delete: %s: %w", resp.Status, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("POST ?delete: %s %s %s", resp.Status, result.Code, result.Message)
	}
	for _, e := range result.Error {
		if e.Code != "NoSuchKey" {
			return fmt.Errorf("delete %s: %s %s (%d of the request were not deleted)", e.Key, e.Code, e.Message, len(result.Error))
		}
	}
	return nil
}

// bareURL is the error without the URL, whose signature is nobody's business.
func bareURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

var _ storage.Collectible = blobs{}
