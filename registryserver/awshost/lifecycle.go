package awshost

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
)

// Complete tells the Auto Scaling group that what a lifecycle hook waits for
// has come about: it may take the machine in, or let it go. That nobody waits is
// no error.
func (h *Host) Complete(ctx context.Context, group, hook string) error {
	id, err := h.InstanceID(ctx)
	if err != nil {
		return err
	}
	_, err = h.groups.CompleteLifecycleAction(ctx, &autoscaling.CompleteLifecycleActionInput{
		AutoScalingGroupName: aws.String(group), LifecycleHookName: aws.String(hook), InstanceId: aws.String(id),
		LifecycleActionResult: aws.String("CONTINUE"),
	})
	switch {
	case err == nil:
		h.log.InfoContext(ctx, "the Auto Scaling group was told to go on", "group", group, "hook", hook)
		return nil
	case code(err) == "ValidationError" && strings.Contains(err.Error(), "No active Lifecycle Action"):
		return nil
	case code(err) == "AccessDenied":
		return fmt.Errorf("the role of this machine may not complete the hook %s: allow it autoscaling:CompleteLifecycleAction on the group %s: %w", hook, group, err)
	}
	return fmt.Errorf("complete the lifecycle hook %s of the group %s: %w", hook, group, err)
}

// Leaving returns why the machine is about to go, once it is: its group ends
// it, or AWS takes a spot instance back. It returns the error of ctx when that
// ends first. A metadata service that does not answer is asked again.
func (h *Host) Leaving(ctx context.Context) (string, error) {
	failed := false
	for {
		reason, err := h.leaving(ctx)
		switch {
		case ctx.Err() != nil:
			return "", ctx.Err()
		case err != nil && !failed:
			h.log.WarnContext(ctx, "whether this machine is about to go cannot be found out", "error", err)
		case reason != "":
			return reason, nil
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(h.poll):
		}
	}
}

func (h *Host) leaving(ctx context.Context) (string, error) {
	state, err := h.read(ctx, "autoscaling/target-lifecycle-state")
	if err == nil && state == "Terminated" {
		return "the Auto Scaling group ends this instance", nil
	}
	notice, spotErr := h.read(ctx, "spot/instance-action")
	if spotErr == nil && notice != "" {
		return "AWS takes this spot instance back", nil
	}
	return "", errors.Join(err, spotErr)
}
