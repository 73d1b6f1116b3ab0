package events

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// endpointPrefix begins the names of endpoints of the configuration, which no
// webhook's can.
const endpointPrefix = "config:"

// Endpoint is a receiver that the configuration has, as distribution's
// notifications.endpoints: it gets every event, also of blobs.
type Endpoint struct {
	Name             string
	URL              string
	Headers          http.Header
	Timeout          time.Duration // of a request; the default is 15 s
	Backoff          time.Duration // the wait after the first failure; the default is the Notifier's
	IgnoreActions    []Action
	IgnoreMediaTypes []string
}

func (e Endpoint) receiver() *receiver {
	r := &receiver{config: e, Webhook: Webhook{Name: endpointPrefix + e.Name, URL: e.URL, Format: Distribution, Blobs: true, Enabled: true}}
	for _, a := range Actions() {
		if !slices.Contains(e.IgnoreActions, a) {
			r.Actions = append(r.Actions, a)
		}
	}
	return r
}

// Foreign reports whether a name is that of an endpoint that only other servers'
// configurations have.
func (s *Store) Foreign(name string) bool {
	return strings.HasPrefix(name, endpointPrefix) && s.receiver(name) == nil
}
