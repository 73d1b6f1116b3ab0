package provider

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

type serverImageModel struct {
	Name          types.String `tfsdk:"name"`
	NamePrefix    types.String `tfsdk:"name_prefix"`
	SourceFile    types.String `tfsdk:"source_file"`
	SourceSHA256  types.String `tfsdk:"source_sha256"`
	Architecture  types.String `tfsdk:"architecture"`
	Region        types.String `tfsdk:"region"`
	VolumeSize    types.Int64  `tfsdk:"volume_size"`
	Encrypted     types.Bool   `tfsdk:"encrypted"`
	KMSKeyID      types.String `tfsdk:"kms_key_id"`
	CopyKMSKeyIDs types.Map    `tfsdk:"copy_kms_key_ids"`

	Description      types.String `tfsdk:"description"`
	CopyToRegions    types.Set    `tfsdk:"copy_to_regions"`
	LaunchAccountIDs types.Set    `tfsdk:"launch_account_ids"`
	DeprecationTime  types.String `tfsdk:"deprecation_time"`
	Tags             types.Map    `tfsdk:"tags"`
	Timeouts         types.Object `tfsdk:"timeouts"`

	ID          types.String `tfsdk:"id"`
	ARN         types.String `tfsdk:"arn"`
	SnapshotID  types.String `tfsdk:"snapshot_id"`
	ImageIDs    types.Map    `tfsdk:"image_ids"`
	SnapshotIDs types.Map    `tfsdk:"snapshot_ids"`
}

// spec is what the image is to be, and whether all of it is known.
func (m *serverImageModel) spec(ctx context.Context, diags *diag.Diagnostics) (imageSpec, bool) {
	v := values{ctx: ctx, diags: diags, unknown: m.Encrypted.IsUnknown()}
	s := imageSpec{
		Name: v.text(m.Name), SourceSHA256: v.text(m.SourceSHA256), Architecture: v.text(m.Architecture), Region: v.text(m.Region),
		VolumeSize: v.number(m.VolumeSize), Encrypted: m.Encrypted.ValueBool(), KMSKeyID: v.text(m.KMSKeyID), CopyKMSKeyIDs: v.texts(m.CopyKMSKeyIDs),
	}
	return s, !v.unknown
}

// texts reads a map; nil for an empty one.
func (v *values) texts(m types.Map) map[string]string {
	v.unknown = v.unknown || m.IsUnknown()
	var out map[string]string
	for key, element := range m.Elements() {
		if text, ok := element.(types.String); ok {
			v.unknown = v.unknown || text.IsUnknown()
			if out == nil {
				out = map[string]string{}
			}
			out[key] = text.ValueString()
		}
	}
	return out
}

func (v *values) mapOf(elements map[string]string) types.Map {
	if elements == nil {
		elements = map[string]string{}
	}
	m, diags := types.MapValueFrom(v.ctx, types.StringType, elements)
	v.diags.Append(diags...)
	return m
}

// publication is the work that the model stands for; all of it is known.
func (m *serverImageModel) publication(ctx context.Context, diags *diag.Diagnostics) *publication {
	v := values{ctx: ctx, diags: diags}
	p := &publication{copies: v.set(m.CopyToRegions), there: map[string]imageIDs{}}
	p.spec, _ = m.spec(ctx, diags)
	p.settings = imageSettings{description: m.Description.ValueString(), tags: map[string]string{}, accounts: v.set(m.LaunchAccountIDs), deprecationTime: utc(m.DeprecationTime.ValueString())}
	for key, value := range v.texts(m.Tags) {
		p.settings.tags[key] = value
	}
	images, snapshots := v.texts(m.ImageIDs), v.texts(m.SnapshotIDs)
	for region, id := range images {
		p.note(region, id, snapshots[region])
	}
	for region, id := range snapshots {
		p.note(region, images[region], id)
	}
	return p
}

// utc writes a time as EC2 is understood to; "" stays.
func utc(text string) string {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return text
	}
	return at.UTC().Format(time.RFC3339)
}

// identify writes the ids of what is there into the model. What is not there is
// null, as after a creation that broke off.
func (m *serverImageModel) identify(ctx context.Context, p *publication, diags *diag.Diagnostics) {
	v := values{ctx: ctx, diags: diags}
	images, snapshots := map[string]string{}, map[string]string{}
	for region, ids := range p.there {
		if ids.image != "" {
			images[region] = ids.image
		}
		if ids.snapshot != "" {
			snapshots[region] = ids.snapshot
		}
	}
	m.ImageIDs, m.SnapshotIDs = v.mapOf(images), v.mapOf(snapshots)
	home := p.there[p.spec.Region]
	m.ID, m.SnapshotID, m.ARN = textOrNull(home.image), textOrNull(home.snapshot), types.StringNull()
	if home.image != "" {
		m.ARN = types.StringValue("arn:" + partitionOf(p.spec.Region).name + ":ec2:" + p.spec.Region + "::image/" + home.image)
	}
}

func textOrNull(text string) types.String {
	if text == "" {
		return types.StringNull()
	}
	return types.StringValue(text)
}

// observe writes settings that were found into the model, where they are not
// those that it has.
func (m *serverImageModel) observe(ctx context.Context, found imageSettings, diags *diag.Diagnostics) {
	v := values{ctx: ctx, diags: diags}
	m.Description = types.StringValue(found.description)
	m.Tags = v.mapOf(found.tags)
	m.LaunchAccountIDs = v.setOf(found.accounts, false)
	if utc(m.DeprecationTime.ValueString()) != found.deprecationTime {
		m.DeprecationTime = textOrNull(found.deprecationTime)
	}
}

// differing is of the settings in all regions that which is not as wanted,
// argument by argument, so that a difference in any region shows.
func (s imageSettings) differing(all []imageSettings) imageSettings {
	found := s
	for _, other := range slices.Backward(all) { // the first one decides
		if other.description != s.description {
			found.description = other.description
		}
		if !maps.Equal(other.tags, s.tags) {
			found.tags = other.tags
		}
		if other.deprecationTime != s.deprecationTime {
			found.deprecationTime = other.deprecationTime
		}
		if !slices.Equal(other.accounts, s.accounts) {
			found.accounts = other.accounts
		}
	}
	return found
}
