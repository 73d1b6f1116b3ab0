package provider

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/tfversion"
)

// What registryserver copy writes for Terraform is planned as imports, and as
// nothing else.
func TestCopiedRegistryIsImported(t *testing.T) {
	from, to := startServer(t), startServer(t)
	from.push(t, randomImage(t, "linux/amd64"), "team/app:v1")
	from.push(t, randomIndex(t, "linux/amd64", "linux/arm64"), "team/app.old:1.0")
	from.push(t, randomImage(t, "linux/arm64"), "3rd-party:latest")

	dir := t.TempDir()
	binary, file := filepath.Join(dir, "registryserver"), filepath.Join(dir, "repositories.tf")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../registryserver").CombinedOutput(); err != nil {
		t.Fatalf("build the server: %v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), binary, "copy", "--all", "--terraform", file, "--terraform-tags", from.url, to.url)
	cmd.Env = append(os.Environ(), "REGISTRYSERVER_SOURCE_USERNAME=admin", "REGISTRYSERVER_SOURCE_PASSWORD="+adminPassword,
		"REGISTRYSERVER_DEST_USERNAME=admin", "REGISTRYSERVER_DEST_PASSWORD="+adminPassword)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("copy: %v\n%s", err, out)
	}
	written, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{
		"registry_repository.team_app", "registry_tag.team_app_v1", "registry_repository.team_app_old", "registry_tag.team_app_old_1_0",
		"registry_repository._3rd-party", "registry_tag._3rd-party_latest",
	}
	var imports []plancheck.PlanCheck
	for _, name := range names {
		imports = append(imports, plancheck.ExpectResourceAction(name, plancheck.ResourceActionNoop))
	}
	resource.UnitTest(t, resource.TestCase{
		TerraformVersionChecks:   []tfversion.TerraformVersionCheck{tfversion.SkipBelow(tfversion.Version1_5_0)},
		ProtoV6ProviderFactories: factories(testProvider()),
		Steps: []resource.TestStep{
			{
				Config:           to.config("") + string(written),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: imports, PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
			},
			// The repositories have images, so destroying them would be refused.
			{Config: to.config("%s", forgotten(names))},
		},
	})
}

func forgotten(names []string) string {
	text := ""
	for _, name := range names {
		text += "removed {\n from = " + name + "\n lifecycle {\n destroy = false\n }\n}\n"
	}
	return text
}
