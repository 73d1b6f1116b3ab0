package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"

	"github.com/registrykit/terraform-provider-registry/registryserver/server"
)

// shipLogs is the command of that name.
func shipLogs(ctx context.Context, args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("ship-logs", flag.ContinueOnError)
	flags.SetOutput(stderr)
	state := flags.String("state", os.Getenv("STATE_DIRECTORY"), "`folder` in which to keep how far logs were shipped; by default that of the systemd unit")
	if err := flags.Parse(args); err != nil {
		return flag.ErrHelp
	}
	if flags.NArg() > 1 {
		return errors.New("ship-logs takes at most one configuration file")
	}
	if *state == "" {
		return errors.New("ship-logs needs a folder to keep how far it has come: --state")
	}
	config, _, err := load(flags.Arg(0))
	if err != nil {
		return err
	}
	return server.ShipLogs(ctx, config, server.NewLogger(stderr, config.Log), *state)
}
