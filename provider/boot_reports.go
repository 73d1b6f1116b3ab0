package provider

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
)

const (
	// defaultBootPrefix is where servers leave their reports in a bucket;
	// docs/storage-format.md.
	defaultBootPrefix = "registrykit/v1/boot/"
	// bootReportsTimeout bounds a look for reports, bootReportsAgain how often one
	// is taken while the provider waits.
	bootReportsTimeout = 20 * time.Second
	bootReportsAgain   = 15 * time.Second
)

// bootReportsModel is the argument boot_reports of the provider block.
type bootReportsModel struct {
	Bucket    types.String `tfsdk:"bucket"`
	Prefix    types.String `tfsdk:"prefix"`
	Region    types.String `tfsdk:"region"`
	Parameter types.String `tfsdk:"parameter"`
}

// bootReports finds out why a server does not answer that instances in AWS
// should run: they have left the reason.
type bootReports struct {
	bucket, prefix, region, parameter string
	unknown                           []string // arguments whose values are not known yet
	conn                              *connection
	now                               func() time.Time
	since                             time.Time // when this run began to use the server

	mu    sync.Mutex
	taken time.Time
	found client.Diagnosis
}

// resolveBootReports reads the argument boot_reports; nil is none.
func resolveBootReports(ctx context.Context, object types.Object, conn *connection, now func() time.Time, diags *diag.Diagnostics) *bootReports {
	if object.IsNull() {
		return nil
	}
	r := &bootReports{conn: conn, now: now, since: now()}
	if object.IsUnknown() {
		r.unknown = []string{"boot_reports"}
		return r
	}
	v := values{ctx: ctx, diags: diags}
	var m bootReportsModel
	v.object(object, &m)
	for name, value := range map[string]attr.Value{"bucket": m.Bucket, "prefix": m.Prefix, "region": m.Region, "parameter": m.Parameter} {
		if value.IsUnknown() {
			r.unknown = append(r.unknown, "boot_reports."+name)
		}
	}
	r.bucket, r.region, r.parameter = m.Bucket.ValueString(), m.Region.ValueString(), m.Parameter.ValueString()
	r.prefix = defaultBootPrefix
	if !m.Prefix.IsNull() {
		r.prefix = strings.Trim(m.Prefix.ValueString(), "/") + "/"
	}
	return r
}

// diagnose is for client.Config. What was found is good for a while: many
// objects fail at once.
func (r *bootReports) diagnose(ctx context.Context) client.Diagnosis {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now().Sub(r.taken) < bootReportsAgain && !r.taken.IsZero() {
		return r.found
	}
	ctx, cancel := context.WithTimeout(ctx, bootReportsTimeout)
	defer cancel()
	r.found = r.look(ctx)
	r.taken = r.now()
	tflog.Debug(ctx, "looked for reports of instances that did not start", map[string]any{"found": r.found.Reason, "hopeless": r.found.Hopeless})
	return r.found
}

func (r *bootReports) look(ctx context.Context) client.Diagnosis {
	if len(r.unknown) > 0 {
		return client.Diagnosis{Reason: fmt.Sprintf("Whether instances have said why they did not start was not looked up: the provider's %s will be known only after apply.", strings.Join(r.unknown, ", "))}
	}
	var diags diag.Diagnostics
	region := r.region
	if region == "" {
		region, _ = r.conn.awsRegion(ctx, &diags)
	}
	config, ok := r.conn.awsConfig(ctx, region, &diags)
	if !ok {
		return client.Diagnosis{Reason: "Reports of instances that did not start could not be read. " + firstLine(diags)}
	}
	var all bootHistory
	var problems []string
	if r.bucket != "" {
		problems = append(problems, all.readBucket(ctx, r.conn.aws.s3In(config, region), r.bucket, r.prefix)...)
	}
	if r.parameter != "" {
		problems = append(problems, all.readParameter(ctx, r.conn.aws.ssmIn(config, region), r.parameter)...)
	}
	return all.diagnosis(r.now(), r.since, r.places(), problems)
}

// places says where reports are looked for.
func (r *bootReports) places() string {
	var places []string
	if r.bucket != "" {
		places = append(places, "s3://"+r.bucket+"/"+r.prefix)
	}
	if r.parameter != "" {
		places = append(places, "the parameter "+r.parameter)
	}
	return strings.Join(places, " and ")
}

// firstLine is the first error as one line.
func firstLine(diags diag.Diagnostics) string {
	for _, d := range diags.Errors() {
		return d.Summary() + ": " + strings.Join(strings.Fields(d.Detail()), " ")
	}
	return "The provider's aws will be known only after apply."
}

func bootReportsSchema() schema.SingleNestedAttribute {
	sibling := func(name string) path.Expression { return path.MatchRelative().AtParent().AtName(name) }
	notEmpty := stringvalidator.LengthAtLeast(1)
	return schema.SingleNestedAttribute{
		Optional: true,
		MarkdownDescription: "Where servers on instances of AWS leave the reason when they do not start: `module.registry.boot_reports` has it. " +
			"If the server does not answer, the error has the newest of these reports, and the wait of `ready_timeout` ends early when the Auto Scaling group was told to launch no more instances. " +
			"It takes `s3:ListBucket` and `s3:GetObject` below the prefix and `ssm:GetParameter`; nothing is read as long as the server answers.",
		Attributes: map[string]schema.Attribute{
			"bucket": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Bucket of the registry.",
				Validators:          []validator.String{notEmpty, stringvalidator.AtLeastOneOf(sibling("parameter"))},
			},
			"prefix": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Folder of the reports in the bucket. Defaults to `registrykit/v1/boot/`; with a `rootdirectory` of the server that comes before it.",
				Validators:          []validator.String{notEmpty, stringvalidator.AlsoRequires(sibling("bucket"))},
			},
			"region": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Region of bucket and parameter. Defaults to that of `aws`.",
				Validators:          []validator.String{regionRule()},
			},
			"parameter": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Parameter of Systems Manager with the newest report of a server that could not reach the bucket.",
				Validators:          []validator.String{notEmpty},
			},
		},
	}
}
