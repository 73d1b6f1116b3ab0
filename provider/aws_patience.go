package provider

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// patience bounds how long something is tried again that AWS refuses only for
// the moment.
type patience struct {
	most           time.Duration // altogether
	first, longest time.Duration // of the pauses, which double
}

// settling is the patience with what somebody else's change, or our own, still
// holds up.
func settling() patience { return patience{3 * time.Minute, 250 * time.Millisecond, 5 * time.Second} }

// until calls try until it succeeds or its error is not of those that pass.
func (p patience) until(ctx context.Context, passes func(error) bool, try func() error) error {
	deadline := time.Now().Add(p.most)
	var before error
	for pause := p.first; ; pause = min(2*pause, p.longest) {
		err := try()
		switch {
		case err != nil && ctx.Err() != nil && before != nil:
			return before // it says more than the end of the context
		case err == nil || !passes(err) || time.Now().After(deadline):
			return err
		}
		before = err
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause/2 + rand.N(pause)):
		}
	}
}

// passing: another change of the bucket is under way. The SDK tries the rest
// again itself.
func passing(err error) bool {
	code := awsCode(err)
	return code == "OperationAborted" || code == "ConditionalRequestConflict"
}

// passingWhenNew: a bucket that was just made is not known everywhere yet.
func passingWhenNew(err error) bool { return passing(err) || awsCode(err) == "NoSuchBucket" }

// lost reports whether a request may have been carried out although it failed.
func lost(err error) bool {
	_, unsent := errors.AsType[*smithyhttp.RequestSendError](err)
	_, canceled := errors.AsType[*smithy.CanceledError](err)
	status := awsStatus(err)
	unread := status >= http.StatusOK && status < http.StatusMultipleChoices
	return unsent || canceled || unread || status >= http.StatusInternalServerError
}

// throttled: AWS did nothing, and wants to be asked later.
func throttled(err error) bool {
	_, ok := retry.DefaultThrottleErrorCodes[awsCode(err)]
	return ok || awsStatus(err) == http.StatusTooManyRequests
}
