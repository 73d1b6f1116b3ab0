package provider

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
)

// TestMain finds the terraform that the tests run: TF_ACC_TERRAFORM_PATH, the
// one on the PATH, or the one that .ci/tool installed. None is downloaded.
func TestMain(m *testing.M) {
	if os.Getenv("TF_ACC_TERRAFORM_PATH") == "" {
		found, err := exec.LookPath("terraform")
		if err != nil {
			installed, _ := filepath.Glob("../.tools/terraform@*/terraform")
			if len(installed) == 0 {
				fmt.Fprintln(os.Stderr, "provider: there is no terraform on the PATH; install one with .ci/tool terraform")
				os.Exit(1)
			}
			found, _ = filepath.Abs(installed[len(installed)-1])
		}
		_ = os.Setenv("TF_ACC_TERRAFORM_PATH", found)
	}
	_ = os.Setenv("CHECKPOINT_DISABLE", "1")
	for _, name := range os.Environ() { // what a developer has set is not for the tests
		if name, _, _ := strings.Cut(name, "="); strings.HasPrefix(name, "REGISTRY_") || strings.HasPrefix(name, "TF_VAR_") || strings.HasPrefix(name, "AWS_") {
			_ = os.Unsetenv(name)
		}
	}
	for name, value := range map[string]string{"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true"} {
		_ = os.Setenv(name, value)
	}
	code := m.Run()
	theMoto.stop()
	os.Exit(code)
}

// unitTest runs the steps with a real terraform and this provider. It is no
// acceptance test: nothing outside this process is needed.
func unitTest(t *testing.T, p *registryProvider, steps ...resource.TestStep) {
	t.Helper()
	t.Parallel()
	unitTestInOrder(t, p, steps...)
}

// unitTestInOrder is unitTest for a test that does not run beside others.
func unitTestInOrder(t *testing.T, p *registryProvider, steps ...resource.TestStep) {
	t.Helper()
	resource.UnitTest(t, resource.TestCase{ProtoV6ProviderFactories: factories(p), Steps: steps})
}

func factories(p *registryProvider) map[string]func() (tfprotov6.ProviderServer, error) {
	return map[string]func() (tfprotov6.ProviderServer, error){"registry": providerserver.NewProtocol6WithError(p)}
}

// testProvider is the provider in an empty environment.
func testProvider() *registryProvider {
	p := newProvider("test")
	p.getenv = func(string) string { return "" }
	return p
}

// clock is a clock that a test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Now()} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) func() {
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.t = c.t.Add(d)
	}
}

// expectAction expects the plan to do this with the resource, and the plan
// after it to do nothing.
func expectAction(address string, action plancheck.ResourceActionType) resource.ConfigPlanChecks {
	return resource.ConfigPlanChecks{
		PreApply:             []plancheck.PlanCheck{plancheck.ExpectResourceAction(address, action)},
		PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()},
	}
}

// says makes a pattern of a text that terraform may have broken into lines.
func says(text string) *regexp.Regexp {
	words := strings.Fields(text)
	for i, word := range words {
		words[i] = regexp.QuoteMeta(word)
	}
	return regexp.MustCompile(strings.Join(words, `[\s│]+`))
}
