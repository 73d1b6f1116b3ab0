package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/registrykit/terraform-provider-registry/registryserver/archive"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/server"
	"github.com/registrykit/terraform-provider-registry/registryserver/transfer"
)

const importUsage = `Usage:
  registryserver import [flags] SOURCE REGISTRY[/NAME[:TAG]]
  registryserver import [flags] --config config.yml SOURCE [NAME[:TAG]]

Puts images from an archive into a registry. SOURCE is what docker save wrote or
an OCI image layout: a tar file, compressed with gzip or not, a folder, an object
s3://BUCKET/KEY, or - for standard input:

  docker save app:3f2a9c1 | registryserver import - registry.example.com/app

Without a name or tag images are called what the archive calls them. With
--config they go straight into the storage; a server may run on it meanwhile.
`

// importing is what the command line asks for.
type importing struct {
	config, pick  string
	parallel      int
	options       archive.Options
	login         *loginFlags
	source, where string
}

func importImages(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := newFlags("import", importUsage, stderr)
	var o importing
	flags.StringVar(&o.config, "config", "", "the configuration whose storage to write to, instead of a registry's address")
	flags.StringVar(&o.pick, "image", "", "which image of the archive to import, by its name or tag there; without it, all")
	flags.IntVar(&o.parallel, "parallel", 4, "how many blobs to send at once")
	flags.StringVar(&o.options.TempDir, "temp-dir", "", "folder for temporary files, as large as the archive; without it, the system's")
	flags.Int64Var(&o.options.MaxBytes, "max-bytes", 256<<30, "how large the archive, and a layer in it, may be unpacked")
	o.login = addLogin(flags, "", "the registry")
	rest, err := parseMixed(flags, args)
	if err != nil {
		return err
	}
	if len(rest) == 0 || len(rest) > 2 || len(rest) == 1 && o.config == "" {
		flags.Usage()
		return flag.ErrHelp
	}
	o.source = rest[0]
	if len(rest) == 2 {
		o.where = rest[1]
	}
	return o.run(ctx, stdout, newProgress(stderr))
}

func (o importing) run(ctx context.Context, stdout io.Writer, progress *transfer.Progress) error {
	defer progress.Clear()
	job := transfer.Import{Pick: o.pick, Parallel: o.parallel, Progress: progress}
	end, host, err := o.target(ctx, &job, progress)
	if err != nil {
		return err
	}
	defer end()
	progress.Doing("read the archive")
	if job.Archive, err = openArchive(ctx, o.source, o.options); err != nil {
		return fmt.Errorf("%s: %w", o.source, err)
	}
	defer job.Archive.Close()
	done, err := job.Run(ctx)
	progress.Clear()
	for _, i := range done {
		for _, tag := range i.Tags {
			if _, err := fmt.Fprintf(stdout, "%s%s:%s@%s\n", host, i.Repository, tag, i.Digest); err != nil {
				return err
			}
		}
	}
	if err == nil {
		progress.Line("%s", progress.Sums())
	}
	return err
}

// target sets where images go, and returns what to print before their names.
func (o importing) target(ctx context.Context, job *transfer.Import, progress *transfer.Progress) (end func(), host string, err error) {
	if o.config != "" {
		end, err = o.storage(ctx, job)
		return end, "", err
	}
	address, err := transfer.ParseAddress(o.where)
	if err != nil {
		return nil, "", err
	}
	if !address.Digest.IsZero() {
		return nil, "", errors.New("an image is imported under a tag, not under a digest")
	}
	if o.login.passwordStdin && o.source == "-" {
		return nil, "", errors.New("the archive comes on standard input, so the password cannot; give it as a file, or in REGISTRYSERVER_PASSWORD")
	}
	access, err := o.login.access(func(text string) { progress.Line("%s", text) })
	if err != nil {
		return nil, "", err
	}
	remote, err := transfer.NewRemote(address, access)
	if err != nil {
		return nil, "", err
	}
	job.Repository, job.Tag = address.Repository, address.Tag
	job.Place = func(ctx context.Context, name string) (transfer.Place, error) {
		repository, err := remote.Repository(ctx, name, true)
		return transfer.Place{Target: repository, Name: name}, err
	}
	return func() {}, address.Registry.RegistryStr() + "/", nil
}

// storage sets the storage of a configuration as where images go.
func (o importing) storage(ctx context.Context, job *transfer.Import) (end func(), err error) {
	if o.where != "" {
		name, tag, tagged := strings.Cut(o.where, ":")
		repository, err := oci.ParseRepository(name)
		if err != nil {
			return nil, err
		}
		if job.Repository = repository.String(); tagged {
			if job.Tag, err = oci.ParseTag(tag); err != nil {
				return nil, err
			}
		}
	}
	config, _, err := load(o.config)
	if err != nil {
		return nil, err
	}
	if config.Storage.ReadOnly {
		return nil, errors.New("the configuration says that the storage is read-only (storage.maintenance.readonly)")
	}
	images, store, err := server.OpenImages(ctx, config)
	if err != nil {
		return nil, err
	}
	job.Place = func(_ context.Context, name string) (transfer.Place, error) {
		repository, err := oci.ParseRepository(name)
		return transfer.Place{Target: transfer.Local{Registry: images, Repository: repository}, Name: name}, err
	}
	return func() { _ = store.Close() }, nil
}

// openArchive opens what SOURCE names.
func openArchive(ctx context.Context, source string, o archive.Options) (*archive.Archive, error) {
	if source == "-" {
		if terminal(os.Stdin) {
			return nil, errors.New("standard input is a terminal; put docker save before it: docker save IMAGE | registryserver import - …")
		}
		return archive.Read(ctx, os.Stdin, o)
	}
	object, ok, err := transfer.ParseS3Object(source)
	if err != nil {
		return nil, err
	}
	if !ok {
		return archive.Open(ctx, source, o)
	}
	content, err := object.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	return archive.Read(ctx, content, o)
}
