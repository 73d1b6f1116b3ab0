package s3store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// Somebody waits for an answer, so tries end. What S3 did not do by then is
// storage.ErrUnreachable.
const (
	// operationTime is for an operation with all its tries. One try may take
	// attemptShare of it, until the header of its answer is there.
	operationTime = 20 * time.Second
	attemptShare  = 0.4
	// leastRate, in bytes per second, is what more time they get for what they send.
	leastRate = 256 << 10
	// longTime and answerTimeout are theirs for what S3 itself takes long for.
	longTime = 3 * time.Minute

	maxTries = 8
	maxPause = 4 * time.Second
	// retryTokens bounds the tries again of all operations together: one costs 5
	// and gives them back if it succeeds. An S3 that fails everything is asked
	// about once for each operation.
	retryTokens = 5000
)

// retryer pauses between tries, longer each time and never all at once.
func retryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff = maxTries, maxPause
		o.RateLimiter = ratelimit.NewTokenRateLimit(retryTokens)
	})
}

// timeFor is how long an operation, and each try of it, may take.
func (c Config) timeFor(input any) (operation, attempt time.Duration) {
	var size int64
	switch in := input.(type) {
	case *s3.CopyObjectInput, *s3.UploadPartCopyInput, *s3.CompleteMultipartUploadInput:
		return longTime, answerTimeout
	case *s3.UploadPartInput:
		size = aws.ToInt64(in.ContentLength)
	case *s3.PutObjectInput:
		if body, ok := in.Body.(io.Seeker); ok {
			size, _ = body.Seek(0, io.SeekEnd)
			_, _ = body.Seek(0, io.SeekStart)
		}
	}
	more := time.Duration(size) * time.Second / leastRate
	return c.Patience + more, time.Duration(attemptShare*float64(c.Patience)) + more
}

// attemptKey is the time of one try, among the values of an operation.
type attemptKey struct{}

// limitPatience bounds operations and their tries in time, and makes of what S3
// did not do storage.ErrUnreachable.
func (c Config) limitPatience(stack *smithyStack) error {
	operation := func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
		limit, attempt := c.timeFor(in.Parameters)
		inner, l := limited(middleware.WithStackValue(ctx, attemptKey{}, attempt), limit)
		out, metadata, err := next.HandleInitialize(inner, in)
		if got, ok := out.Result.(*s3.GetObjectOutput); ok && err == nil && l.inTime() {
			got.Body = &body{ReadCloser: got.Body, ended: ctx.Err, end: l.cancel}
			return out, metadata, nil
		}
		err = l.end(err)
		if ctx.Err() == nil && unreachable(err) {
			err = storage.Unreachable(err)
		}
		return out, metadata, err
	}
	attempt := func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
		limit, _ := middleware.GetStackValue(ctx, attemptKey{}).(time.Duration)
		inner, l := limited(ctx, limit)
		out, metadata, err := next.HandleFinalize(inner, in)
		if _, ok := out.Result.(*s3.GetObjectOutput); ok && err == nil && l.inTime() {
			return out, metadata, nil // its body is read later; the end of the operation is also the end of this
		}
		return out, metadata, l.end(err)
	}
	if err := stack.Initialize.Add(middleware.InitializeMiddlewareFunc("limitOperation", operation), middleware.Before); err != nil {
		return err
	}
	if _, ok := stack.Finalize.Get("Retry"); !ok {
		return nil // nothing is sent
	}
	return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("limitAttempt", attempt), "Retry", middleware.After)
}

// limit ends a context when its time is over, unless it was stopped before.
type limit struct {
	after  time.Duration
	timer  *time.Timer
	cancel context.CancelFunc
	outer  context.Context
}

func limited(ctx context.Context, after time.Duration) (context.Context, *limit) {
	inner, cancel := context.WithCancel(ctx)
	return inner, &limit{after: after, timer: time.AfterFunc(after, cancel), cancel: cancel, outer: ctx}
}

// inTime stops the clock, and reports whether it was still running.
func (l *limit) inTime() bool { return l.timer.Stop() }

// end stops all, and returns errNoAnswer if it was this limit that failed it.
func (l *limit) end(err error) error {
	inTime := l.inTime()
	l.cancel()
	if err == nil || inTime || l.outer.Err() != nil {
		return err
	}
	return &noAnswerError{after: l.after, err: err.Error()} // not wrapped: nobody cancelled
}

// noAnswerError: S3 took too long. It may do later what was asked of it.
type noAnswerError struct {
	after time.Duration
	err   string
}

func (e *noAnswerError) Error() string {
	return fmt.Sprintf("S3 did not do it within %s: %s", e.after, e.err)
}

// Timeout makes it one that is tried again.
func (*noAnswerError) Timeout() bool { return true }

// body is what S3 sends of an object.
type body struct {
	io.ReadCloser
	ended func() error // of the context of who reads
	end   func()
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && b.ended() == nil {
		err = storage.Unreachable(fmt.Errorf("the answer of S3 broke off: %w", err))
	}
	return n, err
}

func (b *body) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}

// unreachable: S3, or the way to it, or to credentials for it, did not work, or
// there is too much to do. It would not help to ask for something else.
func unreachable(err error) bool {
	if err == nil {
		return false
	}
	switch s := status(err); {
	case s < http.StatusMultipleChoices, s == http.StatusTooManyRequests:
		return true
	case s >= http.StatusInternalServerError:
		return s != http.StatusNotImplemented
	}
	_, throttled := retry.DefaultThrottleErrorCodes[code(err)]
	_, retryable := retry.DefaultRetryableErrorCodes[code(err)]
	return throttled || retryable
}
