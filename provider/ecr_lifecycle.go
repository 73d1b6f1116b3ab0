package provider

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// ecrPolicy is a lifecycle policy of Amazon ECR.
type ecrPolicy struct {
	Rules []ecrRule `json:"rules"`
}

type ecrRule struct {
	Priority    int          `json:"rulePriority"`
	Description string       `json:"description"`
	Selection   ecrSelection `json:"selection"`
	Action      struct {
		Type               string `json:"type"`
		TargetStorageClass string `json:"targetStorageClass"`
	} `json:"action"`
}

type ecrSelection struct {
	TagStatus      string   `json:"tagStatus"`
	TagPatternList []string `json:"tagPatternList"`
	TagPrefixList  []string `json:"tagPrefixList"`
	StorageClass   string   `json:"storageClass"`
	CountType      string   `json:"countType"`
	CountUnit      string   `json:"countUnit"`
	CountNumber    int      `json:"countNumber"`
}

// maxECRPolicy bounds the text: that of ECR has at most 30,720 characters.
const maxECRPolicy = 64 << 10

// ecrLifecycleRules translates a lifecycle policy of ECR.
//
// There, an image that a rule selects is decided over by it alone: no rule of lower
// priority touches it, though it counts for them. Here that is except_tag_patterns.
func ecrLifecycleRules(text string) ([]client.RetentionRule, error) {
	policy, err := parseECRPolicy(text)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(policy.Rules, func(a, b ecrRule) int { return cmp.Compare(a.Priority, b.Priority) })
	var rules []client.RetentionRule
	var before []string // the patterns of rules of higher priority
	untagged, all := false, false
	for i, r := range policy.Rules {
		named := func(err error) error { return fmt.Errorf("the rule of rulePriority %d: %w", r.Priority, err) }
		if i > 0 && policy.Rules[i-1].Priority == r.Priority {
			return nil, named(errors.New("there is another one of this priority"))
		}
		if all {
			return nil, named(errors.New(`it comes after a rule with the tagStatus "any", which has to be the last`))
		}
		patterns, err := r.Selection.patterns()
		if err == nil {
			err = r.checkAction()
		}
		if err != nil {
			return nil, named(err)
		}
		translated, err := r.Selection.rules(patterns, before, untagged)
		if err != nil {
			return nil, named(err)
		}
		for _, rule := range translated {
			if _, err := oci.ParseRetentionRule(rule); err != nil {
				return nil, named(fmt.Errorf("it cannot be said as a rule of a retention policy: %s", phrase(err)))
			}
		}
		rules = append(rules, translated...)
		before = append(before, patterns...)
		if r.Selection.TagStatus == "untagged" {
			if untagged {
				return nil, named(errors.New(`there is another rule with the tagStatus "untagged"; ECR allows one`))
			}
			untagged = true
		}
		all = r.Selection.TagStatus == "any"
	}
	if _, err := oci.ParseRetentionRules(rules); err != nil {
		return nil, errors.New(phrase(err))
	}
	return rules, nil
}

func parseECRPolicy(text string) (ecrPolicy, error) {
	var policy ecrPolicy
	if len(text) > maxECRPolicy {
		return policy, fmt.Errorf("the policy has %d bytes; at most %d are read", len(text), maxECRPolicy)
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&policy); err != nil {
		return policy, fmt.Errorf("this is not a lifecycle policy of ECR in JSON: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return policy, errors.New("this is not a lifecycle policy of ECR in JSON: something comes after it")
	}
	if len(policy.Rules) == 0 {
		return policy, errors.New("the policy has no rules")
	}
	return policy, nil
}

func (r ecrRule) checkAction() error {
	switch {
	case r.Action.Type == "transition":
		return errors.New("it moves images to a cheaper storage class (transition), which retention policies cannot; leave it out, or let the bucket's own lifecycle do that")
	case r.Action.Type != "expire":
		return fmt.Errorf("its action is %q; only expire can be translated", r.Action.Type)
	case r.Action.TargetStorageClass != "":
		return errors.New("an action expire has no targetStorageClass")
	case r.Selection.StorageClass != "" && r.Selection.StorageClass != "standard":
		return fmt.Errorf("it selects images of the storage class %q, and there are no such classes here", r.Selection.StorageClass)
	case r.Selection.CountNumber < 1:
		return fmt.Errorf("its countNumber is %d; it has to be at least 1", r.Selection.CountNumber)
	}
	return nil
}

// patterns returns the patterns of the tags that are selected; none is all.
func (s ecrSelection) patterns() ([]string, error) {
	lists := len(s.TagPatternList) + len(s.TagPrefixList)
	switch s.TagStatus {
	case "any", "untagged":
		if lists > 0 {
			return nil, fmt.Errorf("with the tagStatus %q it has neither tagPatternList nor tagPrefixList", s.TagStatus)
		}
		return nil, nil
	case "tagged":
	default:
		return nil, fmt.Errorf("its tagStatus is %q; it is tagged, untagged or any", s.TagStatus)
	}
	switch {
	case lists == 0:
		return nil, errors.New(`with the tagStatus "tagged" it needs a tagPatternList or a tagPrefixList`)
	case lists > 1:
		return nil, errors.New("it has several patterns or prefixes, and ECR selects images whose tags match all of them; rules here look at one tag. Write a rule for each, which is what most people mean")
	case len(s.TagPrefixList) == 1:
		return []string{strings.TrimRight(s.TagPrefixList[0], "*") + "*"}, nil
	}
	pattern := s.TagPatternList[0]
	for strings.Contains(pattern, "**") {
		pattern = strings.ReplaceAll(pattern, "**", "*")
	}
	return []string{pattern}, nil
}

// rules returns what a selection is here.
func (s ecrSelection) rules(patterns, before []string, untagged bool) ([]client.RetentionRule, error) {
	rule := client.RetentionRule{Action: oci.RetentionDelete, TagPatterns: patterns, ExceptTagPatterns: slices.Clone(before)}
	if s.TagStatus == "untagged" {
		rule = client.RetentionRule{Action: oci.RetentionDelete, Untagged: true}
	}
	switch s.CountType {
	case "imageCountMoreThan":
		if s.CountUnit != "" {
			return nil, fmt.Errorf("with the countType %s it has no countUnit", s.CountType)
		}
		if s.TagStatus == "untagged" {
			return nil, errors.New("it counts untagged images, and rules here delete those by age alone: use sinceImagePushed")
		}
		rule.ExceptNewest = s.CountNumber
		return []client.RetentionRule{rule}, nil
	case "sinceImagePushed":
		rule.NotPushedForDays = s.CountNumber
	case "sinceImagePulled":
		rule.NotPulledForDays = s.CountNumber
	case "sinceImageTransitioned":
		return nil, errors.New("it selects images that were moved to another storage class, and there are no such classes here")
	default:
		return nil, fmt.Errorf("its countType is %q; imageCountMoreThan, sinceImagePushed and sinceImagePulled can be translated", s.CountType)
	}
	if s.CountUnit != "days" {
		return nil, fmt.Errorf("its countUnit is %q; with the countType %s it is days", s.CountUnit, s.CountType)
	}
	rules := []client.RetentionRule{rule}
	if s.TagStatus == "any" && !untagged {
		rules = append(rules, client.RetentionRule{Action: oci.RetentionDelete, Untagged: true, NotPushedForDays: rule.NotPushedForDays, NotPulledForDays: rule.NotPulledForDays})
	}
	return rules, nil
}
