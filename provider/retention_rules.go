package provider

import (
	"context"
	"fmt"
	"math"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// retentionRuleModel is a rule of a retention policy.
type retentionRuleModel struct {
	Action            types.String `tfsdk:"action"`
	Untagged          types.Bool   `tfsdk:"untagged"`
	TagPatterns       types.Set    `tfsdk:"tag_patterns"`
	ExceptTagPatterns types.Set    `tfsdk:"except_tag_patterns"`
	Versions          types.String `tfsdk:"versions"`
	Newest            types.Int64  `tfsdk:"newest"`
	PushedWithinDays  types.Int64  `tfsdk:"pushed_within_days"`
	PulledWithinDays  types.Int64  `tfsdk:"pulled_within_days"`
	ExceptNewest      types.Int64  `tfsdk:"except_newest"`
	NotPushedForDays  types.Int64  `tfsdk:"not_pushed_for_days"`
	NotPulledForDays  types.Int64  `tfsdk:"not_pulled_for_days"`
}

// retentionRuleFields describes its attributes, for the resource, the data source
// and the function.
func retentionRuleFields() map[string]ruleField {
	patterns := types.SetType{ElemType: types.StringType}
	return map[string]ruleField{
		"action":              {types.StringType, "What the rule does: `keep` or `delete`. Keep always wins, whatever the order and whichever policy has it."},
		"untagged":            {types.BoolType, "Whether the rule is about manifests that no tag and no kept manifest leads to, instead of tags. Only with `delete` and `not_pushed_for_days` or `not_pulled_for_days`. Defaults to `false`."},
		"tag_patterns":        {patterns, fmt.Sprintf("The rule is about tags that match one of these, 1 to %d: `*` stands for any characters. Defaults to all tags.", oci.MaxTagPatterns)},
		"except_tag_patterns": {patterns, fmt.Sprintf("The rule does nothing to tags that match one of these, 1 to %d, though they count among the newest.", oci.MaxTagPatterns)},
		"versions":            {types.StringType, "The rule is about tags that are [semantic versions](https://semver.org): `all`, `releases` or `prereleases`, with or without a `v`. Then the newest are the highest versions."},
		"newest":              {types.Int64Type, "With `keep`: keeps what is of the newest so many images. The time of a tag is that of its last push, also of the same image; tags of one image count once."},
		"pushed_within_days":  {types.Int64Type, "With `keep`: keeps what was pushed within so many days."},
		"pulled_within_days":  {types.Int64Type, "With `keep`: keeps what was pulled or pushed within so many days."},
		"except_newest":       {types.Int64Type, "With `delete`: deletes what is not of the newest so many images."},
		"not_pushed_for_days": {types.Int64Type, "With `delete`: deletes what was not pushed for so many days."},
		"not_pulled_for_days": {types.Int64Type, "With `delete`: deletes what was neither pulled nor pushed for so many days, once pulls have been noted for so long. See `gc.pullinterval` of the server."},
	}
}

type ruleField struct {
	kind        attr.Type
	description string
}

func retentionRuleType() types.ObjectType {
	kinds := map[string]attr.Type{}
	for name, f := range retentionRuleFields() {
		kinds[name] = f.kind
	}
	return types.ObjectType{AttrTypes: kinds}
}

// spec returns the rule for the server. v says whether all of it is known.
func (m retentionRuleModel) spec(v *values) client.RetentionRule {
	v.unknown = v.unknown || m.Untagged.IsUnknown()
	return client.RetentionRule{
		Action: oci.RetentionAction(v.text(m.Action)), Untagged: m.Untagged.ValueBool(),
		TagPatterns: v.set(m.TagPatterns), ExceptTagPatterns: v.set(m.ExceptTagPatterns), Versions: oci.RetentionVersions(v.text(m.Versions)),
		Newest: v.small(m.Newest), PushedWithinDays: v.small(m.PushedWithinDays), PulledWithinDays: v.small(m.PulledWithinDays),
		ExceptNewest: v.small(m.ExceptNewest), NotPushedForDays: v.small(m.NotPushedForDays), NotPulledForDays: v.small(m.NotPulledForDays),
	}
}

// small is number as an int: the server's rules refuse all that is not small.
func (v *values) small(n types.Int64) int {
	return int(max(math.MinInt32, min(v.number(n), math.MaxInt32)))
}

// retentionRuleOf is the model of a rule that the server has.
func retentionRuleOf(rule client.RetentionRule, v *values) retentionRuleModel {
	patterns := func(list []string) types.Set {
		if len(list) == 0 {
			return types.SetNull(types.StringType)
		}
		return v.setOf(list, false)
	}
	number := func(n int) types.Int64 {
		if n == 0 {
			return types.Int64Null()
		}
		return types.Int64Value(int64(n))
	}
	m := retentionRuleModel{
		Action: types.StringValue(string(rule.Action)), TagPatterns: patterns(rule.TagPatterns), ExceptTagPatterns: patterns(rule.ExceptTagPatterns),
		Newest: number(rule.Newest), PushedWithinDays: number(rule.PushedWithinDays), PulledWithinDays: number(rule.PulledWithinDays),
		ExceptNewest: number(rule.ExceptNewest), NotPushedForDays: number(rule.NotPushedForDays), NotPulledForDays: number(rule.NotPulledForDays),
	}
	if rule.Untagged {
		m.Untagged = types.BoolValue(true)
	}
	if rule.Versions != "" {
		m.Versions = types.StringValue(string(rule.Versions))
	}
	return m
}

// retentionRules reads a list of rules.
func retentionRules(ctx context.Context, list types.List, diags *diag.Diagnostics) (rules []client.RetentionRule) {
	v := values{ctx: ctx, diags: diags}
	for _, element := range list.Elements() {
		object, ok := element.(types.Object)
		if !ok {
			continue
		}
		var m retentionRuleModel
		v.object(object, &m)
		rules = append(rules, m.spec(&v))
	}
	return rules
}

// checkRetentionRules reports which of the rules that are known is wrong.
func checkRetentionRules(ctx context.Context, at path.Path, list types.List, diags *diag.Diagnostics) {
	for i, element := range list.Elements() {
		object, ok := element.(types.Object)
		if !ok || object.IsNull() || object.IsUnknown() {
			continue
		}
		v := values{ctx: ctx, diags: diags}
		var m retentionRuleModel
		v.object(object, &m)
		rule := m.spec(&v)
		if v.unknown {
			continue
		}
		if _, err := oci.ParseRetentionRule(rule); err != nil {
			diags.AddAttributeError(at.AtListIndex(i), "Invalid retention rule", sentence(err))
		}
	}
}

// sameRetentionRules reports whether rules do the same, in the same order.
func sameRetentionRules(a, b []client.RetentionRule) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, err := oci.ParseRetentionRule(a[i])
		y, again := oci.ParseRetentionRule(b[i])
		if err != nil || again != nil || x.String() != y.String() {
			return false
		}
	}
	return true
}
