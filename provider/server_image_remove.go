package provider

import (
	"context"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// removeAll takes the image and its snapshots away, in all regions, and also
// what an interrupted creation has left. What a later creation has taken over
// stays.
func (p *publication) removeAll(ctx context.Context) error {
	regions := map[string]bool{}
	for _, region := range p.copies {
		regions[region] = true
	}
	for region := range p.there {
		regions[region] = true
	}
	delete(regions, p.spec.Region)
	// The image itself goes last: it is what the state stands and falls with.
	for _, region := range append(slices.Sorted(maps.Keys(regions)), p.spec.Region) {
		if err := p.remove(ctx, p.in(region), p.there[region]); err != nil {
			return inRegion(region, err)
		}
		delete(p.there, region)
	}
	return nil
}

func (p *publication) remove(ctx context.Context, r imageRegion, known imageIDs) error {
	image, err := p.imageIn(ctx, r, known)
	if err != nil {
		return err
	}
	snapshots := map[string]bool{known.snapshot: true}
	if image != nil {
		if p.takenOver(image.Tags) {
			return nil
		}
		snapshots[snapshotOf(image)] = true
		if err := r.deregister(ctx, aws.ToString(image.ImageId)); err != nil {
			return err
		}
	}
	delete(snapshots, "")
	for id := range snapshots {
		s, err := r.snapshot(ctx, id)
		if err != nil {
			return err
		}
		if s == nil || p.takenOver(s.Tags) {
			continue
		}
		if err := r.deleteSnapshot(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// forget notes that the image of a region is gone. Its snapshot may be left.
func (p *publication) forget(ctx context.Context, r imageRegion) error {
	snapshot := p.there[r.name].snapshot
	delete(p.there, r.name)
	if snapshot == "" {
		return nil
	}
	s, err := r.snapshot(ctx, snapshot)
	if s != nil {
		p.note(r.name, "", snapshot)
	}
	return err
}

// imageIn is the image in a region. Where its id is not known, because an answer
// was lost, it is looked for by name.
func (p *publication) imageIn(ctx context.Context, r imageRegion, known imageIDs) (*ec2types.Image, error) {
	if known.image != "" {
		return r.image(ctx, known.image)
	}
	image, err := r.imageNamed(ctx, p.spec.Name)
	if err != nil || image == nil || !p.ours(image.Tags) {
		return nil, err
	}
	return image, nil
}

// takenOver reports whether an object belongs to another creation by now.
func (p *publication) takenOver(tags []ec2types.Tag) bool {
	by := tagOf(tags, tagCreation)
	return p.creation != "" && by != "" && by != p.creation
}

// unfinished reports whether there is something that a creation of the same
// image can go on with.
func (p *publication) unfinished(ctx context.Context) (bool, error) {
	home := p.home()
	image, err := p.imageIn(ctx, home, p.there[home.name])
	if err != nil {
		return false, err
	}
	if image != nil {
		return isUnfinished(image.Tags), nil
	}
	known := p.there[home.name].snapshot
	if known == "" {
		return false, nil
	}
	s, err := home.snapshot(ctx, known)
	return err == nil && s != nil && usable(s), err
}
