package rediscache

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

// pause is the least time between two times that the same word is acted on: each
// makes a server ask the storage, whoever sent it.
const pause = 100 * time.Millisecond

// silence is after what time without a word it is asked whether the connection
// still stands.
const silence = 10 * time.Second

func (c *Cache) channel() string { return c.name("changes") }

// Announce tells all servers that something has changed, this one included.
func (c *Cache) Announce(ctx context.Context, what string) {
	asked, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	c.note(c.client.Publish(asked, c.channel(), what).Err())
}

// Run writes what was Put, and calls heard with each word that it listens for,
// until ctx ends. After the connection was lost it calls it with all of them:
// word may have been missed.
func (c *Cache) Run(ctx context.Context, words []string, heard func(ctx context.Context, what string)) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case e := <-c.puts:
				c.put(ctx, e)
			}
		}
	})
	waiting := map[string]chan struct{}{}
	for _, word := range words {
		pending := make(chan struct{}, 1)
		waiting[word] = pending
		group.Go(func() error { return act(ctx, pending, func() { heard(ctx, word) }) })
	}
	group.Go(func() error { return c.listen(ctx, waiting) })
	return group.Wait()
}

// act calls do for what is pending, and several of it at once.
func act(ctx context.Context, pending <-chan struct{}, do func()) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-pending:
			do()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

func (c *Cache) listen(ctx context.Context, waiting map[string]chan struct{}) error {
	for ctx.Err() == nil {
		err := c.subscribe(ctx, func(word string) {
			select {
			case waiting[word] <- struct{}{}:
			default: // it is pending already, or nobody listens for it
			}
		}, slices.Collect(maps.Keys(waiting)))
		if ctx.Err() == nil {
			c.note(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(rest):
		}
	}
	return nil
}

// subscribe calls signal with each word, and with all of them once it listens,
// until the connection is lost.
func (c *Cache) subscribe(ctx context.Context, signal func(word string), all []string) error {
	subscription := c.client.Subscribe(ctx, c.channel())
	defer func() { _ = subscription.Close() }()
	// Receive does not look at ctx while it waits.
	stop := context.AfterFunc(ctx, func() { _ = subscription.Close() })
	defer stop()
	asked := false // whether the connection still stands
	for {
		message, err := subscription.ReceiveTimeout(ctx, silence)
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() && !asked {
			asked, err = true, subscription.Ping(ctx)
		} else {
			asked = false
		}
		if err != nil {
			return err
		}
		switch m := message.(type) {
		case *redis.Message:
			signal(m.Payload)
		case *redis.Subscription:
			for _, word := range all {
				signal(word)
			}
		}
	}
}
