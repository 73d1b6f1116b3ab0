package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/registrykit/terraform-provider-registry/registryserver/server"
)

// errBroken makes fsck exit with 1; the output has said why.
var errBroken = errors.New("the storage is damaged; see above")

func fsck(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("fsck", flag.ContinueOnError)
	flags.SetOutput(stderr)
	repair := flags.Bool("repair", false, "mend what can be mended without a loss")
	quick := flags.Bool("quick", false, "check links and references only, not the content of blobs")
	asJSON := flags.Bool("json", false, "one JSON object per finding, and one with the summary")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "Usage: registryserver fsck [--repair] [--quick] [--json] [config.yml]")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return flag.ErrHelp
	}
	config, warnings, err := load(flags.Arg(0))
	for _, w := range warnings {
		fmt.Fprintln(stderr, "warning:", w)
	}
	if err != nil {
		return err
	}
	o := server.FsckOptions{Repair: *repair, Quick: *quick, JSON: *asJSON, Out: stdout}
	if terminal(stderr) {
		o.Progress = stderr
	}
	sound, err := server.Fsck(ctx, config, o)
	if err == nil && !sound {
		err = errBroken
	}
	return err
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
