package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/registrykit/terraform-provider-registry/registryserver/migrate"
	"github.com/registrykit/terraform-provider-registry/registryserver/server"
	"github.com/registrykit/terraform-provider-registry/registryserver/transfer"
)

const migrateUsage = `Usage:
  registryserver migrate [flags] --from old.yml --to new.yml

Brings everything from the storage of one configuration to that of another, such
as from a disk to a bucket, while the old server goes on. Repeat it as often as
you like; then make the old server read-only, run it with --final, and start the
new one. REGISTRY_* variables count for neither configuration.
`

func migrateStorage(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := newFlags("migrate", migrateUsage, stderr)
	var o migrate.Options
	from := flags.String("from", "", "the old configuration")
	to := flags.String("to", "", "the new configuration")
	report := flags.String("report", "", "file to write a report to, in JSON")
	flags.BoolVar(&o.Final, "final", false, "the last pass: nobody writes to the old storage any more")
	flags.BoolVar(&o.Verify, "verify", false, "read everything in the new storage and compare it")
	flags.BoolVar(&o.WithoutKeys, "without-keys", false, "leave certificates and the keys of ACME behind")
	flags.IntVar(&o.Parallel, "parallel", 8, "how many blobs and records to bring over at once")
	rest, err := parseMixed(flags, args)
	if err != nil {
		return err
	}
	if len(rest) > 0 || *from == "" || *to == "" {
		flags.Usage()
		return flag.ErrHelp
	}
	old, err := loadAlone(*from)
	if err != nil {
		return err
	}
	next, err := loadAlone(*to)
	if err != nil {
		return err
	}
	progress := newProgress(stderr)
	o.Progress = progress.Line
	r, err := server.Migrate(ctx, old, next, o)
	if r == nil {
		return err
	}
	if ctx.Err() != nil {
		err = errors.New("it was interrupted; the same command goes on where it ended")
	}
	return errors.Join(err, tellMigration(r, *report, stdout))
}

// loadAlone loads a configuration without the environment, which cannot be meant
// for both.
func loadAlone(file string) (*server.Config, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	c, _, err := server.LoadConfig(content, nil)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be used:\n%w", file, err)
	}
	return c, nil
}

func tellMigration(r *migrate.Report, file string, stdout io.Writer) error {
	state := "not in step yet"
	switch {
	case r.Complete:
		state = "complete: start the new server"
	case r.InStep:
		state = "in step: make the old server read-only, and run it again with --final"
	}
	_, err := fmt.Fprintf(stdout, "%d blobs (%s) and %d records brought over, %d records removed, %d failures; %s\n",
		r.BlobsCopied, transfer.Bytes(r.BytesCopied), r.RecordsCopied, r.RecordsRemoved, len(r.Failures), state)
	if file == "" {
		return err
	}
	content, failed := json.MarshalIndent(r, "", "  ")
	if failed == nil {
		failed = os.WriteFile(file, append(content, '\n'), 0o644)
	}
	return errors.Join(err, failed)
}
