package events

import (
	"context"
	"strings"
	"time"
)

// ReplicationPrefix begins the names of replications among the receivers of an
// event, which no webhook's can.
const ReplicationPrefix = "replication:"

// Receivers is one kind of receivers of events: webhooks, or registries that
// images are copied to. It may be used concurrently.
type Receivers interface {
	// Matching returns the names of those that are to hear of an event.
	Matching(e Event) []string
	// Has reports whether there is one of that name, and it is on.
	Has(name string) bool
	// Foreign reports whether only other servers can deliver to it.
	Foreign(name string) bool
	Count() int
	// Refresh looks for those that other servers made.
	Refresh(ctx context.Context) error
	// Deliver tries once to deliver an event. It ends soon after ctx has.
	Deliver(ctx context.Context, name string, e Event) Try
	// LogAttrs says in the log which one it is, without secrets.
	LogAttrs(name string) []any
}

// Try is what became of one try to deliver an event.
type Try struct {
	Err     error         // nil: the receiver has it, or it has nothing more to get
	Status  int           // the HTTP status of the answer; 0 where there was none
	After   time.Duration // what the receiver asks to wait
	Backoff time.Duration // the wait after the first failure, where the receiver has its own
}

// none is where nothing is replicated.
type none struct{}

func (none) Matching(Event) []string                    { return nil }
func (none) Has(string) bool                            { return false }
func (none) Foreign(string) bool                        { return false }
func (none) Count() int                                 { return 0 }
func (none) Refresh(context.Context) error              { return nil }
func (none) Deliver(context.Context, string, Event) Try { return Try{} }
func (none) LogAttrs(string) []any                      { return nil }

// of returns the receivers that a name is one of.
func (n *Notifier) of(name string) Receivers {
	if strings.HasPrefix(name, ReplicationPrefix) {
		return n.Replications
	}
	return n.webhooks
}

// count returns how many receivers there are.
func (n *Notifier) count() int { return n.webhooks.Count() + n.Replications.Count() }

// Taken returns how many events this server is delivering to a receiver, or is
// about to try again.
func (n *Notifier) Taken(name string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.load[name]
}
