package provider

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// imageRegion is EC2 in a region, as far as machine images are concerned.
type imageRegion struct {
	name string
	api  *ec2.Client
}

const rootDevice = "/dev/xvda"

// notYetError is why there is still something to wait for. It is seen only once
// time is up.
type notYetError struct{ what, id, state string }

func (e *notYetError) Error() string {
	return fmt.Sprintf("the %s %s is still %s", e.what, e.id, e.state)
}
func (e *notYetError) Unwrap() error { return context.DeadlineExceeded }

func notYet(what, id, state string) error { return &notYetError{what, id, state} }

func isNotYet(err error) bool {
	_, ok := errors.AsType[*notYetError](err)
	return ok
}

// waiting is the patience with what AWS does on its own.
func waiting() patience { return patience{longestTimeout, 250 * time.Millisecond, 15 * time.Second} }

// image returns an image by its id, or nil where there is none (any more).
func (r imageRegion) image(ctx context.Context, id string) (*ec2types.Image, error) {
	if id == "" {
		return nil, nil
	}
	out, err := r.api.DescribeImages(ctx, &ec2.DescribeImagesInput{ImageIds: []string{id}})
	if code := awsCode(err); code == "InvalidAMIID.NotFound" || code == "InvalidAMIID.Unavailable" {
		return nil, nil
	}
	if err != nil {
		return nil, needs("ec2:DescribeImages", err)
	}
	return firstImage(out), nil
}

// imageNamed returns the image of this account that has a name, or nil.
func (r imageRegion) imageNamed(ctx context.Context, name string) (*ec2types.Image, error) {
	out, err := r.api.DescribeImages(ctx, &ec2.DescribeImagesInput{Owners: []string{"self"}, Filters: []ec2types.Filter{filter("name", name)}})
	if err != nil {
		return nil, needs("ec2:DescribeImages", err)
	}
	return firstImage(out), nil
}

func firstImage(out *ec2.DescribeImagesOutput) *ec2types.Image {
	i := slices.IndexFunc(out.Images, func(image ec2types.Image) bool { return image.State != ec2types.ImageStateDeregistered })
	if i < 0 {
		return nil
	}
	return &out.Images[i]
}

func filter(name, value string) ec2types.Filter {
	return ec2types.Filter{Name: &name, Values: []string{value}}
}

// snapshot returns a snapshot by its id, or nil where there is none.
func (r imageRegion) snapshot(ctx context.Context, id string) (*ec2types.Snapshot, error) {
	if id == "" {
		return nil, nil
	}
	out, err := r.api.DescribeSnapshots(ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{id}})
	if awsCode(err) == "InvalidSnapshot.NotFound" {
		return nil, nil
	}
	if err != nil || len(out.Snapshots) == 0 {
		return nil, needs("ec2:DescribeSnapshots", err)
	}
	return &out.Snapshots[0], nil
}

// snapshotTagged returns a usable snapshot of this account with a tag, or nil.
func (r imageRegion) snapshotTagged(ctx context.Context, key, value string) (*ec2types.Snapshot, error) {
	pages := ec2.NewDescribeSnapshotsPaginator(r.api, &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}, Filters: []ec2types.Filter{filter("tag:"+key, value)}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, needs("ec2:DescribeSnapshots", err)
		}
		for i := range page.Snapshots {
			if usable(&page.Snapshots[i]) {
				return &page.Snapshots[i], nil
			}
		}
	}
	return nil, nil
}

// usable reports whether a snapshot is complete or can still be.
func usable(s *ec2types.Snapshot) bool {
	return s.State == ec2types.SnapshotStatePending || s.State == ec2types.SnapshotStateCompleted
}

// register makes an image of a snapshot. The request cannot be told from a
// second one, so a name that is taken may be that of an image whose answer was
// lost; the caller looks.
func (r imageRegion) register(ctx context.Context, spec imageSpec, description, snapshot string, tags map[string]string) (string, error) {
	out, err := r.api.RegisterImage(ctx, &ec2.RegisterImageInput{
		Name: &spec.Name, Description: optional(description), Architecture: ec2types.ArchitectureValues(spec.Architecture),
		VirtualizationType: aws.String("hvm"), BootMode: ec2types.BootModeValuesUefi, EnaSupport: aws.Bool(true), ImdsSupport: ec2types.ImdsSupportValuesV20,
		RootDeviceName: aws.String(rootDevice),
		BlockDeviceMappings: []ec2types.BlockDeviceMapping{{DeviceName: aws.String(rootDevice), Ebs: &ec2types.EbsBlockDevice{
			SnapshotId: &snapshot, VolumeType: ec2types.VolumeTypeGp3, VolumeSize: aws.Int32(int32(spec.VolumeSize)), // largestVolume bounds it
			DeleteOnTermination: aws.Bool(true),
		}}},
		TagSpecifications: []ec2types.TagSpecification{{ResourceType: ec2types.ResourceTypeImage, Tags: ec2Tags(tags)}},
	})
	if err != nil {
		return "", needs("ec2:RegisterImage", err)
	}
	return aws.ToString(out.ImageId), nil
}

// copyFrom begins a copy of an image of another region, with its snapshot.
func (r imageRegion) copyFrom(ctx context.Context, spec imageSpec, description, image string, tags map[string]string) (string, error) {
	in := &ec2.CopyImageInput{
		Name: &spec.Name, Description: optional(description), SourceImageId: &image, SourceRegion: &spec.Region,
		TagSpecifications: []ec2types.TagSpecification{
			{ResourceType: ec2types.ResourceTypeImage, Tags: ec2Tags(tags)}, {ResourceType: ec2types.ResourceTypeSnapshot, Tags: ec2Tags(tags)},
		},
	}
	if spec.Encrypted {
		in.Encrypted, in.KmsKeyId = aws.Bool(true), optional(spec.CopyKMSKeyIDs[r.name])
	}
	out, err := r.api.CopyImage(ctx, in)
	if err != nil {
		return "", needs("ec2:CopyImage", err)
	}
	return aws.ToString(out.ImageId), nil
}

// available waits until an image can be used. One that was just made may not be
// known everywhere.
func (r imageRegion) available(ctx context.Context, id string) (image *ec2types.Image, err error) {
	err = waiting().until(ctx, isNotYet, func() error {
		if image, err = r.image(ctx, id); err != nil {
			return err
		}
		switch {
		case image == nil:
			return notYet("image", id, "unknown")
		case image.State == ec2types.ImageStatePending || image.State == ec2types.ImageStateTransient:
			return notYet("image", id, string(image.State))
		case image.State != ec2types.ImageStateAvailable:
			return fmt.Errorf("the image %s is %s: %s", id, image.State, reasonOf(image))
		}
		return nil
	})
	return image, err
}

func reasonOf(image *ec2types.Image) string {
	if image.StateReason == nil || aws.ToString(image.StateReason.Message) == "" {
		return "EC2 does not say why"
	}
	return aws.ToString(image.StateReason.Message)
}

// broken reports whether an image will never be usable.
func broken(image *ec2types.Image) bool {
	return slices.Contains([]ec2types.ImageState{ec2types.ImageStateFailed, ec2types.ImageStateError, ec2types.ImageStateInvalid}, image.State)
}

// completed waits until a snapshot is complete.
func (r imageRegion) completed(ctx context.Context, id string) error {
	return waiting().until(ctx, isNotYet, func() error {
		s, err := r.snapshot(ctx, id)
		switch {
		case err != nil:
			return err
		case s == nil:
			return notYet("snapshot", id, "unknown")
		case s.State == ec2types.SnapshotStatePending:
			return notYet("snapshot", id, string(s.State))
		case s.State != ec2types.SnapshotStateCompleted:
			return fmt.Errorf("the snapshot %s is %s: %s", id, s.State, aws.ToString(s.StateMessage))
		}
		return nil
	})
}

// snapshotOf is the snapshot of the root device of an image.
func snapshotOf(image *ec2types.Image) string {
	for _, mapping := range image.BlockDeviceMappings {
		if mapping.Ebs != nil && aws.ToString(mapping.DeviceName) == aws.ToString(image.RootDeviceName) {
			return aws.ToString(mapping.Ebs.SnapshotId)
		}
	}
	return ""
}

// volumeSizeOf is the size of the root device in GiB.
func volumeSizeOf(image *ec2types.Image) int64 {
	for _, mapping := range image.BlockDeviceMappings {
		if mapping.Ebs != nil && aws.ToString(mapping.DeviceName) == aws.ToString(image.RootDeviceName) {
			return int64(aws.ToInt32(mapping.Ebs.VolumeSize))
		}
	}
	return 0
}

// deregister takes an image away; instances that run from it go on.
func (r imageRegion) deregister(ctx context.Context, id string) error {
	_, err := r.api.DeregisterImage(ctx, &ec2.DeregisterImageInput{ImageId: &id})
	if code := awsCode(err); code == "InvalidAMIID.NotFound" || code == "InvalidAMIID.Unavailable" {
		return nil
	}
	return needs("ec2:DeregisterImage", err)
}

// deleteSnapshot also waits for its image to let go of it.
func (r imageRegion) deleteSnapshot(ctx context.Context, id string) error {
	inUse := func(err error) bool { return awsCode(err) == "InvalidSnapshot.InUse" }
	err := settling().until(ctx, inUse, func() error {
		_, err := r.api.DeleteSnapshot(ctx, &ec2.DeleteSnapshotInput{SnapshotId: &id})
		return needs("ec2:DeleteSnapshot", err)
	})
	if awsCode(err) == "InvalidSnapshot.NotFound" {
		return nil
	}
	return err
}

// optional is nil for "".
func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
