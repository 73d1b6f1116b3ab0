package replication

import (
	"context"
	"errors"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/transfer"
)

// job copies something from one repository to another.
type job struct {
	rule   *rule
	from   transfer.Local
	to     transfer.Place
	copier *transfer.Copier
}

var errMoves = errors.New("the tag moves faster than images are copied")

// tag makes the tag at the destination what it is here. Events of one tag may be
// delivered in any order, by several servers at once; so each one copies what
// the tag names now, and looks again after it has written: whoever writes last
// has looked since the last push.
func (j job) tag(ctx context.Context, tag oci.Tag) error {
	for range maxRounds {
		d, found, err := j.from.Resolve(ctx, tag)
		if err != nil || !found {
			return err // deleted since, and deletions are not replicated
		}
		putErr := j.put(ctx, tag, d)
		now, found, err := j.from.Resolve(ctx, tag)
		switch {
		case err != nil:
			return errors.Join(putErr, err)
		case !found:
			return nil
		case now == d: // if the tag had moved, a failure to read what it was would mean nothing
			return putErr
		}
	}
	return errMoves
}

// put copies an image, and names it if it is not named so. Where it is, nothing
// is written: so two registries that replicate to each other come to rest.
func (j job) put(ctx context.Context, tag oci.Tag, d oci.Digest) error {
	if err := j.copier.Image(ctx, j.from, j.to, d); err != nil {
		return err
	}
	there, found, err := j.to.Resolve(ctx, tag)
	if err != nil || found && there == d {
		return err
	}
	content, err := j.from.Manifest(ctx, d)
	if err != nil {
		return err
	}
	_, err = j.to.PutManifest(ctx, oci.Reference{Tag: tag}, oci.SniffMediaType(content), content)
	return err
}

// digest copies a manifest that was pushed without a tag. Where only some tags
// are replicated, that is one that refers to an image that is there; one that is
// not there yet brings along what refers to it when it comes.
func (j job) digest(ctx context.Context, d oci.Digest) error {
	err := j.untagged(ctx, d)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if has, hasErr := j.from.HasManifest(ctx, d); hasErr == nil && !has {
		return nil // deleted since
	}
	return err
}

func (j job) untagged(ctx context.Context, d oci.Digest) error {
	if len(j.rule.Tags) > 0 {
		content, err := j.from.Manifest(ctx, d)
		if err != nil {
			return err
		}
		m, err := oci.ParseManifest("", content)
		if err != nil || m.Subject == nil {
			return err
		}
		if has, err := j.to.HasManifest(ctx, m.Subject.Digest); err != nil || !has {
			return err
		}
	}
	return j.copier.Image(ctx, j.from, j.to, d)
}
