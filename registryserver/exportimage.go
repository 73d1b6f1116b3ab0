package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/registrykit/terraform-provider-registry/registryserver/archive"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/server"
	"github.com/registrykit/terraform-provider-registry/registryserver/transfer"
)

const exportUsage = `Usage:
  registryserver export [flags] REGISTRY/NAME[:TAG|@DIGEST] DEST
  registryserver export [flags] --config config.yml NAME[:TAG|@DIGEST] DEST

Writes an image as a tar file, which docker load, podman load, skopeo and
registryserver import take. DEST is a file, an object s3://BUCKET/KEY, or - for
standard output:

  registryserver export registry.example.com/app:3f2a9c1 - | docker load
`

// exporting is what the command line asks for.
type exporting struct {
	config, platform string
	temp             string
	login            *loginFlags
	image, dest      string
}

func exportImage(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := newFlags("export", exportUsage, stderr)
	var o exporting
	flags.StringVar(&o.config, "config", "", "the configuration whose storage to read, instead of a registry's address")
	flags.StringVar(&o.platform, "platform", "", "which image of an index: os/architecture[/variant], or all for an OCI layout of everything; without it linux/amd64")
	flags.StringVar(&o.temp, "temp-dir", "", "folder for temporary files, which an object in a bucket needs; without it, the system's")
	o.login = addLogin(flags, "", "the registry")
	rest, err := parseMixed(flags, args)
	if err != nil {
		return err
	}
	if len(rest) != 2 {
		flags.Usage()
		return flag.ErrHelp
	}
	o.image, o.dest = rest[0], rest[1]
	progress := newProgress(stderr)
	defer progress.Clear()
	from, ref, name, end, err := o.source(ctx, progress)
	if err != nil {
		return err
	}
	defer end()
	d := ref.Digest
	var names []string
	if d.IsZero() {
		found := false
		if d, found, err = from.Resolve(ctx, ref.Tag); err == nil && !found {
			err = fmt.Errorf("%s has no tag %s", name, ref.Tag)
		}
		if err != nil {
			return err
		}
		names = []string{name + ":" + ref.Tag.String()}
	}
	progress.Doing("export %s", o.image)
	return o.write(ctx, stdout, from, d, names, progress)
}

// imageSource is a repository that an image is exported from.
type imageSource interface {
	archive.Source
	Resolve(ctx context.Context, tag oci.Tag) (oci.Digest, bool, error)
}

// source returns the repository, what to take of it, and what docker load is to
// call it.
func (o exporting) source(ctx context.Context, progress *transfer.Progress) (imageSource, oci.Reference, string, func(), error) {
	text := o.image
	if o.config != "" {
		text = "localhost/" + text // only its form counts
	}
	address, err := transfer.ParseAddress(text)
	if err == nil && address.Repository == "" {
		err = fmt.Errorf("%q names no image; write REGISTRY/NAME:TAG", o.image)
	}
	ref := oci.Reference{Tag: address.Tag, Digest: address.Digest}
	if ref.Tag.IsZero() && ref.Digest.IsZero() && err == nil {
		ref.Tag, err = oci.ParseTag("latest")
	}
	if !ref.Digest.IsZero() {
		ref.Tag = oci.Tag{}
	}
	if err != nil {
		return nil, ref, "", nil, err
	}
	if o.config != "" {
		config, _, err := load(o.config)
		if err != nil {
			return nil, ref, "", nil, err
		}
		images, store, err := server.OpenImages(ctx, config)
		if err != nil {
			return nil, ref, "", nil, err
		}
		repository, err := oci.ParseRepository(address.Repository)
		return transfer.Local{Registry: images, Repository: repository}, ref, address.Repository, func() { _ = store.Close() }, err
	}
	access, err := o.login.access(func(text string) { progress.Line("%s", text) })
	if err != nil {
		return nil, ref, "", nil, err
	}
	remote, err := transfer.NewRemote(address, access)
	if err != nil {
		return nil, ref, "", nil, err
	}
	repository, err := remote.Repository(ctx, address.Repository, false)
	return repository, ref, address.Registry.RegistryStr() + "/" + address.Repository, func() {}, err
}

// write writes to DEST. A file is there whole or not at all.
func (o exporting) write(ctx context.Context, stdout io.Writer, from imageSource, d oci.Digest, names []string, progress *transfer.Progress) error {
	object, isObject, err := transfer.ParseS3Object(o.dest)
	if err != nil {
		return err
	}
	if o.dest == "-" {
		if terminal(stdout) {
			return errors.New("standard output is a terminal; put | docker load behind it, or name a file")
		}
		buffered := bufio.NewWriterSize(stdout, 256<<10)
		if _, err := transfer.Export(ctx, buffered, from, d, o.platform, names); err != nil {
			return err
		}
		return buffered.Flush()
	}
	dir := o.temp
	if !isObject {
		dir = filepath.Dir(o.dest)
	}
	file, err := os.CreateTemp(dir, ".registryserver-export-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	buffered := bufio.NewWriterSize(file, 256<<10)
	chosen, err := transfer.Export(ctx, buffered, from, d, o.platform, names)
	if err == nil {
		err = buffered.Flush()
	}
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if isObject {
		err = object.Put(ctx, file, info.Size())
	} else {
		err = keep(file, o.dest)
	}
	if err != nil {
		return err
	}
	progress.Clear()
	_, err = fmt.Fprintf(stdout, "%s %s (%s)\n", o.dest, chosen, transfer.Bytes(info.Size()))
	return err
}

// keep makes a temporary file the one that was asked for.
func keep(file *os.File, name string) error {
	if err := file.Chmod(0o644); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	return os.Rename(file.Name(), name)
}
