package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/function"
)

var _ function.Function = ecrLifecycleRulesFunction{}

// ecrLifecycleRulesFunction is provider::registry::ecr_lifecycle_rules.
type ecrLifecycleRulesFunction struct{}

func (ecrLifecycleRulesFunction) Metadata(_ context.Context, _ function.MetadataRequest, resp *function.MetadataResponse) {
	resp.Name = "ecr_lifecycle_rules"
}

func (ecrLifecycleRulesFunction) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	resp.Definition = function.Definition{
		Summary: "Translates a lifecycle policy of Amazon ECR",
		MarkdownDescription: "Translates a [lifecycle policy of Amazon ECR](https://docs.aws.amazon.com/AmazonECR/latest/userguide/LifecyclePolicies.html) into the `rules` of a `registry_retention_policy`. What cannot be said there is an error that names the rule.\n\n" +
			"- `imageCountMoreThan` becomes `except_newest`, `sinceImagePushed` becomes `not_pushed_for_days`, `sinceImagePulled` becomes `not_pulled_for_days`.\n" +
			"- What a rule of higher priority selects, rules of lower priority leave alone: `except_tag_patterns`.\n" +
			"- The tag status `any` becomes a rule for tags and, with an age, one for what is untagged. With `imageCountMoreThan` untagged images neither count nor go; add a rule with `untagged` for them.\n" +
			"- Rules here act on tags, and delete no tag that ECR's would keep: where ECR deletes an image with all its tags, only those that match go.\n" +
			"- Refused: several patterns or prefixes in one rule (in ECR an image has to match all of them), `untagged` with `imageCountMoreThan`, storage classes and transitions.",
		Parameters: []function.Parameter{function.StringParameter{
			Name:                "policy",
			MarkdownDescription: "The lifecycle policy in JSON, as `aws ecr get-lifecycle-policy --query lifecyclePolicyText --output text` shows it, or `aws_ecr_lifecycle_policy` has it.",
		}},
		Return: function.ListReturn{ElementType: retentionRuleType()},
	}
}

func (ecrLifecycleRulesFunction) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	var policy string
	resp.Error = req.Arguments.Get(ctx, &policy)
	if resp.Error != nil {
		return
	}
	rules, err := ecrLifecycleRules(policy)
	if err != nil {
		resp.Error = function.NewArgumentFuncError(0, phrase(err))
		return
	}
	var diags diag.Diagnostics
	v := values{ctx: ctx, diags: &diags}
	models := make([]retentionRuleModel, len(rules))
	for i, rule := range rules {
		models[i] = retentionRuleOf(rule, &v)
	}
	resp.Error = function.ConcatFuncErrors(function.FuncErrorFromDiags(ctx, diags), resp.Result.Set(ctx, models))
}
