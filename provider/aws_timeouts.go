package provider

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/types"
)

const longestTimeout = 24 * time.Hour

// defaultTimeout is for how long AWS is tried where the configuration does not
// say.
func defaultTimeout(operation string) time.Duration {
	if operation == "delete" {
		return 30 * time.Minute
	}
	return 10 * time.Minute
}

func parseTimeout(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is not a duration; write for example 90s or 10m", s)
	case d < time.Second || d > longestTimeout:
		return 0, fmt.Errorf("%s is not from 1s to 24h", s)
	}
	return d, nil
}

func timeoutRule() stringRule {
	return stringRule{"must be a duration from 1s to 24h", "Invalid duration", func(s string) error {
		_, err := parseTimeout(s)
		return err
	}}
}

// within bounds an operation by what the attribute timeouts says.
func within(ctx context.Context, timeouts types.Object, operation string) (context.Context, context.CancelFunc) {
	return withinOr(ctx, timeouts, operation, defaultTimeout(operation))
}

// withinOr is within for operations that take another time by default.
func withinOr(ctx context.Context, timeouts types.Object, operation string, d time.Duration) (context.Context, context.CancelFunc) {
	if text, ok := timeouts.Attributes()[operation].(types.String); ok {
		if given, err := parseTimeout(text.ValueString()); err == nil {
			d = given
		}
	}
	return context.WithTimeout(ctx, d)
}
