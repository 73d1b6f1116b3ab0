package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

const top = "../.."

// TestReadmes: what the READMEs say is what the program computes.
func TestReadmes(t *testing.T) {
	for name, s := range shapes() {
		file := readme(top, name)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Error(err)
			continue
		}
		want, err := replace(string(text), s.table())
		if err != nil {
			t.Errorf("%s: %v", file, err)
		} else if string(text) != want {
			t.Errorf("the costs in %s are not what is computed: run make docs", file)
		}
	}
}

// TestBreakEven: at that size both cost the same, below it ECR is cheaper, and examples and guide say so.
func TestBreakEven(t *testing.T) {
	guide := read(t, "templates/guides/on-aws.md")
	for name, s := range shapes() {
		if !s.whole {
			continue
		}
		fixed := sum(append(s.items, requests()))
		at := float64(breakEven(fixed))
		if ours, ecr := fixed+at*s3GBMonth, at*ecrGBMonth; ours > ecr {
			t.Errorf("%s: at %.0f GB ours is %.2f and ECR %.2f", name, at, ours, ecr)
		}
		if below := at - 10; fixed+below*s3GBMonth <= below*ecrGBMonth {
			t.Errorf("%s: ours is cheaper from less than %.0f GB on", name, at)
		}
		if row := regexp.MustCompile(`\[` + name + `\]\(\S+\) \| ` + thousands(int(at)) + ` GB \|\n`); !row.MatchString(guide) {
			t.Errorf("the guide says another size than %.0f GB of %s", at, name)
		}
		if !strings.Contains(s.table(), "ECR is cheaper below some "+thousands(int(at))+" GB") {
			t.Errorf("%s does not say from what size on it is worth it", name)
		}
	}
}

// TestCounted: what is counted is what the modules make by default.
func TestCounted(t *testing.T) {
	main := read(t, "modules/registry/main.tf")
	block := regexp.MustCompile(`(?s)  endpoints = concat\((.*?)\n  \)\n`).FindStringSubmatch(main)
	if block == nil {
		t.Fatal("modules/registry/main.tf has no list of endpoints")
	}
	var made []string
	for _, quoted := range regexp.MustCompile(`"(\w+)"`).FindAllStringSubmatch(block[1], -1) {
		made = append(made, quoted[1])
	}
	if strings.Join(made, " ") != strings.Join(registryEndpoints, " ") {
		t.Errorf("module registry makes the endpoints %v, and %v are counted", made, registryEndpoints)
	}
	for file, patterns := range map[string][]string{
		"modules/cluster/variables.tf":      {`optional\(list\(string\), \["t4g.small"`, `min +\s*= optional\(number, 2\)`, `(?s)"root_volume_gib".*?default +\s*= 8\n`},
		"modules/single/variables.tf":       {`(?s)"instance_type".*?default +\s*= "t4g.micro"`},
		"modules/cache/variables.tf":        {`(?s)"node_type".*?default +\s*= "cache.t4g.micro"`, `(?s)"nodes".*?default +\s*= 2\n`},
		"modules/network/variables.tf":      {`(?s)"zones".*?default +\s*= 2\n`, `(?s)"egress".*?default +\s*= "nat"`},
		"examples/aws-existing-vpc/main.tf": {`instance_types = \["t4g.medium"`, `min = 2, max = \d+, spot = true`, `cache += \{\}`},
		"modules/storage/variables.tf":      {`(?s)"noncurrent_days".*?default +\s*= 30\n`},
	} {
		text := read(t, file)
		for _, pattern := range patterns {
			if !regexp.MustCompile(pattern).MatchString(text) {
				t.Errorf("%s is not as it is counted: nothing in it matches %s", file, pattern)
			}
		}
	}
	if alarms := len(regexp.MustCompile(`(?m)^    "[a-z0-9-]+" = \{$`).FindAllString(read(t, "modules/monitoring/main.tf"), -1)); alarms != 7 {
		t.Errorf("module monitoring has %d alarms, and 7 are counted", alarms)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(top + "/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
