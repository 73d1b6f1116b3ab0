package provider

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// refresh reads everything, and reports false where the image is gone.
func (m *serverImageModel) refresh(ctx context.Context, p *publication, imported bool, diags *diag.Diagnostics) (bool, error) {
	home := p.home()
	var image *ec2types.Image
	var err error
	if !m.ID.IsNull() { // else its creation broke off
		if image, err = home.image(ctx, m.ID.ValueString()); err != nil {
			return false, err
		}
	}
	if image == nil {
		return m.remains(ctx, p, diags)
	}
	if imported && !m.adopt(ctx, p, image, diags) {
		return true, nil
	}
	p.note(home.name, m.ID.ValueString(), snapshotOf(image))
	m.Architecture, m.Name, m.VolumeSize = types.StringValue(string(image.Architecture)), types.StringPointerValue(image.Name), types.Int64Value(volumeSizeOf(image))
	settings, err := home.settings(ctx, image)
	if err != nil {
		return true, err
	}
	all := []imageSettings{settings}
	s, err := home.snapshot(ctx, snapshotOf(image))
	if err != nil {
		return true, err
	}
	if s != nil {
		m.Encrypted = types.BoolValue(aws.ToBool(s.Encrypted))
		settings.tags = userTags(s.Tags)
		all = append(all, settings)
	}
	var copies []string
	for _, region := range slices.Sorted(maps.Keys(p.there)) {
		if region == home.name {
			continue
		}
		image, err := p.in(region).image(ctx, p.there[region].image)
		if err == nil && image != nil && broken(image) {
			image = nil // the next update copies it once more
		}
		if err == nil && image != nil {
			settings, err = p.in(region).settings(ctx, image)
			all, copies = append(all, settings), append(copies, region)
			p.note(region, aws.ToString(image.ImageId), snapshotOf(image))
		}
		if err != nil {
			return true, inRegion(region, err)
		}
		if image == nil {
			if err := p.forget(ctx, p.in(region)); err != nil {
				return true, inRegion(region, err)
			}
		}
	}
	v := values{ctx: ctx, diags: diags}
	m.CopyToRegions = v.setOf(copies, false)
	m.observe(ctx, p.settings.differing(all), diags)
	m.identify(ctx, p, diags)
	return true, nil
}

// remains is for an image that is gone: while its snapshot is there it stays in
// the state, so that this goes, too. ModifyPlan then plans another image.
func (m *serverImageModel) remains(ctx context.Context, p *publication, diags *diag.Diagnostics) (bool, error) {
	v := values{ctx: ctx, diags: diags}
	s, err := p.home().snapshot(ctx, m.SnapshotID.ValueString())
	if err != nil || s == nil {
		return false, err
	}
	images := v.texts(m.ImageIDs)
	delete(images, p.spec.Region)
	m.ImageIDs = v.mapOf(images)
	return true, nil
}

// adopt fills in what only the tags of an imported image tell.
func (m *serverImageModel) adopt(ctx context.Context, p *publication, image *ec2types.Image, diags *diag.Diagnostics) bool {
	sum := tagOf(image.Tags, tagSHA256)
	if sum == "" {
		diags.AddError("Not an image of this resource", fmt.Sprintf("The image %s has no tag %s: a registry_server_image did not publish it. Use its id where it is needed.", aws.ToString(image.ImageId), tagSHA256))
		return false
	}
	m.SourceSHA256, p.creation = types.StringValue(sum), tagOf(image.Tags, tagCreation)
	s, err := p.home().snapshot(ctx, snapshotOf(image))
	if err == nil && s != nil && aws.ToBool(s.Encrypted) {
		m.KMSKeyID = types.StringPointerValue(s.KmsKeyId)
	}
	return true
}
