package server

import (
	"fmt"
	"strings"
	"testing"
)

// TestConfigErrors holds the exact messages: they are what an operator sees of this package.
func TestConfigErrors(t *testing.T) {
	const refused = " not supported by this version of registryserver; remove it"
	for _, test := range []struct {
		name, yaml string
		environ    []string
		want       []string
	}{
		{name: "everything at once", yaml: "version: 0.2\nlog: {level: loud}\nhttp:\n  draintimeout: soon\n", environ: []string{"REGISTRY_HTTP_ADDR=here"}, want: []string{
			`log.level (line 2): "loud" is not allowed; use error, warn, info or debug`,
			`http.draintimeout (line 4): "soon" is not allowed; use a duration with a unit, such as 30s, 5m or 168h`,
			`version (line 1): "0.2" is not allowed; use 0.1`,
			`http.addr (REGISTRY_HTTP_ADDR): "here" is not allowed; use host:port, such as :5000 or 127.0.0.1:5000`,
		}},
		{name: "version missing", yaml: "log: {level: info}", want: []string{"version: is missing; write version: 0.1"}},
		{name: "version from a variable", yaml: "log: {level: info}", environ: []string{"REGISTRY_VERSION=0.1"}},

		// YAML
		{name: "syntax", yaml: "version: 0.1\n a: b", want: []string{"the configuration: is not valid YAML: line 2: mapping values are not allowed in this context"}},
		{name: "no mapping", yaml: "hello", want: []string{"the configuration (line 1): is text; use a mapping"}},
		{name: "a list", yaml: "- a", want: []string{"the configuration (line 1): is a list; use a mapping"}},
		{name: "two documents", yaml: "version: 0.1\n---\nversion: 0.1", want: []string{"the configuration: has a second YAML document (line 2); keep one"}},
		{name: "keys twice", yaml: "version: 0.1\nhttp:\n  addr: :1\n  addr: :2\nhttp: {}", want: []string{
			"http.addr (line 4): the key is written twice, first at line 3; keep one",
			"http (line 5): the key is written twice, first at line 2; keep one",
		}},
		{name: "a mapping as key", yaml: "version: 0.1\nhttp: {{a: b}: c}", want: []string{"http (line 2): a key is not text; write key: value"}},
		{name: "tag", yaml: "version: 0.1\nhttp: {secret: !!binary aGk=}", want: []string{"http.secret (line 2): has a YAML tag; remove it, or put a value that begins with ! in quotes"}},
		{name: "alias of nothing", yaml: "version: 0.1\nhttp: {secret: *a}", want: []string{"the configuration: is not valid YAML: an alias names no anchor; put a value that begins with * in quotes"}},
		{name: "merge of text", yaml: "version: 0.1\nhttp: {<<: a}", want: []string{"http (line 2): the value of << is not a mapping; use an alias of one"}},

		// Types
		{name: "section is text", yaml: "version: 0.1\nhttp: hello", want: []string{"http (line 2): is text; use a mapping"}},
		{name: "list is text", yaml: "version: 0.1\nhttp: {tls: {clientcas: /ca}}", want: []string{"http.tls.clientcas (line 2): is text; use a list, each item text"}},
		{name: "list of sections is text", environ: []string{"REGISTRY_LOG_HOOKS=somestring"}, want: []string{
			"log.hooks (REGISTRY_LOG_HOOKS): is text; use a list",
			"log.hooks (REGISTRY_LOG_HOOKS): a log hook is" + refused + " or set disabled: true",
		}},
		{name: "item is a list", yaml: "version: 0.1\nvalidation: {manifests: {urls: {allow: [a, [b]]}}}", want: []string{"validation.manifests.urls.allow[1] (line 2): is a list; use a regular expression (https://golang.org/s/re2syntax)"}},
		{name: "regexp", yaml: "version: 0.1\nvalidation: {manifests: {urls: {allow: [a, '(']}}}", want: []string{`validation.manifests.urls.allow[1] (line 2): "(" is not allowed; use a regular expression (https://golang.org/s/re2syntax)`}},
		{name: "bool", yaml: "version: 0.1\nstorage: {delete: {enabled: maybe}}", want: []string{`storage.delete.enabled (line 2): "maybe" is not allowed; use true or false`}},
		{name: "bool is a number", environ: []string{"REGISTRY_STORAGE_DELETE_ENABLED=1"}, want: []string{`storage.delete.enabled (REGISTRY_STORAGE_DELETE_ENABLED): "1" is not allowed; use true or false`}},
		{name: "int", yaml: "version: 0.1\ntags: {maxtags: -1}", want: []string{`tags.maxtags (line 2): "-1" is not allowed; use a whole number, at least 0`}},
		{name: "duration without unit", yaml: "version: 0.1\nhttp: {draintimeout: 60}", want: []string{`http.draintimeout (line 2): "60" is not allowed; use a duration with a unit, such as 30s, 5m or 168h`}},
		{name: "negative duration", yaml: "version: 0.1\nhttp: {draintimeout: -1s}", want: []string{`http.draintimeout (line 2): "-1s" is not allowed; use a duration with a unit, such as 30s, 5m or 168h`}},
		{name: "purging at once", environ: []string{"REGISTRY_STORAGE_MAINTENANCE_UPLOADPURGING_AGE=0s"}, want: []string{`storage.maintenance.uploadpurging.age (REGISTRY_STORAGE_MAINTENANCE_UPLOADPURGING_AGE): "0s" is not allowed; use a duration above 0`}},
		{name: "header is text", yaml: "version: 0.1\nhttp: {headers: {A: b}}", want: []string{"http.headers.A (line 2): is text; use a list"}},
		{name: "headers are text", yaml: "version: 0.1\nhttp: {headers: b}", want: []string{"http.headers (line 2): is text; use a mapping of names to lists of values"}},
		{name: "header name", yaml: "version: 0.1\nhttp: {headers: {a b: [c]}}", want: []string{"http.headers.a b (line 2): is not the name of a header; use letters, digits and -"}},
		{name: "header value", yaml: "version: 0.1\nhttp: {headers: {a: [\"b\\r\\nc: d\"]}}", want: []string{`http.headers.a[0] (line 2): "b\r\nc: d" is not allowed; use text without line breaks`}},
		{name: "platforms", yaml: "version: 0.1\nvalidation: {manifests: {indexes: {platforms: some, platformlist: [{os: linux}]}}}", want: []string{
			`validation.manifests.indexes.platforms (line 2): "some" is not allowed; use all, none or list`,
			"validation.manifests.indexes.platformlist[0] (line 2): lacks architecture or os; write both, such as {architecture: amd64, os: linux}",
		}},

		// HTTP
		{name: "prefix", yaml: "version: 0.1\nhttp: {prefix: a/}", want: []string{`http.prefix (line 2): "a/" is not allowed; use a path such as /registry/`}},
		{name: "prefix with dots", yaml: "version: 0.1\nhttp: {prefix: /a/../b/}", want: []string{`http.prefix (line 2): "/a/../b/" is not allowed; use a path such as /registry/`}},
		{name: "host without scheme", yaml: "version: 0.1\nhttp: {host: 'r.example.com:5000'}", want: []string{`http.host (line 2): "r.example.com:5000" is not allowed; use a URL of scheme and host without user name, such as https://registry.example.com`}},
		{name: "net", yaml: "version: 0.1\nhttp: {net: udp}", want: []string{`http.net (line 2): "udp" is not allowed; use tcp or unix`}},
		{name: "unix without a path", yaml: "version: 0.1\nhttp: {net: unix}", want: []string{"http.addr: is missing; with http.net unix, write the path of the socket"}},
		{name: "certificate alone", yaml: "version: 0.1\nhttp: {tls: {certificate: /c}}", want: []string{"http.tls.key: is missing beside http.tls.certificate; write both or neither"}},
		{name: "key alone", yaml: "version: 0.1\nhttp: {tls: {key: /c}}", want: []string{"http.tls.certificate: is missing beside http.tls.key; write both or neither"}},
		{name: "tls version", yaml: "version: 0.1\nhttp: {tls: {minimumtls: ssl3}}", want: []string{`http.tls.minimumtls (line 2): "ssl3" is not allowed; use tls1.0, tls1.1, tls1.2 or tls1.3`}},
		{name: "client auth", yaml: "version: 0.1\nhttp: {tls: {clientauth: x}}", want: []string{`http.tls.clientauth (line 2): "x" is not allowed; use request-client-cert, require-any-client-cert, verify-client-cert-if-given or require-and-verify-client-cert`}},
		{name: "managed without a secret", yaml: "version: 0.1\nhttp: {tls: {managed: true}}", want: []string{"http.secret: is missing; http.tls.managed needs it, to encrypt private keys"}},
		{name: "ACME beside files", yaml: "version: 0.1\nhttp: {tls: {certificate: /c, key: /k, letsencrypt: {hosts: [r.example.com]}}}", want: []string{"http.tls.letsencrypt.hosts (line 2): is written beside http.tls.certificate; write one of them"}},
		{name: "ACME without hosts", yaml: "version: 0.1\nhttp: {tls: {letsencrypt: {email: a@b, hosts: []}}}", want: []string{"http.tls.letsencrypt.hosts (line 2): is missing; write the DNS names of this registry"}},
		{name: "ACME with a cache only", yaml: "version: 0.1\nhttp: {tls: {letsencrypt: {cachefile: /c}}}", want: []string{"http.tls.letsencrypt.hosts: is missing; write the DNS names of this registry"}},
		{name: "ACME hosts", yaml: "version: 0.1\nhttp: {tls: {letsencrypt: {hosts: ['*.example.com']}}}", want: []string{
			`http.tls.letsencrypt.hosts[0] (line 2): "*.example.com" is not allowed; use a DNS name with a dot, such as registry.example.com (xn--… for one that is not ASCII)`,
		}},
		{name: "ACME on a socket file", yaml: "version: 0.1\nhttp: {net: unix, addr: /s, tls: {letsencrypt: {hosts: [r.example.com]}}}", want: []string{"http.tls.letsencrypt.hosts (line 2): needs http.net tcp: an ACME server cannot connect to a socket file"}},
		{name: "ACME directory", yaml: "version: 0.1\nhttp: {tls: {letsencrypt: {hosts: [r.example.com], directoryurl: 'http://acme'}}}", want: []string{
			"http.tls.letsencrypt.directoryurl (line 2): is not the https URL of an ACME server's directory; write it without user name, or nothing for Let's Encrypt",
		}},
		{name: "metrics path", yaml: "version: 0.1\nhttp: {debug: {prometheus: {path: m}}}", want: []string{`http.debug.prometheus.path (line 2): "m" is not allowed; use a path such as /metrics`}},

		// Storage
		{name: "two drivers in the file", yaml: "version: 0.1\nstorage:\n  filesystem:\n  s3: {bucket: b}", want: []string{
			"storage: only one storage driver is allowed, here are filesystem (line 3), s3 (line 4); remove the others, or name the one with REGISTRY_STORAGE",
			"storage.s3.region (line 4): is not set; name the region of the bucket, such as eu-central-1 (REGISTRY_STORAGE_S3_REGION)",
		}},
		{name: "S3 over a filesystem", yaml: "version: 0.1\nstorage:\n  filesystem:\n", environ: []string{"REGISTRY_STORAGE_S3_BUCKET=b"}, want: []string{
			"storage: only one storage driver is allowed, here are filesystem (line 3), s3 (REGISTRY_STORAGE_S3_BUCKET); remove the others, or name the one with REGISTRY_STORAGE",
			"storage.s3.region (REGISTRY_STORAGE_S3_BUCKET): is not set; name the region of the bucket, such as eu-central-1 (REGISTRY_STORAGE_S3_REGION)",
		}},
		{name: "s3", yaml: "version: 0.1\nstorage: {filesystem: {}}", environ: []string{"REGISTRY_STORAGE=s3", "REGISTRY_STORAGE_S3_SECRETKEY=hunter2"}, want: []string{
			"storage.s3.bucket (REGISTRY_STORAGE): is not set; name the bucket (REGISTRY_STORAGE_S3_BUCKET)",
			"storage.s3.region (REGISTRY_STORAGE): is not set; name the region of the bucket, such as eu-central-1 (REGISTRY_STORAGE_S3_REGION)",
			"storage.s3 (REGISTRY_STORAGE): accesskey and secretkey go together; set both, or neither to use the role of the machine",
		}},
		{name: "s3aws", environ: []string{"REGISTRY_STORAGE_S3AWS_BUCKET=x"}, want: []string{
			"storage.s3aws.region (REGISTRY_STORAGE_S3AWS_BUCKET): is not set; name the region of the bucket, such as eu-central-1 (REGISTRY_STORAGE_S3AWS_REGION)",
		}},
		{name: "s3 parameters are checked", yaml: "version: 0.1\nstorage: {s3: {bucket: b, region: r, encrypt: maybe, chunksize: big, v4auth: false}}", want: []string{
			`storage.s3.encrypt (line 2): "maybe" is not allowed; use true or false`,
			`storage.s3.chunksize (line 2): "big" is not allowed; use a whole number, at least 0`,
			"storage.s3.v4auth (line 2): signatures of version 2 are not supported, nor by AWS any more; remove it",
		}},
		{name: "gcs", yaml: "version: 0.1\nstorage: {gcs: {bucket: b}}", want: []string{"storage.gcs (line 2): storage in Google Cloud is not supported by registryserver, nor is it planned; remove it or use storage.filesystem or storage.s3"}},
		{name: "inmemory", environ: []string{"REGISTRY_STORAGE=inmemory"}, want: []string{"storage.inmemory (REGISTRY_STORAGE): storage in memory is not supported by registryserver, nor is it planned; remove it or use storage.filesystem with a rootdirectory on a tmpfs"}},
		{name: "misspelt driver", yaml: "version: 0.1\nstorage: {filesytem: {rootdirectory: /data}}", want: []string{`storage.filesytem (line 2): "filesytem" is no storage driver; use filesystem or s3`}},
		{name: "unknown driver", environ: []string{"REGISTRY_STORAGE=floppy"}, want: []string{`storage.floppy (REGISTRY_STORAGE): "floppy" is no storage driver; use filesystem or s3`}},
		{name: "empty storage variable", yaml: "version: 0.1\nstorage: {filesystem: {rootdirectory: /data}}", environ: []string{"REGISTRY_STORAGE="}, want: []string{"storage (REGISTRY_STORAGE): is empty and would undo storage (line 2); name a storage driver or unset the variable"}},
		{name: "empty root", yaml: "version: 0.1\nstorage: {filesystem: {rootdirectory: ''}}", want: []string{"storage.filesystem.rootdirectory (line 2): is empty; write the directory that keeps the images, or nothing for /var/lib/registry"}},
		{name: "driver is text", yaml: "version: 0.1\nstorage: {filesystem: /data}", want: []string{"storage.filesystem (line 2): is text; use a mapping"}},

		// Auth and admin
		{name: "two kinds", yaml: "version: 0.1\nauth: {htpasswd: {realm: r, path: p}, none: {}}", want: []string{"auth: only one kind of authentication is allowed, here are htpasswd (line 2), none (line 2); remove the others, or name the one with REGISTRY_AUTH"}},
		{name: "misspelt kind", yaml: "version: 0.1\nauth: {htpaswd: {path: /h}}", want: []string{`auth.htpaswd (line 2): "htpaswd" is no kind of authentication; use htpasswd, token or none`}},
		{name: "misspelt kind beside a known one", environ: []string{"REGISTRY_AUTH=none", "REGISTRY_AUTH_HTPASWD_PATH=/h"}, want: []string{`auth.htpaswd (REGISTRY_AUTH_HTPASWD_PATH): "htpaswd" is no kind of authentication; use htpasswd, token or none`}},
		{name: "silly", yaml: "version: 0.1\nauth: {silly: {realm: r, service: s}}", want: []string{"auth.silly (line 2): silly, which takes any credentials, is not supported by registryserver, nor is it planned; remove it or use auth.htpasswd, auth.token or auth: none"}},
		{name: "htpasswd without path", environ: []string{"REGISTRY_AUTH=htpasswd", "REGISTRY_AUTH_HTPASSWD_REALM=r"}, want: []string{"auth.htpasswd.path: is missing; write the path of the htpasswd file"}},
		{name: "empty auth variable", yaml: "version: 0.1\nauth: {htpasswd: {realm: r, path: p}}", environ: []string{"REGISTRY_AUTH="}, want: []string{"auth (REGISTRY_AUTH): is empty and would undo auth (line 2); name a kind of authentication or unset the variable"}},
		{name: "token without anything", yaml: "version: 0.1\nauth: token", want: []string{
			"auth.token.realm: is missing; write the URL where clients get tokens",
			"auth.token.service: is missing; write the name that the issuer knows this registry by",
			"auth.token.issuer: is missing; write the name of the issuer in its tokens",
			"auth.token.rootcertbundle: is missing; write the path of the issuer's certificates, or auth.token.jwks for its keys",
		}},
		{name: "symmetric algorithm", yaml: "version: 0.1\nauth: {token: {realm: r, service: s, issuer: i, jwks: j, signingalgorithms: [ES256, HS256]}}", want: []string{
			`auth.token.signingalgorithms[1] (line 2): "HS256" is not allowed; use EdDSA, RS256, RS384, RS512, ES256, ES384, ES512, PS256, PS384 or PS512; HS256, HS384 and HS512 are refused because whoever can check such a token can also sign one`,
		}},
		{name: "two passwords", environ: []string{"REGISTRY_ADMIN_PASSWORD=hunter2", "REGISTRY_ADMIN_PASSWORDFILE=/p"}, want: []string{"admin.passwordfile (REGISTRY_ADMIN_PASSWORDFILE): is written beside admin.password; write one of them"}},
		{name: "two HTTP secrets", yaml: "version: 0.1\naws: {secrets: {http: arn}}", environ: []string{"REGISTRY_HTTP_SECRET=hunter2"}, want: []string{"aws.secrets.http (line 2): is written beside http.secret; write one of them"}},
		{name: "password of no Redis", yaml: "version: 0.1\naws: {secrets: {redis: arn}}", want: []string{"aws.secrets.redis (line 2): is the password of a Redis, and there is none; set redis.addrs (REGISTRY_REDIS_ADDRS)"}},
		{name: "hook of no group", yaml: "version: 0.1\naws: {autoscaling: {launchhook: ready}}", want: []string{"aws.autoscaling.group: is missing; name the group that the hooks are of"}},
		{name: "admin without password", environ: []string{"REGISTRY_ADMIN_USERNAME=root"}, want: []string{"admin.username (REGISTRY_ADMIN_USERNAME): is written without a password; write admin.password or admin.passwordfile"}},

		// Refused by name
		{name: "proxy", environ: []string{"REGISTRY_PROXY_REMOTEURL=https://user:word@hub.example.com"}, want: []string{"proxy.remoteurl (REGISTRY_PROXY_REMOTEURL): is no URL of a registry; write one such as https://registry-1.docker.io, and user name and password in proxy.username and proxy.password"}},
		{name: "proxy without password", yaml: "version: 0.1\nproxy: {remoteurl: 'https://hub.example.com', username: u}", want: []string{"proxy.username (line 2): and proxy.password belong together; set both, or neither"}},
		{name: "proxy in the clear", yaml: "version: 0.1\nproxy: {remoteurl: 'http://hub.example.com', username: u, password: p}", want: []string{"proxy.remoteurl (line 2): would be sent user name and password in the clear; use https://, or no login"}},
		{name: "proxy that runs a program", yaml: "version: 0.1\nproxy: {remoteurl: 'https://hub.example.com', exec: {command: c}}", want: []string{"proxy.exec.command (line 2): a program that logs in to the upstream is not supported by this version of registryserver; remove it or set proxy.username and proxy.password"}},
		{name: "notifications", yaml: "version: 0.1\nnotifications:\n  endpoints:\n  - {disabled: true}\n  - {name: x}\n  - {name: x, url: 'http://a:hunter2@h/', headers: {'a b': [c], d: [\"e\\nf\"]}, timeout: soon, ignore: {actions: [look]}}\n  - {url: 'h:80'}", want: []string{
			"notifications.endpoints[1].url (line 5): is no absolute http or https URL; write one, such as https://ci.example.com/events, or set disabled: true",
			"notifications.endpoints[2].headers.a b (line 6): is not the name of a header; use letters, digits and -",
			"notifications.endpoints[2].headers.d[0] (line 6): is not allowed; use text without line breaks",
			`notifications.endpoints[2].ignore.actions (line 6): "look" is not allowed; use push, pull, delete or mount`,
			"notifications.endpoints[2].name (line 6): is the name of another endpoint, too; write another one",
			"notifications.endpoints[3].url (line 7): is no absolute http or https URL; write one, such as https://ci.example.com/events, or set disabled: true",
			"notifications.endpoints[3].name (line 7): is missing; write what the endpoint is called in metrics and in the queue, or set disabled: true",
			`notifications.endpoints[2].timeout (line 6): "soon" is not allowed; use a duration with a unit, such as 30s, 5m or 168h`,
		}},
		{name: "notifications of another form", yaml: "version: 0.1\nnotifications: {endpoints: hunter2}", want: []string{"notifications.endpoints (line 2): is text; use a list of endpoints"}},
		{name: "middleware", yaml: "version: 0.1\nmiddleware: {registry: [{name: a}], repository: [{name: b}], storage: [{name: c}]}", want: []string{
			"middleware.registry[0] (line 2): middleware is" + refused + " or set disabled: true",
			"middleware.repository[0] (line 2): middleware is" + refused + " or set disabled: true",
			"middleware.storage[0] (line 2): middleware is" + refused + " or set disabled: true",
		}},
		{name: "classes", yaml: "version: 0.1\npolicy: {repository: {classes: [image]}}", want: []string{"policy.repository.classes[0] (line 2): a policy of repository classes is" + refused}},
		{name: "hooks", yaml: "version: 0.1\nlog: {hooks: [{type: mail}]}", want: []string{"log.hooks[0] (line 2): a log hook is" + refused + " or set disabled: true"}},
		{name: "health", yaml: "version: 0.1\nhealth: {file: [{file: a}], http: [{uri: u}], tcp: [{addr: a}]}", want: []string{
			"health.file[0] (line 2): a health check of a file is" + refused,
			"health.http[0] (line 2): a health check over HTTP is" + refused,
			"health.tcp[0] (line 2): a health check over TCP is" + refused,
		}},

		// Variables
		{name: "index beyond the end", yaml: "version: 0.1\nhttp: {tls: {clientcas: [/a]}}", environ: []string{"REGISTRY_HTTP_TLS_CLIENTCAS_2=/b"}, want: []string{"http.tls.clientcas (REGISTRY_HTTP_TLS_CLIENTCAS_2): is a list whose next index is 1"}},
		{name: "no index", environ: []string{"REGISTRY_HTTP_TLS_CLIENTCAS_X=/b"}, want: []string{"http.tls.clientcas (REGISTRY_HTTP_TLS_CLIENTCAS_X): is a list; give the index of an item, or the whole list as [a, b]"}},
		{name: "below text", yaml: "version: 0.1\nhttp: hello", environ: []string{"REGISTRY_HTTP_ADDR=:1"}, want: []string{
			"http (REGISTRY_HTTP_ADDR): is text, from line 2; nothing can be set below it",
			"http (line 2): is text; use a mapping",
		}},
		{name: "below a list that is none", yaml: "version: 0.1\nhttp: {tls: {clientcas: {}}}", environ: []string{"REGISTRY_HTTP_TLS_CLIENTCAS_0=/b"}, want: []string{
			"http.tls.clientcas (REGISTRY_HTTP_TLS_CLIENTCAS_0): is a mapping, from line 2; nothing can be set below it",
			"http.tls.clientcas (line 2): is a mapping; use a list, each item text",
		}},
		{name: "section is no YAML", environ: []string{"REGISTRY_HTTP={hunter2"}, want: []string{"http (REGISTRY_HTTP): is not valid YAML: line 1: did not find expected ',' or '}'"}},
		{name: "no UTF-8", environ: []string{"REGISTRY_HTTP_ADDR=\xff"}, want: []string{"http.addr (REGISTRY_HTTP_ADDR): is not UTF-8; use UTF-8 text"}},
		{name: "item missing", environ: []string{"REGISTRY_HTTP_TLS_CLIENTCAS_0="}, want: []string{"http.tls.clientcas[0] (REGISTRY_HTTP_TLS_CLIENTCAS_0): is empty; use text"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := LoadConfig([]byte(test.yaml), test.environ)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if want := strings.Join(test.want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestConfigBombs(t *testing.T) {
	laughs := "version: 0.1\nx0: &x0 [a, b, c, d, e, f, g, h, i]\n"
	for i := 1; i < 9; i++ {
		laughs += fmt.Sprintf("x%d: &x%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*x%d, ", i-1), 9), ", "))
	}
	merges := "version: 0.1\nx0: &x0 {a: b}\n"
	for i := 1; i < 30; i++ {
		merges += fmt.Sprintf("x%d: &x%d {<<: [*x%d, *x%d], k%d: v}\n", i, i, i-1, i-1, i)
	}
	for name, test := range map[string]struct{ yaml, want string }{
		"laughs":     {laughs, "write out what its YAML aliases repeat"},
		"merges":     {merges, "write out what its YAML aliases repeat"},
		"cycle":      {"version: 0.1\nx: &x [*x]", "is nested more than 32 levels deep"},
		"self-merge": {"version: 0.1\nx: &x {<<: *x}", "is nested more than 32 levels deep"},
		"deep":       {"x: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "is nested more than 32 levels deep"},
		"deeper":     {"x: " + strings.Repeat("[", 20000), "exceeded max depth"},
		"long":       {strings.Repeat("#", 1<<20+1), "at most 1048576 are allowed"},
	} {
		for _, environ := range [][]string{nil, {"REGISTRY_LOG_FIELDS=" + test.yaml}} {
			yaml := []byte(test.yaml)
			if environ != nil {
				yaml = nil
			}
			if _, _, err := LoadConfig(yaml, environ); err == nil || !strings.Contains(err.Error(), test.want) || len(err.Error()) > 500 {
				t.Errorf("%s: got %v, want %s", name, err, test.want)
			}
		}
	}
}
