package server

import "fmt"

// refusal is a key that changes what a registry does and that this version
// cannot honour. Passing it over would run a registry that is not the one that
// was asked for, so it stops the start, by name.
type refusal struct {
	key     string
	what    string // "event notifications are"
	instead string // what to do beside removing it
	never   bool   // no release is planned to support it
}

func refusals() []refusal {
	return []refusal{
		{key: "middleware.registry", what: "middleware is", instead: "set disabled: true"},
		{key: "middleware.repository", what: "middleware is", instead: "set disabled: true"},
		{key: "middleware.storage", what: "middleware is", instead: "set disabled: true"},
		{key: "policy.repository.classes", what: "a policy of repository classes is"},
		{key: "log.hooks", what: "a log hook is", instead: "set disabled: true"},
		{key: "health.file", what: "a health check of a file is"},
		{key: "health.http", what: "a health check over HTTP is"},
		{key: "health.tcp", what: "a health check over TCP is"},
	}
}

// refusedChoices are the drivers and kinds of authentication that are refused for being chosen.
func refusedChoices() []refusal {
	const filesystem = "use storage.filesystem or storage.s3"
	return []refusal{
		{key: "storage.azure", what: "storage in Azure is", instead: filesystem, never: true},
		{key: "storage.gcs", what: "storage in Google Cloud is", instead: filesystem, never: true},
		{key: "storage.oss", what: "storage in Alibaba's OSS is", instead: filesystem, never: true},
		{key: "storage.swift", what: "storage in Swift is", instead: filesystem, never: true},
		{key: "storage.inmemory", what: "storage in memory is", instead: "use storage.filesystem with a rootdirectory on a tmpfs", never: true},
		{key: "auth.silly", what: "silly, which takes any credentials, is", instead: "use auth.htpasswd, auth.token or auth: none", never: true},
	}
}

// refuse turns down what this version does not support, and warns of what no longer has an effect.
func (l *configLoader) refuse() {
	for _, r := range refusals() {
		l.root.at(r.key).active(r.key, func(path string, n *node) {
			l.fail(path, n, "%s", r)
		})
	}
	for _, r := range refusedChoices() {
		if n, ok := l.root.lookup(r.key); ok {
			l.fail(r.key, n, "%s", r)
		}
	}
	for _, key := range []string{"reporting", "compatibility.schema1"} {
		if n := l.root.at(key); n.kind != nullNode {
			l.warn(key, n, "has no effect in registryserver; remove it")
		}
	}
}

func (r refusal) String() string {
	by := "this version of registryserver"
	if r.never {
		by = "registryserver, nor is it planned"
	}
	s := fmt.Sprintf("%s not supported by %s; remove it", r.what, by)
	if r.instead != "" {
		s += " or " + r.instead
	}
	return s
}

// active calls f for a value that is written and not empty; for a list, for
// each item that is not disabled.
func (n *node) active(path string, f func(path string, n *node)) {
	switch n.kind {
	case textNode:
		if n.text != "" {
			f(path, n)
		}
	case listNode:
		for i, item := range n.items {
			if disabled, _ := parseBool(item.at("disabled").text); !disabled {
				f(itemPath(path, i), item)
			}
		}
	}
}
