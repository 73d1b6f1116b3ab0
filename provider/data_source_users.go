package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

var _ datasource.DataSourceWithConfigure = (*usersDataSource)(nil)

// usersDataSource is data.registry_users.
type usersDataSource struct{ conn *connection }

type usersModel struct {
	UsernameGlob types.String `tfsdk:"username_glob"`
	Usernames    []string     `tfsdk:"usernames"`
	Users        types.List   `tfsdk:"users"`
}

func (d *usersDataSource) Metadata(_ context.Context, _ datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = "registry_users"
}

func (d *usersDataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "The users that the registry server keeps, all of them or those whose names match a pattern. None is an empty list and no error. Users of an htpasswd file are not among them.",
		Attributes: map[string]schema.Attribute{
			"username_glob": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Pattern of user names: `*` stands for any run of characters, `?` for one, `[a-z]` for one of a set. Defaults to all users.",
				Validators:          []validator.String{nameGlobRule()},
			},
			"usernames": schema.ListAttribute{
				Computed: true, ElementType: types.StringType,
				MarkdownDescription: "Names of the users, sorted: for `for_each` with `toset`.",
			},
			"users": schema.ListNestedAttribute{
				Computed:            true,
				MarkdownDescription: "The users, sorted by name.",
				NestedObject:        schema.NestedAttributeObject{Attributes: foundUserAttributes()},
			},
		},
	}
}

func (d *usersDataSource) Configure(_ context.Context, req datasource.ConfigureRequest, resp *datasource.ConfigureResponse) {
	d.conn = connect(req.ProviderData, &resp.Diagnostics)
}

func (d *usersDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var m usersModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	api := d.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	found := []foundUser{}
	m.Usernames = []string{}
	for user, err := range api.ListUsers(ctx) {
		if err != nil {
			d.conn.addAPIError(&resp.Diagnostics, "list the users", needUsers, err)
			return
		}
		if nameMatches(m.UsernameGlob, user.Username) {
			found = append(found, newFoundUser(user))
			m.Usernames = append(m.Usernames, user.Username)
		}
	}
	list, diags := types.ListValueFrom(ctx, foundUserType(), found)
	resp.Diagnostics.Append(diags...)
	m.Users = list
	resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
}
