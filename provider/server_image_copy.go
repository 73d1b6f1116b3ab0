package provider

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// spread brings copies to all regions, and the settings everywhere. Copies run
// at the same time.
func (p *publication) spread(ctx context.Context) error {
	for _, region := range p.copies {
		if err := p.copyTo(ctx, p.in(region)); err != nil {
			return inRegion(region, err)
		}
	}
	for _, region := range append([]string{p.spec.Region}, p.copies...) {
		r := p.in(region)
		image, err := r.available(ctx, p.there[region].image)
		if err == nil {
			p.note(region, aws.ToString(image.ImageId), snapshotOf(image))
			err = r.configure(ctx, image, p.settings)
		}
		if err != nil {
			return inRegion(region, err)
		}
	}
	return nil
}

func inRegion(region string, err error) error { return fmt.Errorf("in %s: %w", region, err) }

// copyTo begins the copy to a region, unless there is one.
func (p *publication) copyTo(ctx context.Context, r imageRegion) error {
	image, err := r.imageNamed(ctx, p.spec.Name)
	if err != nil {
		return err
	}
	if image != nil && p.ours(image.Tags) && broken(image) {
		if err := p.remove(ctx, r, imageIDs{image: aws.ToString(image.ImageId)}); err != nil {
			return err
		}
		image = nil
	}
	switch {
	case image == nil:
		if left := p.there[r.name]; left.snapshot != "" { // of a copy that is gone
			if err := p.remove(ctx, r, left); err != nil {
				return err
			}
		}
		id, err := r.copyFrom(ctx, p.spec, p.settings.description, p.there[p.spec.Region].image, p.tags(""))
		if err == nil {
			p.note(r.name, id, "")
		}
		return err
	case !p.ours(image.Tags):
		return &takenError{r.name, aws.ToString(image.ImageId)}
	}
	ids := []string{aws.ToString(image.ImageId)}
	if snapshot := snapshotOf(image); snapshot != "" {
		ids = append(ids, snapshot)
	}
	p.note(r.name, ids[0], snapshotOf(image))
	return p.takeOver(ctx, r, image.Tags, ids...)
}
