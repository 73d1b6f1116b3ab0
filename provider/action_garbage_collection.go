package provider

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/action/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/action/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
)

var _ action.ActionWithConfigure = (*garbageCollectionAction)(nil)

// garbageCollectionAction is the action registry_garbage_collection: one run of the
// collector, which Terraform waits for.
type garbageCollectionAction struct{ conn *connection }

type garbageCollectionModel struct {
	DryRun         types.Bool     `tfsdk:"dry_run"`
	DeleteUntagged types.Bool     `tfsdk:"delete_untagged"`
	Timeouts       timeouts.Value `tfsdk:"timeouts"`
}

const (
	// needCollections is the right that collecting garbage takes.
	needCollections = `the policy "admin", which collecting garbage needs`
	// collectionTimeout is how long a collection is waited for.
	collectionTimeout = time.Hour
	// Between two looks, at first and at most.
	shortestLook, longestLook = 250 * time.Millisecond, 10 * time.Second
)

func (a *garbageCollectionAction) Metadata(_ context.Context, _ action.MetadataRequest, resp *action.MetadataResponse) {
	resp.TypeName = "registry_garbage_collection"
}

func (a *garbageCollectionAction) Schema(ctx context.Context, _ action.SchemaRequest, resp *action.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Collects the registry's garbage and waits until that is done, while all servers go on. What is found for the first time stays until the next collection. The storage has to be marked as exclusive.",
		Attributes: map[string]schema.Attribute{
			"dry_run": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "Whether to say what would be deleted, and delete nothing. Defaults to `false`.",
			},
			"delete_untagged": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "Whether to delete manifests that no tag leads to. Defaults to `gc.deleteuntagged` of the server's configuration.",
			},
			"timeouts": collectionTimeouts(ctx),
		},
	}
}

func collectionTimeouts(ctx context.Context) schema.Attribute {
	attribute := timeouts.AttributesWithOpts(ctx, timeouts.Opts{InvokeDescription: "How long to wait for the end, as a duration such as `30m`. Defaults to `1h`."})
	if nested, ok := attribute.(schema.SingleNestedAttribute); ok {
		nested.MarkdownDescription = "How long things may take. A collection itself goes on after that."
		return nested
	}
	return attribute
}

func (a *garbageCollectionAction) Configure(_ context.Context, req action.ConfigureRequest, resp *action.ConfigureResponse) {
	a.conn = connect(req.ProviderData, &resp.Diagnostics)
}

func (a *garbageCollectionAction) Invoke(ctx context.Context, req action.InvokeRequest, resp *action.InvokeResponse) {
	var m garbageCollectionModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	api := a.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	patience, diags := m.Timeouts.Invoke(ctx, collectionTimeout)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	id, err := api.StartCollection(ctx, client.CollectionSpec{DryRun: m.DryRun.ValueBool(), DeleteUntagged: m.DeleteUntagged.ValueBoolPointer()})
	if err != nil {
		a.conn.addAPIError(&resp.Diagnostics, "collect garbage", needCollections, err)
		return
	}
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	ended, err := awaitCollection(ctx, api, id, func(message string) { resp.SendProgress(action.InvokeProgressEvent{Message: message}) })
	switch {
	case ctx.Err() != nil:
		resp.Diagnostics.AddError("The garbage collection has not ended yet", fmt.Sprintf(
			"It goes on without Terraform, which waited for %s (timeouts). GET /api/v1/collections, or the log of the server, has the report of %s once it has ended.", patience, id))
	case err != nil:
		a.conn.addAPIError(&resp.Diagnostics, "see how the garbage collection "+id+" goes on", needCollections, err)
	case ended.Error != "":
		resp.Diagnostics.AddError("The garbage collection failed", ended.Error+". What it has deleted by then nobody needs, and the next one goes on with it.")
	default:
		resp.SendProgress(action.InvokeProgressEvent{Message: collectionSummary(ended)})
	}
}

// awaitCollection looks until a collection has ended. Behind a load balancer the
// server that runs it is not always the one that answers, so one that is nowhere
// may well run.
func awaitCollection(ctx context.Context, api *client.Client, id string, say func(string)) (client.Collection, error) {
	said := ""
	for pause := shortestLook; ; pause = min(2*pause, longestLook) {
		select {
		case <-ctx.Done():
			return client.Collection{}, ctx.Err()
		case <-time.After(pause):
		}
		all, err := api.ListCollections(ctx)
		if err != nil {
			return client.Collection{}, err
		}
		i := slices.IndexFunc(all, func(c client.Collection) bool { return c.ID == id })
		if i < 0 {
			continue
		}
		if !all[i].Ended.IsZero() {
			return all[i], nil
		}
		if step := collectionStep(all[i]); step != said {
			say(step)
			said = step
		}
	}
}

func collectionStep(c client.Collection) string {
	switch {
	case c.Of > 0:
		return fmt.Sprintf("%s: %d of %d", c.Step, c.Done, c.Of)
	case c.Done > 0:
		return fmt.Sprintf("%s: %d", c.Step, c.Done)
	}
	return c.Step
}

// collectionSummary says what was deleted, and what the next collection deletes.
func collectionSummary(c client.Collection) string {
	verb := "deleted"
	if c.DryRun {
		verb = "would be deleted"
	}
	lines := []string{fmt.Sprintf("%d bytes in %d blobs of %d repositories; %s: %d bytes", c.Bytes, c.Blobs, c.Repositories, verb, c.DeletedBytes)}
	for _, n := range c.Deleted {
		lines = append(lines, fmt.Sprintf("%s: %d of kind %s, %d bytes: %s", verb, n.Count, n.Kind, n.Bytes, n.Reason))
	}
	for _, n := range c.Next {
		lines = append(lines, fmt.Sprintf("eligible for the next collection: %d of kind %s, %d bytes: %s", n.Count, n.Kind, n.Bytes, n.Reason))
	}
	return strings.Join(lines, "\n")
}
