package main_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// client is a program that people use with a registry, and how it does what all of them do. A case of its own is a subtest of its name.
type client struct {
	name     string
	programs []string // those of .ci/tool, and those of the machine
	version  []string // the command that prints it
	root     bool     // it does not work as the root of a user namespace

	begin func(t *testing.T, w *world) // prepares what is not the registry's business; may be nil
	trust func(t *testing.T, w *world) // does what client-setup says
	login func(t *testing.T, w *world, host, user, password string) outcome
	// logout forgets the login; nil for a client that cannot.
	logout func(t *testing.T, w *world) outcome
	push   func(t *testing.T, w *world, ref string) outcome // of something small
	pull   func(t *testing.T, w *world, ref string) outcome // fetches it again, although it is here
	check  func(t *testing.T, w *world, ref string)         // is what was pulled what was pushed?
	list   func(t *testing.T, w *world, repo string) outcome

	says  errorTexts
	cases []clientCase
}

// errorTexts is how a client words the errors that the walk meets.
type errorTexts struct {
	plainHTTP     string
	unknownCA     string
	anonymousPush string
	anonymousPull string
	wrongPassword string
	denied        string
	unknownTag    string
	immutable     string // empty: it pushes no tags
}

// clientCase is what one client can do beyond the walk. It finds the CA trusted and the admin logged in.
type clientCase struct {
	name string
	test func(t *testing.T, w *world)
}

const (
	usualPlainHTTP = "server gave HTTP response to HTTPS client"
	usualUnknownCA = "certificate signed by unknown authority"
	// What the registry itself says.
	saysLogIn         = "authentication required"
	saysWrongPassword = "wrong user name or password"
	saysDenied        = "user reader may not push in repository other/hello; a policy that grants it is needed"
	saysUnknownTag    = "manifest 9.9.9 unknown in repository team/hello"
	saysImmutable     = "tag 1.0.0 of repository fixed/hello cannot be overwritten because the tag is immutable"
)

// TestClients lets real programs do what people do with a registry, against the real server: over TLS with a certificate of a private CA,
// and with everything denied that nobody allowed. The short form is the walk; the whole form adds each client's own cases.
func TestClients(t *testing.T) {
	clients := []client{docker(), containerd(), podman(), skopeo(), buildah(), crane(), regctl(), oras(), helm(), cosign()}
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.root && os.Geteuid() != 0 {
				t.Skipf("%s needs root here", c.name)
			}
			w := newWorld(t, c.programs)
			if c.begin != nil {
				c.begin(t, w)
			}
			c.walk(t, w)
			t.Attr("client", c.name+" "+strings.TrimSpace(number.FindString(w.run(t, c.version...).ok(t))))
			if testing.Short() {
				return
			}
			t.Run("a right that is missing", func(t *testing.T) { c.missingRight(t, w) })
			if c.says.immutable != "" {
				t.Run("a tag that is immutable", func(t *testing.T) { c.immutableTag(t, w) })
			}
			t.Run("a token for the password", func(t *testing.T) { c.token(t, w) })
			t.Run("a tag that is missing", func(t *testing.T) {
				c.pull(t, w, registryHost+"/team/hello:9.9.9").refused(t, c.says.unknownTag)
			})
			for _, one := range c.cases {
				t.Run(one.name, func(t *testing.T) { one.test(t, w) })
			}
		})
	}
}

// walk is the way from a registry that no client wants to talk to, to one that just works: each step is what the one before lacked.
func (c *client) walk(t *testing.T, w *world) {
	step := func(name string, test func(t *testing.T)) {
		t.Helper()
		if !t.Run(name, test) {
			t.FailNow()
		}
	}
	const repo, tag = "team/hello", "1.0.0" // the tag is a version, as Helm wants it
	const ref = registryHost + "/" + repo + ":" + tag
	step("plain HTTP is refused", func(t *testing.T) {
		w.serve(t, plainHost, filesystemConfig(t.TempDir()))
		c.pull(t, w, plainHost+"/"+repo+":"+tag).refused(t, c.says.plainHTTP)
	})
	step("an unknown CA is refused", func(t *testing.T) { c.pull(t, w, ref).refused(t, c.says.unknownCA) })
	step("the CA is trusted", func(t *testing.T) { c.trust(t, w) })
	step("no credentials are refused", func(t *testing.T) {
		c.push(t, w, ref).refused(t, c.says.anonymousPush)
		c.pull(t, w, ref).refused(t, c.says.anonymousPull)
	})
	step("a wrong password is refused", func(t *testing.T) {
		o := c.login(t, w, registryHost, adminUser, "a wrong password")
		if o.err == nil { // there are programs that believe everything until they need it
			o = c.pull(t, w, ref)
		}
		o.refused(t, c.says.wrongPassword)
	})
	step("login", func(t *testing.T) { c.login(t, w, registryHost, adminUser, adminPassword).ok(t) })
	step("push", func(t *testing.T) { c.push(t, w, ref).ok(t) })
	step("pull", func(t *testing.T) {
		c.pull(t, w, ref).ok(t)
		c.check(t, w, ref)
	})
	if c.logout != nil {
		step("without a login, what is for everybody is pulled, and no more", func(t *testing.T) { c.anonymous(t, w, ref) })
	}
	if c.list != nil {
		step("list", func(t *testing.T) { c.list(t, w, repo).prints(t, tag) })
	}
}

// anonymous pulls what anybody may, without a login.
func (c *client) anonymous(t *testing.T, w *world, private string) {
	w.need(t, "curl")
	const public = registryHost + "/public/hello:1.0.0"
	w.admin(t, "policies", `{"name":"public","anonymous":true,"rules":[{"repositories":["public/**"],"actions":["pull"]}]}`)
	c.push(t, w, public).ok(t)
	c.logout(t, w).ok(t)
	c.pull(t, w, public).ok(t)
	c.check(t, w, public)
	c.pull(t, w, private).refused(t, c.says.anonymousPull)
	c.login(t, w, registryHost, adminUser, adminPassword).ok(t)
}

// token logs in with a token that the registry issued, for as long as it is good. missingRight has made its user.
func (c *client) token(t *testing.T, w *world) {
	w.need(t, "curl")
	const reader, ref = "reader", registryHost + "/team/hello:1.0.0"
	var issued struct{ ID, Token string }
	if err := json.Unmarshal([]byte(w.admin(t, "tokens", `{"username":"`+reader+`","expires_in":3600}`)), &issued); err != nil || issued.Token == "" {
		t.Fatalf("no token was issued: %v", err)
	}
	c.login(t, w, registryHost, reader, issued.Token).ok(t)
	defer func() {
		c.login(t, w, registryHost, adminUser, adminPassword).ok(t)
		c.pull(t, w, ref).ok(t) // the cases of the clients begin with it
	}()
	c.pull(t, w, ref).ok(t)
	c.push(t, w, registryHost+"/other/hello:1.0.0").refused(t, c.says.denied)
	w.admin(t, "tokens/"+issued.ID, "", "--request", "DELETE")
	c.pull(t, w, ref).refused(t)
}

// admin does something with the admin API of the registry, and returns the answer. Without a body, extra says what.
func (w *world) admin(t *testing.T, path, body string, extra ...string) string {
	t.Helper()
	args := []string{"curl", "--silent", "--show-error", "--fail", "--cacert", w.ca, "--user", adminUser + ":" + adminPassword}
	if body != "" {
		args = append(args, "--header", "Content-Type: application/json", "--data", body)
	}
	return w.run(t, append(append(args, extra...), "https://"+registryHost+"/api/v1/"+path)...).ok(t)
}

// missingRight pushes as a user who may only pull, and goes on as the admin.
func (c *client) missingRight(t *testing.T, w *world) {
	w.need(t, "curl")
	const reader = "reader"
	w.admin(t, "users", `{"username":"`+reader+`","password":"`+adminPassword+`","policies":["read-only"],"enabled":true}`)
	c.login(t, w, registryHost, reader, adminPassword).ok(t)
	defer func() { c.login(t, w, registryHost, adminUser, adminPassword).ok(t) }()
	c.pull(t, w, registryHost+"/team/hello:1.0.0").ok(t)
	c.push(t, w, registryHost+"/other/hello:1.0.0").refused(t, c.says.denied)
}

// immutableTag pushes to a tag that has another content and keeps it. The client says so.
func (c *client) immutableTag(t *testing.T, w *world) {
	w.need(t, "curl")
	curl := func(path string, arguments ...string) {
		t.Helper()
		w.run(t, append([]string{"curl", "--silent", "--show-error", "--fail", "--cacert", w.ca, "--user", adminUser + ":" + adminPassword,
			"https://" + registryHost + path}, arguments...)...).ok(t)
	}
	curl("/api/v1/repositories", "--header", "Content-Type: application/json", "--data", `{"name":"fixed/hello","immutable_tag_patterns":["*"]}`)
	const index = "application/vnd.oci.image.index.v1+json"
	curl("/v2/fixed/hello/manifests/1.0.0", "--request", "PUT", "--header", "Content-Type: "+index, "--data", `{"schemaVersion":2,"mediaType":"`+index+`","manifests":[]}`)
	c.push(t, w, registryHost+"/fixed/hello:1.0.0").refused(t, c.says.immutable)
}

// number is what a program prints of its version: all of it up to a comma, a quote or a bracket.
var number = regexp.MustCompile(`[0-9][^,"(\n]*`)

// setUp does what client-setup prints under a heading, but for the logins: it returns those.
func (w *world) setUp(t *testing.T, heading string) (logins []string) {
	t.Helper()
	printed := w.run(t, buildServer(t), "client-setup", registryHost, "--ca", w.ca).ok(t)
	lines := strings.Split(section(t, printed, heading), "\n")
	isLogin := func(line string) bool { return strings.HasSuffix(line, " login "+registryHost) }
	for _, line := range lines {
		if isLogin(line) {
			logins = append(logins, line)
		}
	}
	script := strings.Join(slices.DeleteFunc(lines, isLogin), "\n")
	w.run(t, "sh", "-ec", "sudo() { \"$@\"; }\n"+script).ok(t)
	return logins
}

// expectLogin fails the test unless client-setup printed the command that logs in.
func expectLogin(t *testing.T, logins []string, want string) {
	t.Helper()
	if !slices.Contains(logins, want) {
		t.Errorf("client-setup prints the logins %q; want %q", logins, want)
	}
}
