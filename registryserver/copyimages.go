package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/transfer"
)

const copyUsage = `Usage:
  registryserver copy [flags] --all SOURCE DEST
  registryserver copy [flags] --repository GLOB... SOURCE DEST
  registryserver copy [flags] SOURCE/NAME[:TAG|@DIGEST] DEST[/NAME[:TAG]]

Copies images from one registry to another, with their signatures and all else
that refers to them: everything, some repositories, one repository or one image.
What is there is not copied again, so the same command goes on where it was
interrupted, and later brings what is new:

  registryserver copy --all https://old.example.com https://registry.example.com
`

// copying is what the command line asks for.
type copying struct {
	job                 transfer.Copy
	all                 bool
	report, terraform   string
	terraformTags       bool
	fromLogin, toLogin  *loginFlags
	source, destination string
}

func copyImages(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := newFlags("copy", copyUsage, stderr)
	var o copying
	flags.BoolVar(&o.all, "all", false, "copy all repositories")
	flags.Func("repository", "copy the repositories that match, such as team/* or **/app; may be repeated", globsInto(&o.job.Filter.Repositories))
	flags.Func("not-repository", "but not those that match; may be repeated", globsInto(&o.job.Filter.NotRepositories))
	flags.Func("tag", "copy the tags that match, such as v1.*; may be repeated", tagsInto(&o.job.Filter.Tags))
	flags.Func("not-tag", "but not those that match; may be repeated", tagsInto(&o.job.Filter.NotTags))
	flags.IntVar(&o.job.Filter.Newest, "newest", 0, "of each repository, copy so many tags that are semantic versions, from the newest on")
	flags.StringVar(&o.job.Prefix, "prefix", "", "put this and a slash before the names of repositories")
	flags.BoolVar(&o.job.Keep, "keep", false, "leave tags of the destination that point elsewhere as they are")
	flags.BoolVar(&o.job.Alone, "alone", false, "leave out signatures and all else that refers to images")
	flags.IntVar(&o.job.Parallel, "parallel", 4, "how many images, and how many blobs, to copy at once")
	flags.StringVar(&o.report, "report", "", "file to write a report to, in JSON")
	flags.StringVar(&o.terraform, "terraform", "", "file to write the repositories to, as Terraform resources with import blocks")
	flags.BoolVar(&o.terraformTags, "terraform-tags", false, "write the tags there, too")
	o.fromLogin, o.toLogin = addLogin(flags, "source-", "the source"), addLogin(flags, "dest-", "the destination")
	rest, err := parseMixed(flags, args)
	if err != nil {
		return err
	}
	if len(rest) != 2 {
		flags.Usage()
		return flag.ErrHelp
	}
	o.source, o.destination = rest[0], rest[1]
	o.job.Progress = newProgress(stderr)
	if err := o.open(); err != nil {
		return err
	}
	report, err := o.job.Run(ctx)
	return errors.Join(err, o.tell(report, stdout))
}

func globsInto(list *[]oci.Glob) func(string) error {
	return func(text string) error {
		g, err := oci.ParseGlob(text)
		*list = append(*list, g)
		return err
	}
}

func tagsInto(list *[]oci.TagPattern) func(string) error {
	return func(text string) error {
		p, err := oci.ParseTagPattern(text)
		*list = append(*list, p)
		return err
	}
}

// open turns the two addresses into registries and what to copy.
func (o *copying) open() error {
	from, err := transfer.ParseAddress(o.source)
	if err != nil {
		return err
	}
	to, err := transfer.ParseAddress(o.destination)
	if err != nil {
		return err
	}
	if err := o.check(from, to); err != nil {
		return err
	}
	if o.fromLogin.passwordStdin && o.toLogin.passwordStdin {
		return errors.New("only one password can come on standard input; give the other as a file")
	}
	if o.job.From, err = o.remote(from, o.fromLogin); err != nil {
		return err
	}
	if o.job.To, err = o.remote(to, o.toLogin); err != nil {
		return err
	}
	o.job.Repository, o.job.ToRepository = from.Repository, to.Repository
	o.job.Tag, o.job.Digest, o.job.ToTag = from.Tag, from.Digest, to.Tag
	return nil
}

// check refuses what does not fit together.
func (o *copying) check(from, to transfer.Address) error {
	one := !from.Tag.IsZero() || !from.Digest.IsZero()
	switch {
	case from.Repository == "" && !o.all && len(o.job.Filter.Repositories) == 0:
		return errors.New("say what to copy: --all, --repository GLOB, or the name of a repository behind the source")
	case from.Repository != "" && (o.all || len(o.job.Filter.Repositories) > 0):
		return errors.New("the source names a repository; leave --all and --repository out")
	case from.Repository == "" && to.Repository != "":
		return errors.New("many repositories do not fit into one; put --prefix before their names")
	case !to.Digest.IsZero():
		return errors.New("an image is copied to a tag, not to a digest")
	case !to.Tag.IsZero() && !one:
		return errors.New("many tags do not fit into one; name the tag of the source, too")
	case !from.Tag.IsZero() && !from.Digest.IsZero():
		return errors.New("name the image by its tag or by its digest, not by both")
	case o.terraformTags && o.terraform == "":
		return errors.New("--terraform-tags needs --terraform FILE")
	case from.String() == to.String() && o.job.Prefix == "":
		return errors.New("source and destination are the same")
	}
	return nil
}

func (o *copying) remote(a transfer.Address, login *loginFlags) (*transfer.Remote, error) {
	access, err := login.access(func(text string) { o.job.Progress.Line("%s", text) })
	if err != nil {
		return nil, err
	}
	return transfer.NewRemote(a, access)
}

// tell says what came of it, also if it failed.
func (o *copying) tell(r *transfer.Report, stdout io.Writer) error {
	_, err := fmt.Fprintf(stdout, "%d repositories, %d tags, %d referrers, %d failures: %s\n", len(r.Repositories), r.Tags, r.Referrers, len(r.Failures), r.Sums)
	if o.report != "" {
		content, failed := json.MarshalIndent(r, "", "  ")
		if failed == nil {
			failed = os.WriteFile(o.report, append(content, '\n'), 0o644)
		}
		err = errors.Join(err, failed)
	}
	if o.terraform == "" {
		return err
	}
	file, failed := os.Create(o.terraform)
	if failed != nil {
		return errors.Join(err, failed)
	}
	return errors.Join(err, r.WriteTerraform(file, o.terraformTags), file.Close())
}
