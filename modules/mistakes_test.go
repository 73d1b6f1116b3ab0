package modules

import (
	"strings"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/modules/awstest"
)

// mistake is what only AWS itself can find, so that no precondition says it: there the output has to name cause and fix. What a
// precondition or a validation finds is tested beside its module, without AWS, unless it needs an answer that cannot be imitated there.
type mistake struct {
	name    string
	root    string
	options awstest.Options
	prepare func(t *testing.T, e *awstest.Emulator, w *awstest.Workspace) // and sets variables
	says    []string
}

func mistakes() []mistake {
	return []mistake{
		{
			name: "no hosted zone", root: "modules/testing/roots/dns",
			prepare: func(_ *testing.T, _ *awstest.Emulator, w *awstest.Workspace) {
				w.Variables(map[string]any{"zone_id": "Z0123456789ABCDEFGHIJ"})
			},
			says: []string{"Z0123456789ABCDEFGHIJ", "zone_id has to be a hosted zone of this account: aws route53 list-hosted-zones"},
		},
		{
			name: "certificate pending", root: "modules/testing/roots/dns", options: awstest.Options{CertificatesPend: true},
			prepare: func(t *testing.T, e *awstest.Emulator, w *awstest.Workspace) {
				w.Variables(map[string]any{"zone_id": e.HostedZone(t, "example.com")})
				w.WriteModule("dns", "awstest_override.tf", "resource \"aws_acm_certificate_validation\" \"this\" {\n  timeouts {\n    create = \"15s\"\n  }\n}\n")
			},
			says: []string{"PENDING_VALIDATION", "the parent domain has to name this zone's name servers"},
		},
		{
			name: "private hosted zone", root: "modules/testing/roots/dns",
			prepare: func(t *testing.T, e *awstest.Emulator, w *awstest.Workspace) {
				w.Variables(map[string]any{"zone_id": e.PrivateZone(t, "example.com")})
			},
			says: []string{"is private, so ACM cannot see in it", "Give validation_zone_id, the public zone of the name, or a certificate."},
		},
		{
			name: "bucket taken", root: "modules/testing/roots/storage",
			prepare: func(t *testing.T, e *awstest.Emulator, _ *awstest.Workspace) { e.TakeBucket(t, "images") },
			says:    []string{"BucketAlreadyExists", "(images)", "choose another bucket"},
		},
	}
}

func (m mistake) run(t *testing.T, tf *awstest.Terraform) {
	e := awstest.Start(t, m.options)
	w := tf.Workspace(t, m.root, e)
	m.prepare(t, e, w)
	said, err := w.Run(10*time.Minute, "apply", "-input=false", "-auto-approve")
	if err == nil {
		t.Fatalf("the apply succeeds:\n%s", said)
	}
	for _, want := range m.says {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said[max(0, strings.Index(said, "Error:")):])
		}
	}
}
