package provider

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
)

var _ datasource.DataSourceWithConfigure = (*imageDataSource)(nil)

// imageDataSource is data.registry_image.
type imageDataSource struct{ conn *connection }

type imageDataModel struct {
	Repository  types.String      `tfsdk:"repository"`
	Tag         types.String      `tfsdk:"tag"`
	Digest      types.String      `tfsdk:"digest"`
	Platform    types.String      `tfsdk:"platform"`
	MediaType   types.String      `tfsdk:"media_type"`
	Platforms   []string          `tfsdk:"platforms"`
	SizeBytes   types.Int64       `tfsdk:"size_bytes"`
	ImageDigest types.String      `tfsdk:"image_digest"`
	Labels      map[string]string `tfsdk:"labels"`
	Layers      []layerModel      `tfsdk:"layers"`
	Referrers   []referrerModel   `tfsdk:"referrers"`
}

type layerModel struct {
	Digest    types.String `tfsdk:"digest"`
	MediaType types.String `tfsdk:"media_type"`
	SizeBytes types.Int64  `tfsdk:"size_bytes"`
}

type referrerModel struct {
	Digest       types.String      `tfsdk:"digest"`
	ArtifactType types.String      `tfsdk:"artifact_type"`
	MediaType    types.String      `tfsdk:"media_type"`
	SizeBytes    types.Int64       `tfsdk:"size_bytes"`
	Annotations  map[string]string `tfsdk:"annotations"`
}

func (d *imageDataSource) Metadata(_ context.Context, _ datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = "registry_image"
}

func (d *imageDataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	text := func(description string) schema.StringAttribute {
		return schema.StringAttribute{Computed: true, MarkdownDescription: description}
	}
	number := func(description string) schema.Int64Attribute {
		return schema.Int64Attribute{Computed: true, MarkdownDescription: description}
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "An image, or an index of images, in the registry: what a tag points at, and what is in it. An image that does not exist is an error.",
		Attributes: map[string]schema.Attribute{
			"repository": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Name of the repository.",
				Validators:          []validator.String{repositoryRule()},
			},
			"tag": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Tag of the image. Exactly one of `tag` and `digest` is needed.",
				Validators:          []validator.String{tagRule(), stringvalidator.ExactlyOneOf(path.MatchRoot("digest"))},
			},
			"digest": schema.StringAttribute{
				Optional: true, Computed: true,
				MarkdownDescription: "Digest of the image or index.",
				Validators:          []validator.String{digestRule()},
			},
			"platform": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Which image of an index `image_digest`, `labels` and `layers` are about, as `OS/ARCHITECTURE` or `OS/ARCHITECTURE/VARIANT`. Defaults to the first one.",
				Validators: []validator.String{stringRule{"must be OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT", "Invalid platform", func(s string) error {
					_, err := parsePlatform(s)
					return err
				}}},
			},
			"media_type":   text("Media type of the manifest or index."),
			"platforms":    schema.ListAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "Platforms that there are images for, in byte order."},
			"size_bytes":   number("Size of manifests, configurations and layers of all platforms together, each counted once."),
			"image_digest": text("Digest of the image's own manifest; for a single image, that is `digest`. Null for an index without images."),
			"labels":       schema.MapAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "Labels in the configuration of the image (`LABEL` of a Dockerfile)."},
			"layers": schema.ListNestedAttribute{
				Computed:            true,
				MarkdownDescription: "Layers of the image, the lowest first.",
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"digest":     text("Digest of the layer."),
					"media_type": text("Media type of the layer."),
					"size_bytes": number("Size of the layer as it is stored."),
				}},
			},
			"referrers": schema.ListNestedAttribute{
				Computed:            true,
				MarkdownDescription: "What refers to the image or index as its subject, such as signatures and bills of materials, in byte order of digests.",
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"digest":        text("Digest of the referrer's manifest."),
					"artifact_type": text("What it is, such as `application/vnd.dev.cosign.artifact.sig.v1+json`."),
					"media_type":    text("Media type of its manifest."),
					"size_bytes":    number("Size of its manifest."),
					"annotations":   schema.MapAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "Annotations of its manifest."},
				}},
			},
		},
	}
}

func (d *imageDataSource) Configure(_ context.Context, req datasource.ConfigureRequest, resp *datasource.ConfigureResponse) {
	d.conn = connect(req.ProviderData, &resp.Diagnostics)
}

func (d *imageDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var m imageDataModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	d.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	reference := m.Tag.ValueString() + m.Digest.ValueString()
	err := m.read(ctx, d.conn)
	switch {
	case missing(err) || client.IsNotFound(err):
		resp.Diagnostics.AddError(fmt.Sprintf("There is no image %s in %q", reference, m.Repository.ValueString()),
			"Check repository, tag and digest, or give the data source depends_on what pushes the image. "+sentence(err))
	case err != nil:
		d.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("read the image %s of %q", reference, m.Repository.ValueString()), "the right to pull it", err)
	default:
		resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
	}
}

// read fills in the outputs.
func (m *imageDataModel) read(ctx context.Context, conn *connection) error {
	repository := m.Repository.ValueString()
	if m.Digest.IsNull() {
		// The client waits for a server that is starting.
		tag, err := conn.client.GetTag(ctx, repository, m.Tag.ValueString())
		if err != nil {
			return err
		}
		m.Digest = types.StringValue(tag.Digest.String())
	}
	c, err := conn.images.content(ctx, repository, m.Digest.ValueString())
	if err != nil {
		return err
	}
	facts, err := c.facts()
	if err != nil {
		return err
	}
	m.MediaType = types.StringValue(c.mediaType)
	m.Platforms, m.SizeBytes = append([]string{}, facts.platforms...), types.Int64Value(facts.size)
	image, err := c.imageFor(m.Platform.ValueString())
	if err != nil {
		return err
	}
	if err := m.describe(image); err != nil {
		return err
	}
	return m.readReferrers(ctx, conn)
}

// imageFor returns the image of an index for a platform, or the first; nil where
// there is none.
func (c content) imageFor(text string) (v1.Image, error) {
	wanted := []platform{}
	if p, err := parsePlatform(text); err == nil {
		wanted = append(wanted, p)
	}
	only, err := c.only(wanted)
	if err != nil || only.index == nil {
		return only.image, err
	}
	manifest, err := only.index.IndexManifest()
	if err != nil {
		return nil, err
	}
	for _, d := range manifest.Manifests {
		if _, runs := platformOf(d); d.MediaType.IsImage() && (runs || d.Platform == nil) {
			return only.index.Image(d.Digest)
		}
	}
	return nil, nil
}

// describe fills in what is told of one image.
func (m *imageDataModel) describe(image v1.Image) error {
	m.ImageDigest, m.Labels, m.Layers = types.StringNull(), map[string]string{}, []layerModel{}
	if image == nil {
		return nil
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return err
	}
	m.ImageDigest = types.StringValue(digest.String())
	for _, l := range manifest.Layers {
		m.Layers = append(m.Layers, layerModel{types.StringValue(l.Digest.String()), types.StringValue(string(l.MediaType)), types.Int64Value(l.Size)})
	}
	if manifest.Config.MediaType.IsConfig() { // an artifact's configuration has no labels
		config, err := image.ConfigFile()
		if err != nil {
			return err
		}
		for name, value := range config.Config.Labels {
			m.Labels[name] = value
		}
	}
	return nil
}

func (m *imageDataModel) readReferrers(ctx context.Context, conn *connection) error {
	found, err := conn.images.referrers(ctx, m.Repository.ValueString(), m.Digest.ValueString())
	if err != nil {
		return err
	}
	m.Referrers = []referrerModel{}
	for _, d := range found {
		annotations := d.Annotations
		if annotations == nil {
			annotations = map[string]string{}
		}
		m.Referrers = append(m.Referrers, referrerModel{
			types.StringValue(d.Digest.String()), types.StringValue(d.ArtifactType), types.StringValue(d.MediaType), types.Int64Value(d.Size), annotations,
		})
	}
	return nil
}
