package provider

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	guideBlock    = regexp.MustCompile("(?ms)^```(terraform|hcl)\n(.*?)^```$")
	variableBlock = regexp.MustCompile(`(?ms)^variable "(\w+)" \{\n(.*?)^\}`)
	markdownLink  = regexp.MustCompile(`\]\(([^)\s]+)\)`)
)

// hashFile is the htpasswd file that the guide on migration reads.
const hashFile = "alice:$2y$10$cTW9HgYNt.xcUCgwKvIXnOPtOQMgMFiookwDgCHy7Qz7Bfx344HWK\njenkins:$2y$10$cTW9HgYNt.xcUCgwKvIXnOPtOQMgMFiookwDgCHy7Qz7Bfx344HWK\n"

// guides reads the guides, by name.
func guides(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../templates/guides/*.md")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d guides, %v", len(files), err)
	}
	texts := map[string]string{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.Base(file)] = string(content)
	}
	return texts
}

// guideConfiguration is what the blocks of a guide in that language are
// together.
func guideConfiguration(guide, language string) string {
	var blocks []string
	for _, match := range guideBlock.FindAllStringSubmatch(guide, -1) {
		if match[1] == language {
			blocks = append(blocks, match[2])
		}
	}
	return strings.Join(blocks, "\n")
}

// The terraform blocks of a guide are one configuration: it can be applied as
// it stands, a second plan is empty, and it can be destroyed. Its hcl blocks,
// which need AWS or a server with TLS, are validated together with it. This is
// done as users do it, with the provider's own program: the test library
// refuses for_each.
func TestGuides(t *testing.T) {
	binaries := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(binaries, "terraform-provider-registry"), "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the provider: %v\n%s", err, out)
	}
	for name, guide := range guides(t) {
		text, more := guideConfiguration(guide, "terraform"), guideConfiguration(guide, "hcl")
		if text == "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			directory, run := guideTerraform(t, s, binaries, text)
			if more != "" {
				file := filepath.Join(directory, "more.tf")
				if err := os.WriteFile(file, []byte(more), 0o600); err != nil {
					t.Fatal(err)
				}
				run("fmt", "-check", "-diff", "more.tf")
				run("validate")
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
			}
			run("fmt", "-check", "-diff", "main.tf")
			run("apply", "-input=false", "-auto-approve")
			run("plan", "-input=false", "-detailed-exitcode") // 2: there would be changes
			run("destroy", "-input=false", "-auto-approve")
			s.isEmpty(t)
		})
	}
}

// guideTerraform writes a guide's configuration, with what it needs besides,
// into a directory, and returns what runs terraform there.
func guideTerraform(t *testing.T, s *testServer, binaries, text string) (directory string, run func(args ...string)) {
	t.Helper()
	directory = t.TempDir()
	files := map[string]string{
		"main.tf":        text,
		"htpasswd":       hashFile,
		"terraform.tfrc": fmt.Sprintf("provider_installation {\n  dev_overrides {\n    \"registrykit/registry\" = %q\n  }\n}\n", binaries),
	}
	if !terraformBlock.MatchString(text) {
		files["versions.tf"] = "terraform {\n  required_providers {\n    registry = { source = \"registrykit/registry\" }\n  }\n}\n"
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	environ := append(os.Environ(), "TF_CLI_CONFIG_FILE="+filepath.Join(directory, "terraform.tfrc"), "TF_IN_AUTOMATION=1",
		"REGISTRY_ENDPOINT="+s.url, "REGISTRY_USERNAME=admin", "REGISTRY_PASSWORD="+adminPassword)
	for _, match := range variableBlock.FindAllStringSubmatch(text, -1) {
		if !strings.Contains(match[2], "default") {
			environ = append(environ, "TF_VAR_"+match[1]+"=a-password-for-"+match[1])
		}
	}
	return directory, func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), os.Getenv("TF_ACC_TERRAFORM_PATH"), append(args, "-no-color")...)
		cmd.Dir, cmd.Env = directory, environ
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("terraform %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// Every link of a guide to something in this repository leads somewhere.
func TestGuideLinks(t *testing.T) {
	const repository = "https://github.com/registrykit/terraform-provider-registry/blob/main/"
	seen := 0
	for name, guide := range guides(t) {
		for _, match := range markdownLink.FindAllStringSubmatch(guide, -1) {
			target, anchor, _ := strings.Cut(match[1], "#")
			switch file, ours := strings.CutPrefix(target, repository); {
			case ours:
				target = filepath.Join("..", file)
			case strings.Contains(target, "://"):
				continue
			case target == "":
				target = filepath.Join("../docs/guides", name)
			default:
				target = filepath.Join("../docs/guides", target)
			}
			content, err := os.ReadFile(target)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if anchor != "" && !hasHeading(string(content), anchor) {
				t.Errorf("%s: %s has no heading #%s", name, target, anchor)
			}
			seen++
		}
	}
	if seen < 10 {
		t.Errorf("only %d links were followed", seen)
	}
}

// hasHeading reports whether a page has a heading with this anchor.
func hasHeading(page, anchor string) bool {
	for line := range strings.Lines(page) {
		title, isHeading := strings.CutPrefix(strings.TrimLeft(line, "#"), " ")
		if isHeading && strings.HasPrefix(line, "#") && anchorOf(title) == anchor {
			return true
		}
	}
	return false
}

// anchorOf is the anchor that GitHub and the Terraform Registry give a heading.
func anchorOf(title string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			return r
		}
		return -1
	}, strings.ToLower(strings.TrimSpace(title)))
}
