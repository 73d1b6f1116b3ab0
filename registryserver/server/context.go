package server

import (
	"context"
	"log/slog"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
)

type requestIDKey struct{}

func withRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

type callerKey struct{}

// caller is who sent a request, once that is known.
type caller struct{ user, token string }

// withCaller returns a context in which setCaller fills in the caller.
func withCaller(ctx context.Context, c *caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

func setCaller(ctx context.Context, who auth.Identity) {
	if c, ok := ctx.Value(callerKey{}).(*caller); ok {
		c.user, c.token = who.Name(), who.Token()
	}
}

// requestIDLog adds the ids of the request and of its trace to each line that is
// logged with its context.
type requestIDLog struct{ slog.Handler }

func (h requestIDLog) Handle(ctx context.Context, r slog.Record) error {
	if id, ok := ctx.Value(requestIDKey{}).(string); ok {
		r.AddAttrs(slog.String("request_id", id))
	}
	r.AddAttrs(logTrace(ctx)...)
	return h.Handler.Handle(ctx, r)
}

func (h requestIDLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return requestIDLog{h.Handler.WithAttrs(attrs)}
}

func (h requestIDLog) WithGroup(name string) slog.Handler {
	return requestIDLog{h.Handler.WithGroup(name)}
}
