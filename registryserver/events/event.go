// Package events tells other systems what happens in a registry: webhooks, in
// the form of CNCF distribution's notifications or as CloudEvents, signed, and
// delivered at least once. What waits for delivery lies in the storage, so it
// outlives the server that saw it.
package events

import (
	"crypto/rand"
	"encoding/json"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Action is what happened, in distribution's words.
type Action string

// The actions. A manifest that is pushed under several tags is one push each.
const (
	Push   Action = "push"
	Pull   Action = "pull"
	Delete Action = "delete"
	Mount  Action = "mount" // of a blob that another repository has
)

// Actions returns every action.
func Actions() []Action { return []Action{Push, Pull, Delete, Mount} }

// ParseAction parses "push", "pull", "delete" or "mount".
func ParseAction(s string) (Action, error) {
	a, err := oci.ParseWebhookAction(s)
	return Action(a), err
}

// BlobType is the media type of blobs in events: of itself, a registry knows of
// none.
const BlobType = "application/octet-stream"

// Event is one thing that happened to a manifest, a tag, a blob or a repository.
type Event struct {
	ID         string    `json:"id"`
	Time       time.Time `json:"time"`
	Action     Action    `json:"action"`
	Repository string    `json:"repository"`
	Tag        string    `json:"tag,omitempty"`    // the tag that was pushed, pulled by, or deleted
	Digest     string    `json:"digest,omitempty"` // of the manifest or blob
	MediaType  string    `json:"media_type,omitempty"`
	Size       int64     `json:"size,omitempty"`            // its bytes
	URL        string    `json:"url,omitempty"`             // where it is
	Blob       bool      `json:"blob,omitempty"`            // it is a blob
	From       string    `json:"from_repository,omitempty"` // that a blob was mounted from

	User      string `json:"user,omitempty"` // "" is anybody
	Client    string `json:"client,omitempty"`
	Method    string `json:"method,omitempty"`
	Host      string `json:"host,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
	Request   string `json:"request,omitempty"` // the request's id in the server's log
	Server    string `json:"server,omitempty"`  // the server that answered it
}

// durable reports whether an event is told even if the server that saw it dies.
// Pulls are too many for that, and a blob counts once a manifest has it, whose push
// is an event.
func (e Event) durable() bool { return (e.Action == Push || e.Action == Delete) && !e.Blob }

// newID returns an id for an event.
func newID() string { return rand.Text() }

// Format is how an event is written for a receiver.
type Format string

// The formats.
const (
	// Distribution is the envelope of CNCF distribution's notifications.
	Distribution Format = "distribution"
	// CloudEvents is CloudEvents 1.0 in structured JSON.
	CloudEvents Format = "cloudevents"
)

// Formats returns every format.
func Formats() []Format { return []Format{Distribution, CloudEvents} }

// ParseFormat parses "distribution" or "cloudevents".
func ParseFormat(s string) (Format, error) {
	f, err := oci.ParseWebhookFormat(s)
	return Format(f), err
}

// write returns the event as a request's body, and its Content-Type.
func (f Format) write(e Event) (body []byte, contentType string, err error) {
	if f == CloudEvents {
		body, err = json.Marshal(cloudEvent(e))
		return body, "application/cloudevents+json", err
	}
	body, err = json.Marshal(envelope{Events: []notification{distributionEvent(e)}})
	return body, "application/vnd.docker.distribution.events.v2+json", err
}

// envelope and what it holds are package notifications of distribution 3.
type envelope struct {
	Events []notification `json:"events"`
}

type notification struct {
	ID        string    `json:"id"`
	Timestamp time.Time `json:"timestamp"`
	Action    Action    `json:"action"`
	Target    target    `json:"target"`
	Request   request   `json:"request"`
	Actor     actor     `json:"actor"`
	Source    source    `json:"source"`
}

type target struct {
	MediaType  string `json:"mediaType,omitempty"`
	Digest     string `json:"digest,omitempty"`
	Size       int64  `json:"size,omitempty"`
	Length     int64  `json:"length,omitempty"` // the same; older receivers read it
	Repository string `json:"repository"`
	From       string `json:"fromRepository,omitempty"`
	URL        string `json:"url,omitempty"`
	Tag        string `json:"tag,omitempty"`
}

type request struct {
	ID        string `json:"id"`
	Addr      string `json:"addr"`
	Host      string `json:"host,omitempty"`
	Method    string `json:"method"`
	UserAgent string `json:"useragent"`
}

type actor struct {
	Name string `json:"name,omitempty"`
}

type source struct {
	Addr       string `json:"addr,omitempty"`
	InstanceID string `json:"instanceID,omitempty"`
}

func distributionEvent(e Event) notification {
	return notification{
		ID: e.ID, Timestamp: e.Time, Action: e.Action,
		Target:  target{MediaType: e.MediaType, Digest: e.Digest, Size: e.Size, Length: e.Size, Repository: e.Repository, From: e.From, URL: e.URL, Tag: e.Tag},
		Request: request{ID: e.Request, Addr: e.Client, Host: e.Host, Method: e.Method, UserAgent: e.UserAgent},
		Actor:   actor{Name: e.User}, Source: source{InstanceID: e.Server},
	}
}

// cloud is a CloudEvent (CloudEvents 1.0.2, section 3.1).
type cloud struct {
	SpecVersion string    `json:"specversion"`
	ID          string    `json:"id"`
	Source      string    `json:"source"`
	Type        string    `json:"type"`
	Subject     string    `json:"subject"`
	Time        time.Time `json:"time"`
	ContentType string    `json:"datacontenttype"`
	Data        Event     `json:"data"`
}

func cloudEvent(e Event) cloud {
	subject := e.Repository
	switch {
	case e.Tag != "":
		subject += ":" + e.Tag
	case e.Digest != "":
		subject += "@" + e.Digest
	}
	from := "/" // a URI-reference, as the spec asks for
	if e.Host != "" {
		from = "https://" + e.Host + "/"
	}
	return cloud{SpecVersion: "1.0", ID: e.ID, Source: from, Type: "io.registrykit." + string(e.Action), Subject: subject,
		Time: e.Time, ContentType: "application/json", Data: e}
}
