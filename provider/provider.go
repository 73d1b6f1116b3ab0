package provider

import (
	"context"
	"net/http"
	"os"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/ephemeral"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/list"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

var (
	_ provider.Provider                       = (*registryProvider)(nil)
	_ provider.ProviderWithActions            = (*registryProvider)(nil)
	_ provider.ProviderWithEphemeralResources = (*registryProvider)(nil)
	_ provider.ProviderWithFunctions          = (*registryProvider)(nil)
	_ provider.ProviderWithListResources      = (*registryProvider)(nil)
)

// registryProvider is the provider. Its fields are what tests replace.
type registryProvider struct {
	version string
	now     func() time.Time    // the clock of registry_certificate and boot_reports
	getenv  func(string) string // where the provider block is silent
	// requestTimeout bounds one request to the server; 0 is the client's default.
	requestTimeout time.Duration
	// inUseTimeout is how long the deletion of a policy waits for the users
	// that still have it.
	inUseTimeout time.Duration
	// verifyPatience is how long registry_s3_storage bears with denials when it
	// tries a bucket: a new policy takes its time to reach everywhere.
	verifyPatience time.Duration
	// uploadAttempts is how often registry_server_image tries each request of an
	// upload.
	uploadAttempts int
	// awsTransport carries the requests to AWS; nil is the SDK's own.
	awsTransport http.RoundTripper
}

// New returns a constructor of the provider, as the plugin framework wants it.
func New(version string) func() provider.Provider {
	return func() provider.Provider { return newProvider(version) }
}

func newProvider(version string) *registryProvider {
	return &registryProvider{version: version, now: time.Now, getenv: os.Getenv, inUseTimeout: 15 * time.Second, verifyPatience: 20 * time.Second, uploadAttempts: 12}
}

// providerModel is the provider block.
type providerModel struct {
	Endpoint      types.String `tfsdk:"endpoint"`
	Username      types.String `tfsdk:"username"`
	Password      types.String `tfsdk:"password"`
	Token         types.String `tfsdk:"token"`
	CACertificate types.String `tfsdk:"ca_certificate"`
	Insecure      types.Bool   `tfsdk:"insecure"`
	MaxRetries    types.Int64  `tfsdk:"max_retries"`
	ReadyTimeout  types.String `tfsdk:"ready_timeout"`
	BootReports   types.Object `tfsdk:"boot_reports"`
	AWS           types.Object `tfsdk:"aws"`
}

func (p *registryProvider) Metadata(_ context.Context, _ provider.MetadataRequest, resp *provider.MetadataResponse) {
	resp.TypeName = "registry"
	resp.Version = p.version
}

func (p *registryProvider) Schema(_ context.Context, _ provider.SchemaRequest, resp *provider.SchemaResponse) {
	notEmpty := []validator.String{stringvalidator.LengthAtLeast(1)}
	resp.Schema = schema.Schema{
		MarkdownDescription: "Manages a [Registry Kit](https://github.com/registrykit/terraform-provider-registry) server, a private OCI and Docker registry: its users, policies, webhooks, repositories, tags and images; and what it stands on: certificates and its S3 bucket. Certificates, objects in AWS and functions need no server, so the provider block may be empty.",
		Attributes: map[string]schema.Attribute{
			"endpoint": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Address of the server, such as `https://registry.example.com` or `http://127.0.0.1:5000`. It may come from a resource of the same run. Environment: `REGISTRY_ENDPOINT`. Needed only by objects that live on the server.",
				Validators:          []validator.String{endpointRule()},
			},
			"username": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Name of a user with the policy `admin`. Environment: `REGISTRY_USERNAME`. Conflicts with `token`.",
				Validators:          append(notEmpty, stringvalidator.ConflictsWith(path.MatchRoot("token"))),
			},
			"password": schema.StringAttribute{
				Optional:            true,
				Sensitive:           true,
				MarkdownDescription: "Password of `username`; it may be ephemeral. Environment: `REGISTRY_PASSWORD`. Conflicts with `token`.",
				Validators:          append(notEmpty, stringvalidator.ConflictsWith(path.MatchRoot("token"))),
			},
			"token": schema.StringAttribute{
				Optional:            true,
				Sensitive:           true,
				MarkdownDescription: "Bearer token, in place of `username` and `password`: one that the server issued for a user with the policy `admin`, and did not narrow. It may be ephemeral. Environment: `REGISTRY_TOKEN`.",
				Validators:          notEmpty,
			},
			"ca_certificate": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Certificates in PEM that are trusted besides the system's, for a server whose certificate no public authority signed. Environment: `REGISTRY_CA_CERTIFICATE` (the PEM itself, not a file name).",
				Validators:          []validator.String{caBundleRule()},
			},
			"insecure": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "Whether to skip the verification of the server's certificate, so that anyone on the way can read the password. Warns. Defaults to `false`. Environment: `REGISTRY_INSECURE`.",
			},
			"max_retries": schema.Int64Attribute{
				Optional:            true,
				MarkdownDescription: "How often a request is repeated that found the server unreachable or busy (status 429, 502, 503), from 0 to 20. The waits grow from half a second to eight, with jitter; a `Retry-After` up to a minute is obeyed. Defaults to `4`. Environment: `REGISTRY_MAX_RETRIES`.",
				Validators:          []validator.Int64{int64validator.Between(0, mostRetries)},
			},
			"ready_timeout": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "How long to wait for a server that does not answer yet because it is still starting, as a duration such as `90s` or `10m`, up to `1h`; `0s` does not wait. Raise it where the same run creates the server's machines. Defaults to `30s`. Environment: `REGISTRY_READY_TIMEOUT`.",
				Validators:          []validator.String{readyTimeoutRule()},
			},
			"boot_reports": bootReportsSchema(),
			"aws":          awsSchema(),
		},
	}
}

func (p *registryProvider) Resources(context.Context) []func() resource.Resource {
	return []func() resource.Resource{
		func() resource.Resource { return &acmCertificateResource{now: p.now} },
		func() resource.Resource { return &certificateResource{now: p.now} },
		func() resource.Resource { return &serverCertificateResource{} },
		func() resource.Resource { return &serverImageResource{attempts: p.uploadAttempts} },
		func() resource.Resource { return &imageResource{} },
		func() resource.Resource { return &policyResource{inUseTimeout: p.inUseTimeout} },
		func() resource.Resource { return &proxyCacheResource{} },
		func() resource.Resource { return &replicationResource{} },
		func() resource.Resource { return &s3StorageResource{verifyPatience: p.verifyPatience} },
		func() resource.Resource { return &tagResource{} },
		func() resource.Resource { return &repositoryResource{} },
		func() resource.Resource { return &retentionPolicyResource{} },
		func() resource.Resource { return &userResource{} },
		func() resource.Resource { return &webhookResource{} },
	}
}

func (p *registryProvider) DataSources(context.Context) []func() datasource.DataSource {
	return []func() datasource.DataSource{
		func() datasource.DataSource { return &accessCheckDataSource{} },
		func() datasource.DataSource { return iamPolicyDataSource{} },
		func() datasource.DataSource { return &imageDataSource{} },
		func() datasource.DataSource { return &policyDataSource{} },
		func() datasource.DataSource { return &repositoriesDataSource{} },
		func() datasource.DataSource { return &repositoryDataSource{} },
		func() datasource.DataSource { return &retentionPreviewDataSource{} },
		func() datasource.DataSource { return &serverDataSource{} },
		func() datasource.DataSource { return &tagsDataSource{} },
		func() datasource.DataSource { return &userDataSource{} },
		func() datasource.DataSource { return &usersDataSource{} },
	}
}

func (p *registryProvider) EphemeralResources(context.Context) []func() ephemeral.EphemeralResource {
	return []func() ephemeral.EphemeralResource{
		func() ephemeral.EphemeralResource { return passwordEphemeralResource{} },
		func() ephemeral.EphemeralResource { return &tokenEphemeral{} },
	}
}

func (p *registryProvider) Actions(context.Context) []func() action.Action {
	return []func() action.Action{
		func() action.Action { return &garbageCollectionAction{} },
	}
}

func (p *registryProvider) ListResources(context.Context) []func() list.ListResource {
	return []func() list.ListResource{
		policyList,
		repositoryList,
		userList,
		webhookList,
	}
}

func (p *registryProvider) Functions(context.Context) []func() function.Function {
	return []func() function.Function{
		func() function.Function { return bcryptVerifyFunction{} },
		func() function.Function { return dockerConfigJSONFunction{} },
		func() function.Function { return ecrLifecycleRulesFunction{} },
		func() function.Function { return htpasswdEntryFunction{} },
		func() function.Function { return imageReferenceFunction{} },
		func() function.Function { return parseImageReferenceFunction{} },
		func() function.Function { return semverTagsFunction{} },
	}
}
