package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/registrykit/terraform-provider-registry/registryserver/server"
)

// collect is garbage-collect, with the flags of CNCF distribution.
func collect(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("garbage-collect", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var o server.CollectOptions
	both := func(p *bool, long, short, usage string) {
		flags.BoolVar(p, long, false, usage)
		flags.BoolVar(p, short, false, "the same as --"+long)
	}
	both(&o.DryRun, "dry-run", "d", "do everything except deleting")
	untagged := false
	both(&untagged, "delete-untagged", "m", "delete manifests that no tag leads to, too (default: gc.deleteuntagged)")
	both(&o.Quiet, "quiet", "q", "print nothing but the summary")
	flags.BoolVar(&o.JSON, "json", false, "one JSON object for each thing that is garbage, and one with the report")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "Usage: registryserver garbage-collect [--dry-run] [--delete-untagged] [--quiet] [--json] [config.yml]")
		flags.PrintDefaults()
	}
	// distribution takes flags behind the file, too.
	file := ""
	for rest := args; ; rest = flags.Args()[1:] {
		if err := flags.Parse(rest); err != nil {
			return flag.ErrHelp
		}
		if flags.NArg() == 0 {
			break
		}
		if file != "" {
			flags.Usage()
			return flag.ErrHelp
		}
		file = flags.Arg(0)
	}
	config, warnings, err := load(file)
	for _, w := range warnings {
		fmt.Fprintln(stderr, "warning:", w)
	}
	if err != nil {
		return err
	}
	if untagged {
		config.GC.DeleteUntagged = true
	}
	o.Out = stdout
	if terminal(stderr) {
		o.Progress = stderr
	}
	return server.Collect(ctx, config, o)
}

// exclusive marks the storage of a configuration as ours alone.
func exclusive(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("exclusive", flag.ContinueOnError)
	flags.SetOutput(stderr)
	remove := flags.Bool("remove", false, "take the mark away: other programs may write to the storage again")
	show := flags.Bool("show", false, "print whether the storage is marked, and change nothing")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "Usage: registryserver exclusive [--remove | --show] [config.yml]\nSays that only servers of Registry Kit write to the storage, so that garbage can be collected.")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return flag.ErrHelp
	}
	if *remove && *show {
		return errors.New("--remove and --show exclude each other")
	}
	config, warnings, err := load(flags.Arg(0))
	for _, w := range warnings {
		fmt.Fprintln(stderr, "warning:", w)
	}
	if err != nil {
		return err
	}
	var change *bool
	if mark := !*remove; !*show {
		change = &mark
	}
	return server.Exclusive(ctx, config, change, stdout)
}
