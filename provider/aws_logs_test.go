package provider

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/config"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
)

// logFile is the log of everything that terraform and the provider say.
type logFile string

// logEverything turns on the most talkative log.
func logEverything(t *testing.T) logFile {
	t.Helper()
	file := filepath.Join(t.TempDir(), "log")
	t.Setenv("TF_ACC_LOG_PATH", file)
	t.Setenv("TF_LOG", "TRACE")
	t.Setenv("TF_LOG_SDK_FRAMEWORK", "TRACE")
	return logFile(file)
}

// lacks expects the log to hold no secret.
func (f logFile) lacks(t *testing.T, secrets ...string) {
	t.Helper()
	content, err := os.ReadFile(string(f))
	if err != nil || len(content) < 10_000 {
		t.Fatalf("the log has only %d bytes, %v", len(content), err)
	}
	for _, secret := range secrets {
		if i := bytes.Index(content, []byte(secret)); i >= 0 {
			t.Errorf("the log holds a secret: %s", content[max(0, i-300):min(len(content), i+50)])
		}
	}
}

// variables makes variables of texts, which the test framework does not log.
func variables(values map[string]string) config.Variables {
	v := config.Variables{}
	for name, value := range values {
		v[name] = config.StringVariable(value)
	}
	return v
}

// idOf reads the id for an import from an attribute of the state.
func idOf(address, attribute string) func(*terraform.State) (string, error) {
	return func(s *terraform.State) (string, error) {
		return s.RootModule().Resources[address].Primary.Attributes[attribute], nil
	}
}
