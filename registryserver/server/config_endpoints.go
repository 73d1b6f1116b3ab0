package server

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/events"
)

// EndpointConfig is a receiver of notifications, as distribution has them.
// Those that are disabled are left out.
type EndpointConfig struct {
	Name              string
	URL               Secret // shown without what may be a token
	Headers           map[string][]Secret
	Timeout, Backoff  time.Duration
	IgnoredMediaTypes []string // a former name of IgnoreMediaTypes; both count
	IgnoreMediaTypes  []string
	IgnoreActions     []string
}

// notificationSettings are the keys of notifications. What is wrong with the
// value of one is found there; endpointsValue reads those of endpoints that are
// not disabled.
func notificationSettings(to *[]EndpointConfig) []setting {
	var e EndpointConfig
	all := []setting{
		{"notifications.events.includereferences", asBool(nil)},
		{"notifications.endpoints", endpointsValue{known{mapShape}, to}},
		{"notifications.endpoints[].disabled", asBool(nil)},
		{"notifications.endpoints[].headers.*[]", asSecret(nil)},
		{"notifications.endpoints[].threshold", asInt(nil, -1<<31)},
	}
	for _, s := range e.settings() {
		all = append(all, setting{"notifications.endpoints[]." + s.key, checked{s.value}})
	}
	return all
}

// checked is a value of which only the form is of interest.
type checked struct{ settingValue }

func (checked) node() *node { return nil }

func (e *EndpointConfig) settings() []setting {
	return []setting{
		{"name", asText(&e.Name)},
		{"url", asSecret(&e.URL)}, // may hold a token
		{"timeout", asDuration(&e.Timeout)},
		{"backoff", asDuration(&e.Backoff)},
		{"ignoredmediatypes", asTexts(&e.IgnoredMediaTypes)},
		{"ignore.mediatypes", asTexts(&e.IgnoreMediaTypes)},
		{"ignore.actions", asTexts(&e.IgnoreActions)},
	}
}

// endpointsValue is the list of endpoints.
type endpointsValue struct {
	known
	to *[]EndpointConfig
}

func (v endpointsValue) set(p *problems, path string, n *node) {
	if n.kind != listNode {
		p.fail(path, n, "is %s; use a list of endpoints", n.kind)
		return
	}
	names := make(map[string]bool)
	for i, item := range n.items {
		if disabled, _ := parseBool(item.at("disabled").text); disabled || item.kind != mapNode {
			continue
		}
		e := EndpointConfig{}
		var reported problems // by the settings of the fields
		for _, f := range e.settings() {
			if field := item.at(f.key); field.kind != nullNode {
				f.value.set(&reported, f.key, field)
			}
		}
		e.Headers = endpointHeaders(p, fieldPath(itemPath(path, i), "headers"), item.at("headers"))
		e.check(p, itemPath(path, i), item)
		switch {
		case e.Name == "":
			p.fail(fieldPath(itemPath(path, i), "name"), item, "is missing; write what the endpoint is called in metrics and in the queue, or set disabled: true")
		case names[e.Name]:
			p.fail(fieldPath(itemPath(path, i), "name"), item, "is the name of another endpoint, too; write another one")
		}
		names[e.Name] = true
		*v.to = append(*v.to, e)
	}
}

func (e *EndpointConfig) check(p *problems, path string, n *node) {
	u, err := url.Parse(string(e.URL))
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		p.fail(fieldPath(path, "url"), n, "is no absolute http or https URL; write one, such as https://ci.example.com/events, or set disabled: true")
	}
	for _, action := range e.IgnoreActions {
		if _, err := events.ParseAction(action); err != nil {
			p.fail(fieldPath(path, "ignore.actions"), n, "%s is not allowed; use push, pull, delete or mount", quoteValue(action))
		}
	}
}

func endpointHeaders(p *problems, path string, n *node) map[string][]Secret {
	if n.kind != mapNode || len(n.keys) == 0 {
		return nil
	}
	headers := make(map[string][]Secret)
	for _, key := range n.keys {
		if !headerName(key) {
			p.fail(fieldPath(path, key), n.fields[key], "is not the name of a header; use letters, digits and -")
		}
		for i, value := range n.fields[key].items {
			if _, ok := headerLine().parse(value.text); !ok {
				p.fail(itemPath(fieldPath(path, key), i), value, "is not allowed; use text without line breaks")
			}
			headers[key] = append(headers[key], Secret(value.text))
		}
	}
	return headers
}

func (v endpointsValue) node() *node {
	if len(*v.to) == 0 {
		return nil
	}
	n := &node{kind: listNode}
	for _, e := range *v.to {
		item := &node{kind: mapNode}
		e.URL = e.shownURL()
		for _, f := range e.settings() {
			if value := f.value.node(); value != nil {
				item.put(f.key, value)
			}
		}
		item.put("url", textOf("!!str", string(e.URL)))
		for _, key := range sortedKeys(e.Headers) {
			values := &node{kind: listNode}
			for range e.Headers[key] {
				values.items = append(values.items, textOf("!!str", secretMask))
			}
			if item.at("headers").kind == nullNode {
				item.setField("headers", &node{kind: mapNode})
			}
			item.at("headers").setField(key, values)
		}
		n.items = append(n.items, item)
	}
	return n
}

// shownURL is the URL without what may be a secret in it.
func (e EndpointConfig) shownURL() Secret {
	u, err := url.Parse(string(e.URL))
	if err != nil {
		return secretMask
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host}
	if u.User != nil || u.Path != "" || u.RawQuery != "" {
		shown.Path = "/" + secretMask
	}
	return Secret(shown.Scheme + "://" + shown.Host + shown.Path)
}

// endpoint is the endpoint as the notifier takes it.
func (e EndpointConfig) endpoint() events.Endpoint {
	out := events.Endpoint{Name: e.Name, URL: string(e.URL), Headers: make(http.Header), Timeout: e.Timeout, Backoff: e.Backoff, IgnoreMediaTypes: slices.Concat(e.IgnoredMediaTypes, e.IgnoreMediaTypes)}
	for _, action := range e.IgnoreActions {
		out.IgnoreActions = append(out.IgnoreActions, events.Action(action))
	}
	for name, values := range e.Headers {
		for _, value := range values {
			out.Headers.Add(name, string(value))
		}
	}
	return out
}
