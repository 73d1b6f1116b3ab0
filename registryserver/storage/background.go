package storage

import "context"

type backgroundKey struct{}

// Background marks what is done for no request: a store that is asked over the
// network passes the mark on, so that its operator can tell such requests from
// those that users cause.
func Background(ctx context.Context) context.Context {
	return context.WithValue(ctx, backgroundKey{}, true)
}

// IsBackground reports whether ctx has the mark of Background.
func IsBackground(ctx context.Context) bool {
	marked, _ := ctx.Value(backgroundKey{}).(bool)
	return marked
}
