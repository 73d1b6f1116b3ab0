package main_test

import (
	"context"
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// TestConformance runs the OCI distribution-spec conformance suite against the real server, with every row switched on.
func TestConformance(t *testing.T) {
	program := tool(t, "conformance")
	const password = "correct horse battery staple"
	for _, run := range []struct {
		name   string
		config string   // added to the plainest configuration that allows deletes
		env    []string // of the server
		suite  []string // environment of the suite
	}{
		{name: "anonymous"},
		{
			name:  "authenticated",
			env:   []string{"REGISTRY_ADMIN_USERNAME=admin", "REGISTRY_ADMIN_PASSWORD=" + password},
			suite: []string{"OCI_USERNAME=admin", "OCI_PASSWORD=" + password},
		},
		{
			// Manifests that point at what was never pushed are refused unless validation is off.
			name:   "sparse",
			config: "validation:\n  disabled: true\n",
			suite:  []string{"OCI_DATA_SPARSE=true"},
		},
	} {
		t.Run(run.name, func(t *testing.T) {
			t.Parallel()
			server := startServer(t, filesystemConfig(t.TempDir())+run.config, run.env...)
			results := runConformance(t, program, server, run.suite)
			results.check(t, slices.Contains(run.suite, "OCI_DATA_SPARSE=true"))
		})
	}
}

// runConformance runs the suite and reads the reports that it leaves. Its exit code says nothing about runs that never got to a report.
func runConformance(t *testing.T, program string, server *process, env []string) *conformanceResults {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir := t.TempDir()
	cmd := exec.CommandContext(ctx, program)
	cmd.Dir = dir // the suite looks for a configuration file where it stands
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "OCI_") })
	cmd.Env = append(cmd.Env,
		"OCI_REGISTRY="+server.Host, "OCI_TLS=disabled", "OCI_RESULTS_DIR="+dir, "OCI_LOG=error",
		// What the next version of the spec has. The rest is on by default; the check of the results finds a row that is not.
		"OCI_VERSION=dev", "OCI_API_BLOBS_UPLOAD_CANCEL=true", "OCI_API_BLOBS_DIGEST_HEADER=true",
		"OCI_API_MANIFESTS_DIGEST_HEADER=true", "OCI_API_MANIFESTS_TAG_PARAM=true")
	cmd.Env = append(cmd.Env, env...)
	out, runErr := cmd.CombinedOutput()

	var results conformanceResults
	if err := readReport(filepath.Join(dir, "junit.xml"), xml.Unmarshal, &results.suites); err != nil {
		t.Fatalf("%v (the suite ended with %v)\n%s", err, runErr, out)
	}
	if err := readReport(filepath.Join(dir, "results.yaml"), yaml.Unmarshal, &results.rows); err != nil {
		t.Fatal(err)
	}
	return &results
}

func readReport(file string, unmarshal func([]byte, any) error, into any) error {
	body, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return unmarshal(body, into)
}

// conformanceResults is what we read of the suite's two reports: the counts and single tests from the one, the rows from the other.
type conformanceResults struct {
	suites struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Skipped  int `xml:"skipped,attr"`
		Disabled int `xml:"disabled,attr"`
		Cases    []struct {
			Name   string `xml:"name,attr"`
			Status string `xml:"status,attr"`
			Reason string `xml:"system-out"`
		} `xml:"testsuite>testcase"`
	}
	rows struct {
		APIs map[string]string `yaml:"apis"`
		Data map[string]string `yaml:"data"`
	}
}

// check fails the test for everything that is not a pass, skipped and disabled tests included: a skip is a feature that the suite did not find.
func (r *conformanceResults) check(t *testing.T, sparse bool) {
	t.Helper()
	s := &r.suites
	notPassed := s.Failures + s.Errors + s.Skipped + s.Disabled
	totals := fmt.Sprintf("%d Pass, %d FAIL, %d Error, %d Skip, %d Disabled", s.Tests-notPassed, s.Failures, s.Errors, s.Skipped, s.Disabled)
	t.Log(totals)
	t.Attr("conformance", totals)
	if s.Tests == 0 {
		t.Error("the suite ran no test")
	}
	if notPassed > 0 {
		t.Errorf("%d of %d tests did not pass", notPassed, s.Tests)
	}
	for api, status := range r.rows.APIs {
		if status != "Pass" {
			t.Errorf("API %q: %s", api, status)
		}
	}
	for data, status := range r.rows.Data {
		if off := !sparse && data == "Sparse Manifests"; off != (status == "Disabled") || !off && status != "Pass" {
			t.Errorf("data %q: %s", data, status)
		}
	}
	if len(r.rows.APIs) == 0 || len(r.rows.Data) == 0 {
		t.Error("the report has no rows")
	}
	const most = 30
	shown := 0
	for _, c := range s.Cases {
		if c.Status == "passed" || c.Reason == "" {
			continue
		}
		if shown++; shown > most {
			t.Logf("… and more; the first %d are shown", most)
			break
		}
		t.Logf("%s %s: %s", c.Status, c.Name, strings.ReplaceAll(c.Reason, "\n", "\n\t"))
	}
}
