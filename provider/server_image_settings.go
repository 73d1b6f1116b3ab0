package provider

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// imageSettings is what can be changed about an image, in every region.
type imageSettings struct {
	description     string
	tags            map[string]string
	deprecationTime string   // RFC 3339, "" for none
	accounts        []string // sorted
}

// Tags that the resource itself needs, on images and their snapshots.
const (
	ourTags = "registrykit:"
	// tagSHA256 is that of the file, in hexadecimal.
	tagSHA256 = ourTags + "source-sha256"
	// tagFingerprint is that of the imageSpec.
	tagFingerprint = ourTags + "fingerprint"
	// tagCreation says which creation an object belongs to: the one that made
	// it, or the one that has taken it over.
	tagCreation = ourTags + "creation"
	// tagUnfinished is there until the creation is complete. On a snapshot it
	// holds the progress of the upload.
	tagUnfinished = ourTags + "unfinished"
)

// mostImageTags leaves room for ours, of the 50 that AWS allows.
const mostImageTags = 45

func isOurTag(key string) bool { return strings.HasPrefix(key, ourTags) }

func ec2Tags(tags map[string]string) []ec2types.Tag {
	var list []ec2types.Tag
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, ec2types.Tag{Key: aws.String(key), Value: aws.String(tags[key])})
	}
	return list
}

func tagOf(tags []ec2types.Tag, key string) string {
	for _, tag := range tags {
		if aws.ToString(tag.Key) == key {
			return aws.ToString(tag.Value)
		}
	}
	return ""
}

func isUnfinished(tags []ec2types.Tag) bool {
	return slices.ContainsFunc(tags, func(tag ec2types.Tag) bool { return aws.ToString(tag.Key) == tagUnfinished })
}

// userTags are the tags without those of AWS and ours.
func userTags(tags []ec2types.Tag) map[string]string {
	found := map[string]string{}
	for _, tag := range tags {
		if key := aws.ToString(tag.Key); !isAWSTag(key) && !isOurTag(key) {
			found[key] = aws.ToString(tag.Value)
		}
	}
	return found
}

// tag sets some tags.
func (r imageRegion) tag(ctx context.Context, tags map[string]string, ids ...string) error {
	_, err := r.api.CreateTags(ctx, &ec2.CreateTagsInput{Resources: ids, Tags: ec2Tags(tags)})
	return needs("ec2:CreateTags", err)
}

func (r imageRegion) untag(ctx context.Context, keys []string, ids ...string) error {
	in := &ec2.DeleteTagsInput{Resources: ids}
	for _, key := range keys {
		in.Tags = append(in.Tags, ec2types.Tag{Key: aws.String(key)})
	}
	_, err := r.api.DeleteTags(ctx, in)
	return needs("ec2:DeleteTags", err)
}

// setTags makes the tags of one object, without ours, those that are wanted.
func (r imageRegion) setTags(ctx context.Context, id string, have, want map[string]string) error {
	add, remove := map[string]string{}, []string{}
	for key, value := range want {
		if had, ok := have[key]; !ok || had != value {
			add[key] = value
		}
	}
	for key := range have {
		if _, ok := want[key]; !ok {
			remove = append(remove, key)
		}
	}
	if len(remove) > 0 {
		if err := r.untag(ctx, remove, id); err != nil {
			return err
		}
	}
	if len(add) > 0 {
		return r.tag(ctx, add, id)
	}
	return nil
}

// settings reads what can be changed about an image.
func (r imageRegion) settings(ctx context.Context, image *ec2types.Image) (imageSettings, error) {
	s := imageSettings{description: aws.ToString(image.Description), tags: userTags(image.Tags)}
	if at, err := time.Parse(time.RFC3339, aws.ToString(image.DeprecationTime)); err == nil {
		s.deprecationTime = at.UTC().Format(time.RFC3339)
	}
	out, err := r.api.DescribeImageAttribute(ctx, &ec2.DescribeImageAttributeInput{ImageId: image.ImageId, Attribute: ec2types.ImageAttributeNameLaunchPermission})
	if err != nil {
		return s, needs("ec2:DescribeImageAttribute", err)
	}
	for _, permission := range out.LaunchPermissions {
		if permission.UserId != nil {
			s.accounts = append(s.accounts, *permission.UserId)
		}
	}
	slices.Sort(s.accounts)
	return s, nil
}

// configure gives an image and its snapshot the settings that they lack.
func (r imageRegion) configure(ctx context.Context, image *ec2types.Image, want imageSettings) error {
	have, err := r.settings(ctx, image)
	if err != nil {
		return err
	}
	id := aws.ToString(image.ImageId)
	if err := r.setTags(ctx, id, have.tags, want.tags); err != nil {
		return err
	}
	if s, err := r.snapshot(ctx, snapshotOf(image)); err != nil {
		return err
	} else if s != nil {
		if err := r.setTags(ctx, aws.ToString(s.SnapshotId), userTags(s.Tags), want.tags); err != nil {
			return err
		}
	}
	if have.description != want.description {
		_, err := r.api.ModifyImageAttribute(ctx, &ec2.ModifyImageAttributeInput{ImageId: &id, Description: &ec2types.AttributeValue{Value: &want.description}})
		if err != nil {
			return needs("ec2:ModifyImageAttribute", err)
		}
	}
	if err := r.share(ctx, id, have.accounts, want.accounts); err != nil {
		return err
	}
	return r.deprecate(ctx, id, have.deprecationTime, want.deprecationTime)
}

// share lets accounts launch instances of an image, and only these.
func (r imageRegion) share(ctx context.Context, id string, have, want []string) error {
	change := &ec2types.LaunchPermissionModifications{}
	for _, account := range want {
		if !slices.Contains(have, account) {
			change.Add = append(change.Add, ec2types.LaunchPermission{UserId: aws.String(account)})
		}
	}
	for _, account := range have {
		if !slices.Contains(want, account) {
			change.Remove = append(change.Remove, ec2types.LaunchPermission{UserId: aws.String(account)})
		}
	}
	if len(change.Add)+len(change.Remove) == 0 {
		return nil
	}
	_, err := r.api.ModifyImageAttribute(ctx, &ec2.ModifyImageAttributeInput{ImageId: &id, LaunchPermission: change})
	return needs("ec2:ModifyImageAttribute", err)
}

func (r imageRegion) deprecate(ctx context.Context, id, have, want string) error {
	if have == want {
		return nil
	}
	if want == "" {
		_, err := r.api.DisableImageDeprecation(ctx, &ec2.DisableImageDeprecationInput{ImageId: &id})
		return needs("ec2:DisableImageDeprecation", err)
	}
	at, err := time.Parse(time.RFC3339, want)
	if err != nil {
		return err
	}
	_, err = r.api.EnableImageDeprecation(ctx, &ec2.EnableImageDeprecationInput{ImageId: &id, DeprecateAt: &at})
	return needs("ec2:EnableImageDeprecation", err)
}
