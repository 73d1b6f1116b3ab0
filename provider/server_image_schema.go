package provider

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/mapvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/mapdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/setdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

func serverImageSchema() schema.Schema {
	return schema.Schema{
		MarkdownDescription: "A machine image (AMI) made of a raw image of a disk, such as that of the registry server: uploaded block by block with the EBS direct API and registered, without an instance that builds it. " +
			"It boots with UEFI, has the Elastic Network Adapter enabled, lets instances use version 2 of the metadata service only, and has a gp3 root device. It needs credentials of AWS (`aws` in the provider block), and no registry server.\n\n" +
			"Blocks go up several at a time, each with its checksum, and blocks of zeros not at all. The whole is sealed with a checksum over all of them. The log shows the progress (`TF_LOG=INFO`).\n\n" +
			"**An upload that breaks off is gone on with by the next `terraform apply`**, although Terraform shows that as a replacement, which it does with whatever it could not complete: " +
			"the snapshot bears the fingerprint of the image and says in a tag which blocks it has, and the next creation of the same image finds it, also if Terraform was killed. Only the blocks that are missing are put. Where the file has changed meanwhile, the old snapshot is removed and a new one begun. " +
			"AWS removes an unfinished snapshot by itself after a day without a new block.\n\n" +
			"**A changed file makes another image.** To have the new image before the old one goes, so that whatever uses it can change over, set `lifecycle { create_before_destroy = true }` and `name_prefix` in place of `name`: names of images are unique, and the prefix is completed with a hash of file and settings. " +
			"Instances that run from an image go on when it is deregistered.\n\n" +
			"The settings and copies are compared with EC2 in every region. An image that somebody else has deregistered is made again, from its snapshot where that is still there, without another upload. After an import the next apply finds the copies in `copy_to_regions` by name and fingerprint.\n\n" +
			"The credentials need `ebs:StartSnapshot`, `ebs:PutSnapshotBlock`, `ebs:CompleteSnapshot`, `ec2:DescribeImages`, `ec2:DescribeImageAttribute`, `ec2:DescribeSnapshots`, `ec2:RegisterImage`, `ec2:DeregisterImage`, `ec2:DeleteSnapshot`, `ec2:CreateTags` and `ec2:DeleteTags`; " +
			"for `copy_to_regions` also `ec2:CopyImage`; to change the description, and for `launch_account_ids`, `ec2:ModifyImageAttribute`; for `deprecation_time` `ec2:EnableImageDeprecation` and `ec2:DisableImageDeprecation`; " +
			"for a key of KMS `kms:CreateGrant`, `kms:Decrypt`, `kms:DescribeKey`, `kms:GenerateDataKey`, `kms:GenerateDataKeyWithoutPlaintext` and `kms:ReEncrypt*` on the key.",
		Attributes: merge(merge(serverImageInputs(), serverImageSettings()), serverImageOutputs()),
	}
}

// serverImageInputs are those whose change makes another image. ModifyPlan says
// so, since they depend on each other.
func serverImageInputs() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"name": schema.StringAttribute{
			Optional: true, Computed: true,
			MarkdownDescription: "Name of the image, unique in the account and region. Exactly one of `name` and `name_prefix` is needed.",
			Validators:          []validator.String{imageNameRule(3, 128), stringvalidator.ExactlyOneOf(path.MatchRoot("name"), path.MatchRoot("name_prefix"))},
		},
		"name_prefix": schema.StringAttribute{
			Optional:            true,
			MarkdownDescription: fmt.Sprintf("What the name begins with. It is completed with %d hexadecimal digits that follow from the file and all settings that make another image. At most %d characters.", suffixLength, 128-suffixLength),
			Validators:          []validator.String{imageNameRule(1, 128-suffixLength)},
		},
		"source_file": schema.StringAttribute{
			Optional: true,
			MarkdownDescription: "File with the raw image of the disk, with a partition table (GPT) and an EFI system partition. It is read with every plan, to compare its SHA-256, unless `source_sha256` is given. " +
				"Where it does not exist yet because the same run makes it, refer to an output of what makes it, or use `depends_on`; the plan then shows the hash as known after apply. " +
				"Where it does not exist any more, the image stays as it is, with a warning, unless `source_sha256` says more. Another path to the same content changes nothing. It is needed, except for an image that was imported.",
			Validators: []validator.String{stringvalidator.LengthAtLeast(1)},
		},
		"source_sha256": schema.StringAttribute{
			Optional: true, Computed: true,
			MarkdownDescription: "SHA-256 of the file in hexadecimal. Where it is given, the file is neither read nor needed while the image is as it should be, and another file is refused. Defaults to that of the file.",
			Validators:          []validator.String{stringvalidator.RegexMatches(regexp.MustCompile(`^[0-9a-f]{64}$`), "must be 64 hexadecimal digits in lower case")},
		},
		"architecture": schema.StringAttribute{
			Required:            true,
			MarkdownDescription: "Architecture of what is on the disk: `x86_64` or `arm64`. A change makes another image.",
			Validators:          []validator.String{stringvalidator.OneOf("x86_64", "arm64")},
		},
		"region": schema.StringAttribute{
			Optional: true, Computed: true,
			MarkdownDescription: "Region that the image is uploaded to. Defaults to the region of the provider when the image is made. A change makes another image.",
			Validators:          []validator.String{regionRule()},
			PlanModifiers:       []planmodifier.String{stringplanmodifier.UseStateForUnknown()},
		},
		"volume_size": schema.Int64Attribute{
			Optional: true, Computed: true,
			MarkdownDescription: "Size of the root device in GiB, at least that of the file. Defaults to that of the file, rounded up. Instances can have a larger one. A change makes another image.",
			Validators:          []validator.Int64{int64validator.Between(1, largestVolume)},
		},
		"encrypted": schema.BoolAttribute{
			Optional: true, Computed: true,
			Default:             booldefault.StaticBool(false),
			MarkdownDescription: "Whether the snapshots are encrypted with a key of KMS. Defaults to `false`: the image holds no secrets, and every instance can encrypt its own root device. It has to be `true` where the account encrypts every snapshot. A change makes another image.",
		},
		"kms_key_id": schema.StringAttribute{
			Optional:            true,
			MarkdownDescription: "ARN of the key of KMS in `region`. Defaults to the key that EBS uses by default in the account, which images shared with other accounts must not have. A change makes another image.",
			Validators:          []validator.String{ebsKeyRule()},
		},
		"copy_kms_key_ids": schema.MapAttribute{
			Optional: true, ElementType: types.StringType,
			MarkdownDescription: "ARNs of the keys of KMS for copies, by region. Defaults to the default key of each region. A change makes another image.",
			Validators:          []validator.Map{mapvalidator.KeysAre(regionRule()), mapvalidator.ValueStringsAre(ebsKeyRule()), mapvalidator.NoNullValues()},
		},
	}
}

// serverImageSettings are those that change in place.
func serverImageSettings() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"description": schema.StringAttribute{
			Optional: true, Computed: true,
			Default:             stringdefault.StaticString(""),
			MarkdownDescription: "Description of the image, at most 255 characters. Defaults to none.",
			Validators:          []validator.String{stringvalidator.LengthAtMost(255)},
		},
		"copy_to_regions": schema.SetAttribute{
			Optional: true, Computed: true,
			ElementType:         types.StringType,
			Default:             setdefault.StaticValue(types.SetValueMust(types.StringType, nil)),
			MarkdownDescription: "Further regions that get a copy, under the same name. Regions that leave the set lose theirs. Defaults to none.",
			Validators:          []validator.Set{setvalidator.ValueStringsAre(regionRule()), setvalidator.NoNullValues(), setvalidator.SizeAtMost(50)},
		},
		"launch_account_ids": schema.SetAttribute{
			Optional: true, Computed: true,
			ElementType:         types.StringType,
			Default:             setdefault.StaticValue(types.SetValueMust(types.StringType, nil)),
			MarkdownDescription: "Further accounts that may launch instances from the image, in all regions: ids of 12 digits. Defaults to none. Where the image is encrypted, the policy of the key has to allow them, too.",
			Validators:          []validator.Set{setvalidator.ValueStringsAre(stringvalidator.RegexMatches(regexp.MustCompile(`^\d{12}$`), "must be the 12 digits of an account")), setvalidator.NoNullValues()},
		},
		"deprecation_time": schema.StringAttribute{
			Optional:            true,
			MarkdownDescription: "When the image is deprecated in all regions (RFC 3339, whole minutes, such as `2030-01-01T00:00:00Z`): users of other accounts no longer find it, but it can still be launched. Defaults to never.",
			Validators:          []validator.String{deprecationRule()},
		},
		"tags": schema.MapAttribute{
			Optional: true, Computed: true,
			ElementType:         types.StringType,
			Default:             mapdefault.StaticValue(types.MapValueMust(types.StringType, nil)),
			MarkdownDescription: fmt.Sprintf("Tags of the images and snapshots in all regions, at most %d. Defaults to none. The resource adds some of its own, which begin with `%s`.", mostImageTags, ourTags),
			Validators:          append(tagRules(), mapvalidator.SizeAtMost(mostImageTags), mapvalidator.KeysAre(notOurs())),
		},
		"timeouts": timeoutsSchemaFor(imageTimeout, "create", "update", "delete"),
	}
}

// imageTimeout is for how long an operation goes on by default: uploads take
// their time, and so do copies to the other end of the world.
func imageTimeout(operation string) time.Duration {
	switch operation {
	case "create":
		return 2 * time.Hour
	case "update":
		return time.Hour
	}
	return defaultTimeout(operation)
}

func serverImageOutputs() map[string]schema.Attribute {
	out := func(description string) schema.StringAttribute {
		return schema.StringAttribute{Computed: true, MarkdownDescription: description, PlanModifiers: []planmodifier.String{stringplanmodifier.UseStateForUnknown()}}
	}
	return map[string]schema.Attribute{
		"id":          out("Id of the image in `region`, such as `ami-0123456789abcdef0`."),
		"arn":         out("ARN of the image in `region`."),
		"snapshot_id": out("Id of the snapshot of the image in `region`."),
		"image_ids": schema.MapAttribute{
			Computed: true, ElementType: types.StringType,
			MarkdownDescription: "Ids of the image in all regions, by region, that of `region` included.",
		},
		"snapshot_ids": schema.MapAttribute{
			Computed: true, ElementType: types.StringType,
			MarkdownDescription: "Ids of the snapshots in all regions, by region.",
		},
	}
}

var (
	imageNameRE = regexp.MustCompile(`^[A-Za-z0-9 ()\[\]./'@_-]+$`)
	ebsKeyRE    = regexp.MustCompile(`^arn:[a-z0-9-]+:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+$`)
	imageIDRE   = regexp.MustCompile(`^(ami-[0-9a-f]{8,32})(@[a-z0-9-]+)?$`)
)

func imageNameRule(least, most int) stringRule {
	return stringRule{fmt.Sprintf("must be %d to %d characters that names of images may have", least, most), "Invalid name", func(s string) error {
		if len(s) < least || len(s) > most || !imageNameRE.MatchString(s) {
			return fmt.Errorf("%q is not %d to %d letters, digits, spaces and ( ) [ ] . / ' @ _ -", s, least, most)
		}
		return nil
	}}
}

func ebsKeyRule() stringRule {
	return stringRule{"must be the ARN of a key of KMS", "Invalid key", func(s string) error {
		if !ebsKeyRE.MatchString(s) {
			return fmt.Errorf("%q is not the ARN of a key of KMS, such as arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab; EBS takes no aliases here", s)
		}
		return nil
	}}
}

func deprecationRule() stringRule {
	return stringRule{"must be a time in RFC 3339", "Invalid time", func(s string) error {
		at, err := time.Parse(time.RFC3339, s)
		if err != nil || at.Second() != 0 || at.Nanosecond() != 0 {
			return fmt.Errorf("%q is not a time in whole minutes, such as 2030-01-01T00:00:00Z", s)
		}
		return nil
	}}
}

func notOurs() stringRule {
	return stringRule{"must not begin with " + ourTags, "Invalid tag", func(s string) error {
		if isOurTag(s) {
			return fmt.Errorf("%q begins with %s, which the resource keeps for itself", s, ourTags)
		}
		return nil
	}}
}

// parseImageID parses an id for an import: that of the image, and its region
// unless it is that of the provider.
func parseImageID(s string) (id, region string, err error) {
	m := imageIDRE.FindStringSubmatch(s)
	if m == nil {
		return "", "", fmt.Errorf("%q is not the id of an image, such as ami-0123456789abcdef0, or with its region ami-0123456789abcdef0@eu-central-1", s)
	}
	region = strings.TrimPrefix(m[2], "@")
	if region != "" && !regionRE.MatchString(region) {
		return "", "", errors.New("what follows the @ is not the name of a region")
	}
	return m[1], region, nil
}
