package server

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestConfigDocs holds docs/configuration.md to the settings, both ways.
func TestConfigDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, s := range newConfigLoader(&node{}).settings {
		known[s.key] = true
		row := "| `" + s.key + "` | `" + envName(s.key) + "` |"
		if strings.Count(string(page), row) != 1 {
			t.Errorf("docs/configuration.md lacks a row that begins with %s", row)
		}
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| `REGISTRY_").FindAllStringSubmatch(string(page), -1) {
		if !known[row[1]] {
			t.Errorf("docs/configuration.md has a row for %s, which is no key", row[1])
		}
	}
}
