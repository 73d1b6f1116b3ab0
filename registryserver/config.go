package main

import (
	"context"
	"flag"
	"fmt"
	"io"

	"github.com/registrykit/terraform-provider-registry/registryserver/server"
)

// config checks the configuration, and prints it or tries its storage.
func config(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("config", flag.ContinueOnError)
	flags.SetOutput(stderr)
	checkStorage := flags.Bool("check-storage", false, "try every access to the storage that the server needs")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "Usage: registryserver config [--check-storage] [config.yml]")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return flag.ErrHelp
	}
	if flags.NArg() > 1 {
		flags.Usage()
		return flag.ErrHelp
	}
	c, warnings, err := load(flags.Arg(0))
	for _, w := range warnings {
		fmt.Fprintln(stderr, "warning:", w)
	}
	if err != nil {
		return err
	}
	if *checkStorage {
		if err := server.CheckStorage(ctx, c); err != nil {
			return err
		}
		_, err = fmt.Fprintf(stdout, "ok: %s can be used\n", c.Storage.Place())
		return err
	}
	masked, err := c.Masked()
	if err != nil {
		return err
	}
	_, err = stdout.Write(masked)
	return err
}
