// Command terraform-provider-registry is the process that Terraform starts to
// manage a Registry Kit server: users, policies, certificates.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"

	"github.com/registrykit/terraform-provider-registry/provider"
)

// version is set by the release build.
var version = "dev"

func main() {
	debug := flag.Bool("debug", false, "run under a debugger; prints the TF_REATTACH_PROVIDERS to set")
	flag.Parse()
	err := providerserver.Serve(context.Background(), provider.New(version), providerserver.ServeOpts{
		Address: "registry.terraform.io/registrykit/registry",
		Debug:   *debug,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "terraform-provider-registry:", err)
		os.Exit(1)
	}
}
