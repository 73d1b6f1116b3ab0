package provider

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ebs"
	ebstypes "github.com/aws/aws-sdk-go-v2/service/ebs/types"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// imageSpec is what makes an image what it is: a change makes another image.
type imageSpec struct {
	Name          string
	SourceSHA256  string
	Architecture  string
	Region        string
	VolumeSize    int64 // GiB
	Encrypted     bool
	KMSKeyID      string
	CopyKMSKeyIDs map[string]string
}

// fingerprint is the same for the same image only.
func (s imageSpec) fingerprint() string {
	text, _ := json.Marshal(s) // of texts and numbers
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:12])
}

// imageIDs is what an image is known by in one region.
type imageIDs struct{ image, snapshot string }

// publication is the work on an image. In every region there is one image of
// the same name.
type publication struct {
	spec     imageSpec
	settings imageSettings
	copies   []string // regions
	creation string   // of tagCreation
	there    map[string]imageIDs

	ebs *ebs.Client // in the region of the spec
	in  func(region string) imageRegion
}

// takenError: the name belongs to an image that is not ours to go on with.
type takenError struct{ region, id string }

func (e *takenError) Error() string {
	return fmt.Sprintf("the image %s in %s has this name", e.id, e.region)
}

func (p *publication) home() imageRegion { return p.in(p.spec.Region) }

func (p *publication) note(region, image, snapshot string) {
	p.there[region] = imageIDs{image, snapshot}
}

// tags are those that a new object gets.
func (p *publication) tags(unfinished string) map[string]string {
	tags := maps.Clone(p.settings.tags)
	tags[tagSHA256], tags[tagFingerprint], tags[tagCreation] = p.spec.SourceSHA256, p.spec.fingerprint(), p.creation
	if unfinished != "" {
		tags[tagUnfinished] = unfinished
	}
	return tags
}

// ours reports whether an object is a part of exactly this image.
func (p *publication) ours(tags []ec2types.Tag) bool {
	return tagOf(tags, tagFingerprint) == p.spec.fingerprint()
}

// takeOver makes what another creation has left part of this one, so that the
// deletion of the other leaves it alone.
func (p *publication) takeOver(ctx context.Context, r imageRegion, tags []ec2types.Tag, ids ...string) error {
	if p.creation == "" || tagOf(tags, tagCreation) == p.creation {
		return nil
	}
	return r.tag(ctx, map[string]string{tagCreation: p.creation}, ids...)
}

// create makes the image from its file. It goes on with what an earlier
// creation of the same image has left unfinished. started is called once the
// snapshot exists, before anything is put into it.
func (p *publication) create(ctx context.Context, file string, started func()) error {
	home := p.home()
	image, err := home.imageNamed(ctx, p.spec.Name)
	switch {
	case err != nil:
		return err
	case image != nil && (!p.ours(image.Tags) || !isUnfinished(image.Tags)):
		return &takenError{home.name, aws.ToString(image.ImageId)}
	case image == nil:
		if image, err = p.register(ctx, file, started); err != nil {
			return err
		}
	}
	id, snapshot := aws.ToString(image.ImageId), snapshotOf(image)
	if err := p.takeOver(ctx, home, image.Tags, id, snapshot); err != nil {
		return err
	}
	p.note(home.name, id, snapshot)
	if err := p.spread(ctx); err != nil {
		return err
	}
	return home.untag(ctx, []string{tagUnfinished}, id, snapshot)
}

// register makes the image of a snapshot that holds the file.
func (p *publication) register(ctx context.Context, file string, started func()) (*ec2types.Image, error) {
	home := p.home()
	snapshot, err := p.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	id := aws.ToString(snapshot.SnapshotId)
	p.note(home.name, "", id)
	started()
	if aws.ToBool(snapshot.Encrypted) && !p.spec.Encrypted {
		return nil, errors.New("this account encrypts every new snapshot in this region: set encrypted = true, and kms_key_id where it is not the default key")
	}
	if snapshot.State == ec2types.SnapshotStatePending {
		progress, err := parseProgress(tagOf(snapshot.Tags, tagUnfinished))
		if err != nil {
			progress = &blockProgress{} // nobody knows what is there
		}
		if err := p.fill(ctx, id, file, progress); err != nil {
			return nil, err
		}
	}
	if err := home.completed(ctx, id); err != nil {
		return nil, err
	}
	imageID, err := home.register(ctx, p.spec, p.settings.description, id, p.tags("copies"))
	if err != nil { // it may have been made, and the answer lost
		image, lookErr := home.imageNamed(context.WithoutCancel(ctx), p.spec.Name)
		if lookErr != nil || image == nil || !p.ours(image.Tags) || tagOf(image.Tags, tagCreation) != p.creation {
			return nil, err
		}
		imageID = aws.ToString(image.ImageId)
	}
	p.note(home.name, imageID, id)
	return home.available(ctx, imageID)
}

// snapshot finds what there is of the snapshot, or starts it.
func (p *publication) snapshot(ctx context.Context) (*ec2types.Snapshot, error) {
	home := p.home()
	found, err := home.snapshotTagged(ctx, tagFingerprint, p.spec.fingerprint())
	if err != nil {
		return nil, err
	}
	if found != nil {
		return found, p.takeOver(ctx, home, found.Tags, aws.ToString(found.SnapshotId))
	}
	in := &ebs.StartSnapshotInput{
		VolumeSize: &p.spec.VolumeSize, Description: aws.String(p.spec.Name),
		// What is left alone for so many minutes is removed by AWS.
		Timeout: aws.Int32(abandonedAfter),
		Tags:    ebsTags(p.tags((&blockProgress{}).String())),
	}
	if p.spec.Encrypted {
		in.Encrypted, in.KmsKeyArn = aws.Bool(true), optional(p.spec.KMSKeyID)
	}
	out, err := p.ebs.StartSnapshot(ctx, in)
	if err != nil {
		return nil, needs("ebs:StartSnapshot", err)
	}
	return &ec2types.Snapshot{
		SnapshotId: out.SnapshotId, State: ec2types.SnapshotStatePending, Tags: ec2Tags(p.tags((&blockProgress{}).String())),
		Encrypted: aws.Bool(p.spec.Encrypted || out.KmsKeyArn != nil),
	}, nil
}

// abandonedAfter is after how many minutes without a block AWS gives up a
// snapshot: the time in which an upload can be gone on with.
const abandonedAfter = 24 * 60

func ebsTags(tags map[string]string) []ebstypes.Tag {
	var list []ebstypes.Tag
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, ebstypes.Tag{Key: aws.String(key), Value: aws.String(tags[key])})
	}
	return list
}

// fill puts the file into the snapshot, and seals it.
func (p *publication) fill(ctx context.Context, snapshot, path string, progress *blockProgress) error {
	home := p.home()
	record := func(ctx context.Context, progress string) error {
		return home.tag(ctx, map[string]string{tagUnfinished: progress}, snapshot)
	}
	forget := func() { // nothing that was put can be relied on
		_ = record(context.WithoutCancel(ctx), (&blockProgress{}).String())
	}
	file, size, err := openDisk(path)
	if err != nil {
		return err
	}
	defer file.Close()
	upload := &blockUpload{api: p.ebs, snapshot: snapshot, progress: progress, record: record}
	disk, err := upload.run(ctx, readerOf(ctx, file), size)
	switch {
	case err != nil:
		return err
	case disk.sha256 != p.spec.SourceSHA256:
		forget()
		return fmt.Errorf("%s is not what it was, or is said to be: its SHA-256 is %s, not %s; plan again, or correct source_sha256", path, disk.sha256, p.spec.SourceSHA256)
	case disk.blocks == 0:
		return fmt.Errorf("%s holds nothing but zeros", path)
	}
	err = p.seal(ctx, snapshot, disk)
	if awsStatus(err) == http.StatusBadRequest && !throttled(err) {
		forget()
	}
	return err
}

// seal says that all blocks are there. It cannot be said twice, so a refusal
// after a lost answer may mean that it was heard; whether it was, shows in the
// state of the snapshot.
func (p *publication) seal(ctx context.Context, snapshot string, disk sealedDisk) error {
	once := func(o *ebs.Options) { o.Retryer = aws.NopRetryer{} }
	maybe := false
	again := func(err error) bool { return lost(err) || throttled(err) }
	return settling().until(ctx, again, func() error {
		_, err := p.ebs.CompleteSnapshot(ctx, &ebs.CompleteSnapshotInput{
			SnapshotId: &snapshot, ChangedBlocksCount: &disk.blocks, Checksum: &disk.checksum,
			ChecksumAlgorithm: ebstypes.ChecksumAlgorithmChecksumAlgorithmSha256, ChecksumAggregationMethod: ebstypes.ChecksumAggregationMethodChecksumAggregationLinear,
		}, once)
		if maybe && err != nil && !again(err) {
			return nil
		}
		maybe = maybe || lost(err)
		return needs("ebs:CompleteSnapshot", err)
	})
}
