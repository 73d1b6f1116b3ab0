package provider

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework/ephemeral"
	"github.com/hashicorp/terraform-plugin-framework/ephemeral/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

var _ ephemeral.EphemeralResourceWithValidateConfig = passwordEphemeralResource{}

// passwordEphemeralResource is ephemeral.registry_password. It asks no server
// and leaves nothing behind.
type passwordEphemeralResource struct{}

type passwordModel struct {
	Length   types.Int64  `tfsdk:"length"`
	Lower    types.Bool   `tfsdk:"lower"`
	Upper    types.Bool   `tfsdk:"upper"`
	Digits   types.Bool   `tfsdk:"digits"`
	Symbols  types.String `tfsdk:"symbols"`
	Password types.String `tfsdk:"password"`
}

// What the configuration leaves open. The symbols need no quotes in shells,
// URLs and files of variables.
const (
	defaultPasswordLength  = 32
	defaultPasswordSymbols = "_."
)

func (passwordEphemeralResource) Metadata(_ context.Context, _ ephemeral.MetadataRequest, resp *ephemeral.MetadataResponse) {
	resp.TypeName = "registry_password"
}

func (passwordEphemeralResource) Schema(_ context.Context, _ ephemeral.SchemaRequest, resp *ephemeral.SchemaResponse) {
	class := func(description string) schema.BoolAttribute {
		return schema.BoolAttribute{Optional: true, MarkdownDescription: description}
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "A random password that is in no plan and no state, and that the server takes for its users. It is made on this machine; no server is asked.\n\n" +
			"~> **It is another password in every run**, in `plan` as in `apply`. Only a write-only argument can take it, such as `password_wo` of `registry_user`, which is sent when `password_wo_version` changes: " +
			"what was sent then is the password from then on. Keep it in the same run where it is needed later, in a secret store of your choice, by a write-only argument with the same version; there is no other way to see it again.",
		Attributes: map[string]schema.Attribute{
			"length": schema.Int64Attribute{
				Optional:            true,
				MarkdownDescription: fmt.Sprintf("How many characters the password has, from %d to %d. Defaults to `%d`.", oci.MinPasswordBytes, oci.MaxPasswordBytes, defaultPasswordLength),
				Validators:          []validator.Int64{int64validator.Between(oci.MinPasswordBytes, oci.MaxPasswordBytes)},
			},
			"lower":  class("Whether it has lower-case letters, at least one. Defaults to `true`."),
			"upper":  class("Whether it has capital letters, at least one. Defaults to `true`."),
			"digits": class("Whether it has digits, at least one. Defaults to `true`."),
			"symbols": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Which other characters it has, at least one of them: any printable ASCII that is neither letter, digit nor space. `\"\"` stands for none. Defaults to `\"" + defaultPasswordSymbols + "\"`, which needs no quotes in shells and URLs.",
				Validators:          []validator.String{stringRule{"must be printable ASCII without letters, digits and spaces, each once", "Invalid symbols", checkSymbols}},
			},
			"password": schema.StringAttribute{
				Computed: true, Sensitive: true,
				MarkdownDescription: "The password, for a write-only argument.",
			},
		},
	}
}

// ValidateConfig sees to it that something is left to make a password of.
func (passwordEphemeralResource) ValidateConfig(ctx context.Context, req ephemeral.ValidateConfigRequest, resp *ephemeral.ValidateConfigResponse) {
	var m passwordModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if m.Lower.IsUnknown() || m.Upper.IsUnknown() || m.Digits.IsUnknown() || m.Symbols.IsUnknown() {
		return
	}
	if !resp.Diagnostics.HasError() && len(m.classes()) == 0 {
		resp.Diagnostics.AddError("A password of nothing", "lower, upper and digits are false and symbols is empty, so there is no character to make a password of. Leave one of them in.")
	}
}

// Open makes the password. There is nothing to renew and nothing to close.
func (passwordEphemeralResource) Open(ctx context.Context, req ephemeral.OpenRequest, resp *ephemeral.OpenResponse) {
	var m passwordModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	length := defaultPasswordLength
	if !m.Length.IsNull() {
		length = int(m.Length.ValueInt64())
	}
	password, err := newPassword(length, m.classes())
	if err == nil {
		err = oci.CheckPassword(password)
	}
	if err != nil {
		resp.Diagnostics.AddError("Could not make a password", sentence(err))
		return
	}
	m.Password = types.StringValue(password)
	resp.Diagnostics.Append(resp.Result.Set(ctx, &m)...)
}

// classes are the sets of characters that the password is made of.
func (m passwordModel) classes() []string {
	var classes []string
	add := func(wanted types.Bool, characters string) {
		if wanted.IsNull() || wanted.ValueBool() {
			classes = append(classes, characters)
		}
	}
	add(m.Lower, "abcdefghijklmnopqrstuvwxyz")
	add(m.Upper, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	add(m.Digits, "0123456789")
	symbols := defaultPasswordSymbols
	if !m.Symbols.IsNull() {
		symbols = m.Symbols.ValueString()
	}
	if symbols != "" {
		classes = append(classes, symbols)
	}
	return classes
}

// newPassword draws until each class occurs, so that every password with all
// classes is as likely as any other.
func newPassword(length int, classes []string) (string, error) {
	all := strings.Join(classes, "")
	if length < len(classes) || all == "" {
		return "", fmt.Errorf("%d characters cannot be of %d kinds", length, len(classes))
	}
	for {
		password, err := draw(length, all)
		if err != nil {
			return "", err
		}
		complete := true
		for _, class := range classes {
			complete = complete && strings.ContainsAny(password, class)
		}
		if complete {
			return password, nil
		}
	}
}

func draw(length int, from string) (string, error) {
	text := make([]byte, length)
	for i := range text {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(from))))
		if err != nil {
			return "", err
		}
		text[i] = from[n.Int64()]
	}
	return string(text), nil
}

func checkSymbols(s string) error {
	for i, r := range s {
		switch {
		case r <= ' ' || r > '~' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z':
			return fmt.Errorf("%q is no symbol; use printable ASCII that is neither letter, digit nor space", r)
		case strings.ContainsRune(s[:i], r):
			return errors.New("a symbol is there twice, which would make it more likely")
		}
	}
	return nil
}
