package provider

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
)

var _ datasource.DataSourceWithConfigure = (*userDataSource)(nil)

// userDataSource is data.registry_user.
type userDataSource struct{ conn *connection }

// foundUser is a user as data sources show it.
type foundUser struct {
	Username    types.String `tfsdk:"username"`
	Policies    []string     `tfsdk:"policies"`
	Enabled     types.Bool   `tfsdk:"enabled"`
	Description types.String `tfsdk:"description"`
	HasPassword types.Bool   `tfsdk:"has_password"`
	CreatedAt   types.String `tfsdk:"created_at"`
	UpdatedAt   types.String `tfsdk:"updated_at"`
}

func newFoundUser(u client.User) foundUser {
	return foundUser{
		Username:    types.StringValue(u.Username),
		Policies:    append([]string{}, u.Policies...),
		Enabled:     types.BoolValue(u.Enabled),
		Description: types.StringValue(u.Description),
		HasPassword: types.BoolValue(u.HasPassword),
		CreatedAt:   timeValue(u.CreatedAt),
		UpdatedAt:   timeValue(u.UpdatedAt),
	}
}

// timeValue writes a time as RFC 3339; one that is not known is null.
func timeValue(t time.Time) types.String {
	if t.IsZero() {
		return types.StringNull()
	}
	return types.StringValue(t.UTC().Format(time.RFC3339))
}

// foundUserAttributes are those of a foundUser.
func foundUserAttributes() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"username":     schema.StringAttribute{Computed: true, MarkdownDescription: "Name of the user."},
		"policies":     schema.ListAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "Names of the user's policies, sorted."},
		"enabled":      schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether the user can log in."},
		"description":  schema.StringAttribute{Computed: true, MarkdownDescription: "What the user is for."},
		"has_password": schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether the user has a password; without one, it can log in only with tokens."},
		"created_at":   schema.StringAttribute{Computed: true, MarkdownDescription: "When the user was made, as RFC 3339 in UTC."},
		"updated_at":   schema.StringAttribute{Computed: true, MarkdownDescription: "When the user was last changed, as RFC 3339 in UTC."},
	}
}

func (d *userDataSource) Metadata(_ context.Context, _ datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = "registry_user"
}

func (d *userDataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	attributes := foundUserAttributes()
	attributes["username"] = schema.StringAttribute{
		Required:            true,
		MarkdownDescription: "Name of the user.",
		Validators:          []validator.String{usernameRule()},
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "A user that the registry server keeps, such as one that another configuration made. One that does not exist is an error; to look without one, use `registry_users`.",
		Attributes:          attributes,
	}
}

func (d *userDataSource) Configure(_ context.Context, req datasource.ConfigureRequest, resp *datasource.ConfigureResponse) {
	d.conn = connect(req.ProviderData, &resp.Diagnostics)
}

func (d *userDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var name types.String
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, path.Root("username"), &name)...)
	api := d.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	user, err := api.GetUser(ctx, name.ValueString())
	switch {
	case client.IsNotFound(err):
		resp.Diagnostics.AddAttributeError(path.Root("username"), "No such user", fmt.Sprintf(
			"The registry has no user %q. If this run makes it, refer to the resource's attribute instead of writing the name.", name.ValueString()))
		return
	case err != nil:
		d.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("read the user %q", name.ValueString()), needUsers, err)
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, newFoundUser(user))...)
}

// foundUserType is the type of a foundUser in a list.
func foundUserType() attr.Type {
	return schema.NestedAttributeObject{Attributes: foundUserAttributes()}.Type()
}
