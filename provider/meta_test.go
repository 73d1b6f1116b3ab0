package provider

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
)

// Whatever the provider offers is described, has an example, a page in docs/
// and a test.
func TestEverythingIsDocumented(t *testing.T) {
	server, err := factories(testProvider())["registry"]()
	if err != nil {
		t.Fatal(err)
	}
	schema, err := server.GetProviderSchema(t.Context(), &tfprotov6.GetProviderSchemaRequest{})
	if err != nil || len(schema.Diagnostics) > 0 {
		t.Fatal(err, schema.Diagnostics)
	}
	describedBlock(t, "provider", schema.Provider.Block)
	exist(t, "provider", "../docs/index.md", "../examples/provider/provider.tf", "provider_test.go")
	for name, s := range schema.ResourceSchemas {
		short := strings.TrimPrefix(name, "registry_")
		describedBlock(t, name, s.Block)
		exist(t, name, "../docs/resources/"+short+".md", "../examples/resources/"+name+"/resource.tf", "resource_"+short+"_test.go")
		holds(t, "../docs/resources/"+short+".md", "## Import")
	}
	for name, s := range schema.DataSourceSchemas {
		short := strings.TrimPrefix(name, "registry_")
		describedBlock(t, name, s.Block)
		exist(t, name, "../docs/data-sources/"+short+".md", "../examples/data-sources/"+name+"/data-source.tf", "data_source_"+short+"_test.go")
	}
	for name, s := range schema.EphemeralResourceSchemas {
		short := strings.TrimPrefix(name, "registry_")
		describedBlock(t, name, s.Block)
		exist(t, name, "../docs/ephemeral-resources/"+short+".md", "../examples/ephemeral-resources/"+name+"/ephemeral-resource.tf", "ephemeral_"+short+"_test.go")
	}
	for name, s := range schema.ListResourceSchemas { // the documentation has no page of them before Terraform 1.14
		describedBlock(t, "list of "+name, s.Block)
		exist(t, name, "../examples/list-resources/"+name+"/list-resource.tfquery.hcl")
	}
	for name, s := range schema.ActionSchemas { // nor of these
		describedBlock(t, "action "+name, s.Schema.Block)
		exist(t, name, "../examples/actions/"+name+"/action.tf", "action_"+strings.TrimPrefix(name, "registry_")+"_test.go")
	}
	for name, f := range schema.Functions {
		described(t, name, f.Description)
		described(t, name+", summary", f.Summary)
		for _, p := range f.Parameters {
			described(t, name+"("+p.Name+")", p.Description)
		}
		exist(t, name, "../docs/functions/"+name+".md", "../examples/functions/"+name+"/function.tf", "function_"+name+"_test.go")
	}
	identities, err := server.GetResourceIdentitySchemas(t.Context(), &tfprotov6.GetResourceIdentitySchemasRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range identities.IdentitySchemas {
		for _, a := range s.IdentityAttributes {
			described(t, name+" identity "+a.Name, a.Description)
		}
	}
	if n := len(schema.ResourceSchemas) + len(schema.DataSourceSchemas) + len(schema.EphemeralResourceSchemas) + len(schema.Functions) + len(identities.IdentitySchemas); n < 9 {
		t.Errorf("only %d objects were looked at", n)
	}
}

func describedBlock(t *testing.T, name string, b *tfprotov6.SchemaBlock) {
	t.Helper()
	described(t, name, b.Description)
	if len(b.BlockTypes) > 0 {
		t.Errorf("%s has blocks; use nested attributes", name)
	}
	describedAttributes(t, name, b.Attributes)
}

func describedAttributes(t *testing.T, name string, attributes []*tfprotov6.SchemaAttribute) {
	t.Helper()
	for _, a := range attributes {
		described(t, name+"."+a.Name, a.Description)
		secret := strings.Contains(a.Name, "password") || strings.Contains(a.Name, "private_key") || strings.Contains(a.Name, "token") || strings.Contains(a.Name, "secret") || strings.Contains(a.Name, "authorization")
		if secret && !a.Sensitive && !strings.HasSuffix(a.Name, "_version") && !strings.HasSuffix(a.Name, "_policy") && !strings.HasPrefix(a.Name, "has_") {
			t.Errorf("%s.%s is not sensitive", name, a.Name)
		}
		if a.NestedType != nil {
			describedAttributes(t, name+"."+a.Name, a.NestedType.Attributes)
		}
	}
}

func described(t *testing.T, name, description string) {
	t.Helper()
	switch {
	case len(description) < 5:
		t.Errorf("%s has no description", name)
	case !strings.HasSuffix(strings.TrimRight(description, "*` "), ".") && !strings.HasSuffix(name, "summary") && !strings.Contains(description, "\n- "):
		t.Errorf("the description of %s is no sentence: %q", name, description)
	}
}

func exist(t *testing.T, name string, files ...string) {
	t.Helper()
	for _, file := range files {
		if _, err := os.Stat(filepath.FromSlash(file)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func holds(t *testing.T, file, text string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(content), text) {
		t.Errorf("%s does not hold %q, %v", file, text, err)
	}
}
