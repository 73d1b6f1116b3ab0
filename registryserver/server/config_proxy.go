package server

import "github.com/registrykit/terraform-provider-registry/registryserver/oci"

// ProxyConfig makes the whole registry a pull-through cache, as distribution's
// proxy does. Without a RemoteURL it does not. Tags are looked at each time that
// they are pulled.
type ProxyConfig struct {
	RemoteURL string
	Username  string
	Password  Secret
	MaxSize   int // bytes that garbage collections hold it to; 0 for no bound
}

// finishProxy checks the upstream that is cached as a whole.
func (l *configLoader) finishProxy() {
	c := l.config.Proxy
	if c.RemoteURL == "" {
		return
	}
	upstream, err := oci.ParseUpstream(c.RemoteURL)
	if err != nil {
		l.failAt("proxy.remoteurl", "is no URL of a registry; write one such as https://registry-1.docker.io, and user name and password in proxy.username and proxy.password")
		return
	}
	if (c.Username == "") != (c.Password == "") {
		l.failAt("proxy.username", "and proxy.password belong together; set both, or neither")
	} else if c.Username != "" && upstream.MayLogin() != nil {
		l.failAt("proxy.remoteurl", "would be sent user name and password in the clear; use https://, or no login")
	}
	l.root.at("proxy.exec.command").active("proxy.exec.command", func(path string, n *node) {
		l.fail(path, n, "%s", refusal{what: "a program that logs in to the upstream is", instead: "set proxy.username and proxy.password"})
	})
	for _, key := range []string{"proxy.ttl", "proxy.cachewritetimeout"} {
		if n := l.root.at(key); n.kind != nullNode {
			l.warn(key, n, "has no effect in registryserver: what was fetched stays until it is deleted, or evicted to fit proxy.maxsize, and a fetch ends when the upstream is silent")
		}
	}
}
