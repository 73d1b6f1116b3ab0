package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/server"
)

// printAudit prints the audit log that a storage has.
func printAudit(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("audit", flag.ContinueOnError)
	flags.SetOutput(stderr)
	since := flags.Duration("since", 24*time.Hour, "how far back to go")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "Usage: registryserver audit [--since 24h] [config.yml]\nPrints one JSON object for each thing that was done or tried.")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil || flags.NArg() > 1 {
		return flag.ErrHelp
	}
	config, warnings, err := load(flags.Arg(0))
	for _, w := range warnings {
		fmt.Fprintln(stderr, "warning:", w)
	}
	if err != nil {
		return err
	}
	return server.PrintAudit(ctx, config, time.Now().Add(-*since), stdout)
}
