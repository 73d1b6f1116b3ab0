package awshost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
)

// Complete tells the Auto Scaling group that what a lifecycle hook waits for
// has come about: it may take the machine in, or let it go. It reports whether
// the group waits; that nobody does is no error.
func (h *Host) Complete(ctx context.Context, group, hook string) (bool, error) {
	id, err := h.InstanceID(ctx)
	if err != nil {
		return false, err
	}
	_, err = h.groups.CompleteLifecycleAction(ctx, &autoscaling.CompleteLifecycleActionInput{
		AutoScalingGroupName: aws.String(group), LifecycleHookName: aws.String(hook), InstanceId: aws.String(id),
		LifecycleActionResult: aws.String("CONTINUE"),
	})
	switch {
	case err == nil:
		h.log.InfoContext(ctx, "the Auto Scaling group was told to go on", "group", group, "hook", hook)
		return true, nil
	case code(err) == "ValidationError" && strings.Contains(err.Error(), "No active Lifecycle Action"):
		return false, nil
	case code(err) == "AccessDenied":
		return false, fmt.Errorf("the role of this machine may not complete the hook %s: allow it autoscaling:CompleteLifecycleAction on the group %s: %w", hook, group, err)
	}
	return false, fmt.Errorf("complete the lifecycle hook %s of the group %s: %w", hook, group, err)
}

// CompleteEnd is Complete for the hook of the machine's end, which the group
// begins to wait for only when its load balancer has let go of the machine, and
// that can be long after the last request. It is tried until ctx ends.
func (h *Host) CompleteEnd(ctx context.Context, group, hook string) error {
	for {
		waits, err := h.Complete(ctx, group, hook)
		if waits || code(err) == "AccessDenied" {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, errors.New("the group did not wait for the hook"))
		case <-time.After(h.poll):
		}
	}
}

// Departure is the end of the machine that AWS has announced.
type Departure struct {
	Reason string
	At     time.Time // when the machine is taken away; zero where the hook decides
}

// Leaving returns why the machine is about to go, once it is: AWS takes a spot
// instance back, or its group ends it. It returns the error of ctx when that
// ends first. A metadata service that does not answer is asked again.
func (h *Host) Leaving(ctx context.Context) (Departure, error) {
	return h.await(ctx, func(ctx context.Context) (Departure, error) {
		d, spotErr := h.spotNotice(ctx)
		if d.Reason != "" {
			return d, nil
		}
		state, err := h.read(ctx, "autoscaling/target-lifecycle-state")
		if err == nil && state == "Terminated" {
			return Departure{Reason: "the Auto Scaling group ends this instance"}, nil
		}
		return Departure{}, errors.Join(err, spotErr)
	})
}

// SpotNotice is Leaving for spot notices only: one may come while the machine
// is already leaving.
func (h *Host) SpotNotice(ctx context.Context) (Departure, error) {
	return h.await(ctx, h.spotNotice)
}

func (h *Host) await(ctx context.Context, ask func(context.Context) (Departure, error)) (Departure, error) {
	failed := false
	for {
		d, err := ask(ctx)
		switch {
		case ctx.Err() != nil:
			return Departure{}, ctx.Err()
		case err != nil && !failed:
			h.log.WarnContext(ctx, "whether this machine is about to go cannot be found out", "error", err)
		case d.Reason != "":
			return d, nil
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return Departure{}, ctx.Err()
		case <-time.After(h.poll):
		}
	}
}

// spotNotice returns the notice for a spot instance; no reason is none.
func (h *Host) spotNotice(ctx context.Context) (Departure, error) {
	notice, err := h.read(ctx, "spot/instance-action")
	if err != nil || notice == "" {
		return Departure{}, err
	}
	return parseNotice(notice, time.Now()), nil
}

// noticeTime is what a notice without a legible time leaves, of the two minutes
// that AWS gives.
const noticeTime = 110 * time.Second

func parseNotice(notice string, now time.Time) Departure {
	d := Departure{Reason: "AWS takes this spot instance back", At: now.Add(noticeTime)}
	var said struct {
		Time time.Time `json:"time"`
	}
	if json.Unmarshal([]byte(notice), &said) == nil && said.Time.After(now) && said.Time.Before(d.At.Add(time.Minute)) {
		d.At = said.Time
	}
	return d
}
