package registry

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// settingsFolder has a record for each repository that somebody made or set,
// rather than only pushed to. Keys are as in the index of repositories.
const settingsFolder = storage.KitRoot + "/repository-settings/"

func settingsKey(name string) string { return settingsFolder + keyOfName(name) }

// SettingsSpec is what a repository shall be. The zero value is what one is that
// a push made.
type SettingsSpec struct {
	Description string
	// AnonymousPull lets everybody pull, also without credentials.
	AnonymousPull bool
	// ImmutableTags are patterns of tags that stay what they are once they are
	// pushed, sorted; see immutable.
	ImmutableTags []oci.TagPattern
}

// Settings are what is set of a repository.
type Settings struct {
	SettingsSpec
	Revision  string // changes with every change; "" where nothing was ever set
	CreatedAt time.Time
	UpdatedAt time.Time
}

// settingsRecord is the record, in JSON (docs/storage-format.md).
type settingsRecord struct {
	Version              int      `json:"version"`
	Revision             string   `json:"revision"`
	Description          string   `json:"description,omitempty"`
	AnonymousPull        bool     `json:"anonymous_pull,omitempty"`
	ImmutableTagPatterns []string `json:"immutable_tag_patterns,omitempty"`
	// WithdrawnAt is when AnonymousPull was last taken away.
	WithdrawnAt time.Time `json:"withdrawn_at,omitzero"`
	CreateKey   string    `json:"create_key,omitempty"` // of the request that made it
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
}

const settingsVersion = 1

// storedSettings are settings as the store has them.
type storedSettings struct {
	Settings
	record  settingsRecord
	version storage.Version // storage.Absent: nothing is set
}

func (s storedSettings) set() bool { return s.version != storage.Absent }

// errSettingsDamaged: the record is not what a server writes.
var errSettingsDamaged = errors.New("it is not what a server writes")

// readSettings reads the settings of a repository as they are now. Without a
// record they are the default ones. A record that cannot be understood is an
// error, not a repository without rules.
func (r *Registry) readSettings(ctx context.Context, repo oci.Repository) (storedSettings, error) {
	key := settingsKey(repo.String())
	rec, err := r.records.Get(ctx, key)
	if errors.Is(err, storage.ErrNotFound) {
		return storedSettings{version: storage.Absent}, nil
	}
	if err != nil {
		return storedSettings{}, err
	}
	s := storedSettings{version: rec.Version}
	s.record, s.Settings, err = parseSettings(rec.Value)
	if err != nil {
		return s, &oci.Error{
			Code:    oci.CodeUnknown,
			Message: "the settings of repository " + repo.String() + " in the storage cannot be used; an admin has to set them again, or to update this server",
			Err:     fmt.Errorf("record %s: %w", key, err),
		}
	}
	return s, nil
}

func parseSettings(value []byte) (settingsRecord, Settings, error) {
	var rec settingsRecord
	if json.Unmarshal(value, &rec) != nil || rec.Version == 0 {
		return rec, Settings{}, errSettingsDamaged
	}
	if rec.Version != settingsVersion {
		return rec, Settings{}, fmt.Errorf("it has format %d, and this server knows only %d; was it written by a newer one?", rec.Version, settingsVersion)
	}
	patterns, err := oci.ParseTagPatterns(rec.ImmutableTagPatterns)
	if err != nil || rec.Revision == "" {
		return rec, Settings{}, errSettingsDamaged
	}
	return rec, Settings{
		SettingsSpec: SettingsSpec{Description: rec.Description, AnonymousPull: rec.AnonymousPull, ImmutableTags: patterns},
		Revision:     rec.Revision, CreatedAt: rec.CreatedAt, UpdatedAt: rec.UpdatedAt,
	}, nil
}

// record returns what to store, as a new revision.
func (s SettingsSpec) record(now time.Time) settingsRecord {
	rec := settingsRecord{Version: settingsVersion, Revision: rand.Text(), Description: s.Description, AnonymousPull: s.AnonymousPull, CreatedAt: now, UpdatedAt: now}
	for _, p := range s.ImmutableTags {
		rec.ImmutableTagPatterns = append(rec.ImmutableTagPatterns, p.String())
	}
	return rec
}

// check returns why the spec cannot be stored. INVALID.
func (s SettingsSpec) check() error {
	if len(s.ImmutableTags) > oci.MaxTagPatterns {
		return oci.Errorf(oci.CodeInvalid, "there are %d tag patterns; at most %d are allowed", len(s.ImmutableTags), oci.MaxTagPatterns)
	}
	return oci.CheckDescription(s.Description)
}

// putSettings stores a record in place of that of the version was. Where there was
// none, the repository is entered into the index before that, and once more after
// it, in case that somebody who was deleting it has taken it out.
func (r *Registry) putSettings(ctx context.Context, repo oci.Repository, rec settingsRecord, was storage.Version) (Settings, error) {
	value, err := json.Marshal(rec)
	if err != nil {
		return Settings{}, err
	}
	_, s, err := parseSettings(value)
	if err == nil && was == storage.Absent {
		err = r.enter(ctx, repo, store)
	}
	if err != nil {
		return Settings{}, err
	}
	_, err = r.records.Put(ctx, settingsKey(repo.String()), value, was)
	if errors.Is(err, storage.ErrConflict) {
		// It may be our own write, done by a try whose answer was lost.
		if now, again := r.readSettings(ctx, repo); again == nil && now.Revision == rec.Revision {
			err = nil
		}
	}
	r.public.forget(repo)
	if err == nil && was == storage.Absent {
		err = r.enter(ctx, repo, store)
	}
	return s, err
}
