package replication

import (
	"slices"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/events"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Bounds of replications.
const (
	maxReplications = 20
	maxCredential   = 16 << 10
)

// Replication is a rule as the admin API shows it. It never holds a password.
type Replication struct {
	Name               string
	URL                string // of the destination; what follows the host begins repositories' names there
	Insecure           bool   // images and the login may travel in the clear
	Repositories       []oci.Glob
	Tags               []oci.TagPattern // none means all
	Username           string           // "" for no login
	HasPassword        bool
	CredentialRevision string // changes whenever the password is set
	Enabled            bool
	Problem            string // why nothing can be copied; "" if it can
	Revision           string // changes with every change
	CreatedAt          time.Time
	UpdatedAt          time.Time
}

// Spec is what a replication shall be, whole.
type Spec struct {
	Name         string
	URL          string
	Insecure     bool
	Repositories []oci.Glob // none means all
	Tags         []oci.TagPattern
	Username     string
	Password     *string // nil keeps the one that there is
	Enabled      bool
	// May is asked about the revision of the replication that is there; MustExist
	// says that there must be one.
	May       auth.Condition
	MustExist bool
}

// check holds a Spec to the rules that need no look at what is there.
func (s Spec) check() (oci.Upstream, error) {
	if _, err := oci.ParseReplicationName(s.Name); err != nil {
		return oci.Upstream{}, err
	}
	destination, err := oci.ParseDestination(s.URL, s.Insecure)
	switch {
	case err != nil:
	case len(s.Repositories) > oci.MaxReplicationGlobs:
		err = oci.Errorf(oci.CodeInvalid, "%d repository globs are too many; at most %d are allowed", len(s.Repositories), oci.MaxReplicationGlobs)
	case len(s.Username) > maxCredential || s.Password != nil && len(*s.Password) > maxCredential:
		err = oci.Errorf(oci.CodeInvalid, "user name and password of the destination have at most %d bytes each", maxCredential)
	case s.Username == "" && s.Password != nil:
		err = oci.Errorf(oci.CodeInvalid, "the destination's password has no user name; give both, or neither")
	case s.Password != nil && *s.Password == "":
		err = oci.Errorf(oci.CodeInvalid, "the destination's password is empty; leave it out to keep the one that there is")
	}
	return destination, err
}

// rule is a replication as it is used.
type rule struct {
	Replication
	destination oci.Upstream
	password    string
}

// wants reports whether an event is to be replicated. One that has a problem
// wants it, too: it may be over before the event is given up. A push by digest
// alone may be of what refers to an image that is copied, so that is looked at
// when it is delivered.
func (r *rule) wants(e events.Event) bool {
	if !r.Enabled || e.Action != events.Push || e.Blob {
		return false
	}
	if len(r.Repositories) > 0 {
		repo, err := oci.ParseRepository(e.Repository)
		if err != nil || !slices.ContainsFunc(r.Repositories, func(g oci.Glob) bool { return g.Match(repo) }) {
			return false
		}
	}
	return e.Tag == "" || r.wantsTag(e.Tag)
}

func (r *rule) wantsTag(text string) bool {
	tag, err := oci.ParseTag(text)
	return err == nil && (len(r.Tags) == 0 || slices.ContainsFunc(r.Tags, func(p oci.TagPattern) bool { return p.Match(tag) }))
}
