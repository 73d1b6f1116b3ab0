package provider

import (
	"context"
	"net/url"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
)

var _ datasource.DataSourceWithConfigure = (*serverDataSource)(nil)

// serverDataSource is data.registry_server.
type serverDataSource struct{ conn *connection }

type serverModel struct {
	Endpoint       types.String         `tfsdk:"endpoint"`
	Host           types.String         `tfsdk:"host"`
	Version        types.String         `tfsdk:"version"`
	APIVersions    []string             `tfsdk:"api_versions"`
	Capabilities   []string             `tfsdk:"capabilities"`
	StorageDriver  types.String         `tfsdk:"storage_driver"`
	DeleteEnabled  types.Bool           `tfsdk:"delete_enabled"`
	Open           types.Bool           `tfsdk:"open"`
	PasswordPolicy *passwordPolicyModel `tfsdk:"password_policy"`
}

type passwordPolicyModel struct {
	MinBytes      types.Int64 `tfsdk:"min_bytes"`
	MaxBytes      types.Int64 `tfsdk:"max_bytes"`
	MinBcryptCost types.Int64 `tfsdk:"min_bcrypt_cost"`
	MaxBcryptCost types.Int64 `tfsdk:"max_bcrypt_cost"`
}

func (d *serverDataSource) Metadata(_ context.Context, _ datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = "registry_server"
}

func (d *serverDataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	text := func(description string) schema.StringAttribute {
		return schema.StringAttribute{Computed: true, MarkdownDescription: description}
	}
	number := func(description string) schema.Int64Attribute {
		return schema.Int64Attribute{Computed: true, MarkdownDescription: description}
	}
	texts := func(description string) schema.ListAttribute {
		return schema.ListAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: description}
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "The registry server that the provider speaks to: where it is, what it runs and what it can do.",
		Attributes: map[string]schema.Attribute{
			"endpoint":       text("Address of the server, as the provider was given it."),
			"host":           text("Host and port of the server, as image names begin with and `docker login` takes."),
			"version":        text("Version of the server."),
			"api_versions":   texts("Versions of the admin API that the server speaks."),
			"capabilities":   texts("What the server can do beyond the first version of its admin API."),
			"storage_driver": text("Where the server keeps images: `filesystem` or `s3`."),
			"delete_enabled": schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether images can be deleted at all; `false` where the server's configuration forbids it."},
			"open":           schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether nobody is configured who could log in, so that anyone may push and pull."},
			"password_policy": schema.SingleNestedAttribute{
				Computed:            true,
				MarkdownDescription: "Which passwords and hashes of users the server takes.",
				Attributes: map[string]schema.Attribute{
					"min_bytes":       number("Least length of a password in bytes."),
					"max_bytes":       number("Greatest length of a password in bytes."),
					"min_bcrypt_cost": number("Least cost of a bcrypt hash."),
					"max_bcrypt_cost": number("Greatest cost of a bcrypt hash."),
				},
			},
		},
	}
}

func (d *serverDataSource) Configure(_ context.Context, req datasource.ConfigureRequest, resp *datasource.ConfigureResponse) {
	d.conn = connect(req.ProviderData, &resp.Diagnostics)
}

func (d *serverDataSource) Read(ctx context.Context, _ datasource.ReadRequest, resp *datasource.ReadResponse) {
	api := d.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	server, err := api.Server(ctx)
	if err != nil {
		d.conn.addAPIError(&resp.Diagnostics, "read the server's description", "any login", err)
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, d.model(server))...)
}

func (d *serverDataSource) model(s client.Server) serverModel {
	host := ""
	if u, err := url.Parse(d.conn.endpoint); err == nil {
		host = u.Host
	}
	return serverModel{
		Endpoint:      types.StringValue(d.conn.endpoint),
		Host:          types.StringValue(host),
		Version:       types.StringValue(s.Version),
		APIVersions:   append([]string{}, s.APIVersions...),
		Capabilities:  append([]string{}, s.Capabilities...),
		StorageDriver: types.StringValue(s.Storage.Driver),
		DeleteEnabled: types.BoolValue(s.DeleteEnabled),
		Open:          types.BoolValue(s.Open),
		PasswordPolicy: &passwordPolicyModel{
			MinBytes:      types.Int64Value(int64(s.PasswordPolicy.MinBytes)),
			MaxBytes:      types.Int64Value(int64(s.PasswordPolicy.MaxBytes)),
			MinBcryptCost: types.Int64Value(int64(s.PasswordPolicy.MinBcryptCost)),
			MaxBcryptCost: types.Int64Value(int64(s.PasswordPolicy.MaxBcryptCost)),
		},
	}
}
