package modules

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

var (
	uses   = regexp.MustCompile(`uses: *(\S+)(.*)`)
	pinned = regexp.MustCompile(`^([\w.-]+/[\w./-]+)@([0-9a-f]{40})$`)
)

// TestActionsArePinned: the workflows of the example take actions by commit, with the version beside it, and the same ones as our own do.
func TestActionsArePinned(t *testing.T) {
	t.Parallel()
	commits := map[string]string{}
	files, _ := filepath.Glob("../.github/workflows/*.yml")
	examples, _ := filepath.Glob("../examples/github-actions/.github/workflows/*.yml")
	if len(files) == 0 || len(examples) == 0 {
		t.Fatalf("there are %d workflows of ours and %d in the example", len(files), len(examples))
	}
	for _, file := range append(files, examples...) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, use := range uses.FindAllStringSubmatch(string(text), -1) {
			action := pinned.FindStringSubmatch(use[1])
			if action == nil || !regexp.MustCompile(`^ # v\d+\.\d+\.\d+$`).MatchString(use[2]) {
				t.Errorf("%s: %s is not pinned by a commit with the version in a comment", file, use[0])
				continue
			}
			if other := commits[action[1]]; other != "" && other != action[2] {
				t.Errorf("%s: %s is %s here and %s elsewhere", file, action[1], action[2], other)
			}
			commits[action[1]] = action[2]
		}
	}
}

// gitlabJob is what the test looks at of a job.
type gitlabJob struct {
	Extends      string
	Stage        string
	Needs        []string
	IDTokens     map[string]struct{ Aud string } `yaml:"id_tokens"`
	BeforeScript []string                        `yaml:"before_script"`
	Script       []string
	Variables    map[string]string
	Rules        []struct{ If, When string }
	Environment  string
}

// TestGitLabPipeline reads the example's pipeline as GitLab would: jobs refer to stages and jobs that exist, all get a token, and the role
// that changes things is for the default branch alone. Whether GitLab takes it is said by GitLab only (its CI lint).
func TestGitLabPipeline(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../examples/gitlab-ci/.gitlab-ci.yml")
	if err != nil {
		t.Fatal(err)
	}
	var sections map[string]yaml.Node
	if err := yaml.Unmarshal(text, &sections); err != nil {
		t.Fatal(err)
	}
	var stages []string
	jobs := map[string]gitlabJob{}
	for name, node := range sections {
		switch name {
		case "workflow", "variables":
		case "stages":
			err = node.Decode(&stages)
		default:
			var job gitlabJob
			err = node.Decode(&job)
			jobs[name] = job
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	base := jobs[".terraform"]
	if base.IDTokens["AWS_TOKEN"].Aud != "$CI_SERVER_URL" {
		t.Errorf("jobs get the token %v", base.IDTokens)
	}
	delete(jobs, ".terraform")
	for _, name := range []string{"plan", "apply", "drift"} {
		if _, found := jobs[name]; !found {
			t.Errorf("there is no job %s", name)
		}
	}
	for name, job := range jobs {
		if job.Extends != ".terraform" || !slices.Contains(stages, job.Stage) {
			t.Errorf("%s extends %q and is in the stage %q", name, job.Extends, job.Stage)
		}
		for _, need := range job.Needs {
			if _, found := jobs[need]; !found {
				t.Errorf("%s needs %s, which is not there", name, need)
			}
		}
		if len(job.Rules) == 0 {
			t.Errorf("%s runs in every pipeline", name)
		}
		if role, changes := job.Variables["AWS_ROLE_ARN"], job.Environment != ""; (role == "$APPLY_ROLE_ARN") != changes || (role == "$PLAN_ROLE_ARN") == changes {
			t.Errorf("%s has the role %s and the environment %q", name, role, job.Environment)
		}
		if err := parseShell(slices.Concat(base.BeforeScript, job.Script)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if first := jobs["apply"].Rules[0]; first.When != "never" || !regexp.MustCompile(`\$CI_COMMIT_BRANCH != \$CI_DEFAULT_BRANCH`).MatchString(first.If) {
		t.Errorf("apply runs for other branches: %+v", first)
	}
}

// parseShell lets a shell read a script without running it, as one, which is how runners run it.
func parseShell(lines []string) error {
	var script bytes.Buffer
	for _, line := range lines {
		fmt.Fprintln(&script, line)
	}
	cmd := exec.Command("sh", "-n")
	cmd.Stdin = &script
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s\n%s", err, out, script.String())
	}
	return nil
}

// TestSmokeScript: the script that spends money does nothing that nobody has asked for in so many words. What it does on an account, only an
// account can show.
func TestSmokeScript(t *testing.T) {
	t.Parallel()
	run := func(env []string, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "../.ci/smoke-aws", args...)
		cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := run(nil, "--dry-run")
	if err != nil {
		t.Fatalf("--dry-run: %v\n%s", err, out)
	}
	for _, example := range []string{"aws-single", "aws-cluster"} {
		for _, step := range []string{"apply", "the second plan is empty", "docker push and pull", "destroy", "nothing is left"} {
			if !strings.Contains(out, "== "+example+": "+step) {
				t.Errorf("there is no step %q of %s in\n%s", step, example, out)
			}
		}
	}
	if out, err := run([]string{"AWS_REGION=eu-west-1"}); err == nil || !strings.Contains(out, "REGISTRY_SMOKE_AWS=") || strings.Contains(out, "== ") {
		t.Errorf("without consent: %v\n%s", err, out)
	}
	if out, err := run([]string{"REGISTRY_SMOKE_AWS=yes-this-costs-money"}); err == nil || !strings.Contains(out, "AWS_REGION is not set") || strings.Contains(out, "== ") {
		t.Errorf("without settings: %v\n%s", err, out)
	}
}
