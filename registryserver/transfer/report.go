package transfer

import (
	"slices"
	"strings"
	"time"
)

// Report says what a Copy found and did.
type Report struct {
	Source       string             `json:"source"`
	Destination  string             `json:"destination"`
	Started      time.Time          `json:"started_at"`
	Ended        time.Time          `json:"ended_at"`
	Complete     bool               `json:"complete"` // nothing failed, and it was not interrupted
	Tags         int                `json:"tags"`
	Referrers    int                `json:"referrers"`
	Sums         Sums               `json:"sums"`
	Failures     []Failure          `json:"failures"`
	Repositories []RepositoryReport `json:"repositories"`
}

// RepositoryReport is what became of a repository.
type RepositoryReport struct {
	Name   string      `json:"name"`
	Target string      `json:"target"`
	Tags   []TagReport `json:"tags"`
}

// TagReport is what became of a tag.
type TagReport struct {
	Tag    string `json:"tag,omitempty"`
	Digest string `json:"digest,omitempty"`
	Result Result `json:"result"`
}

func (t TagReport) orDigest() string {
	if t.Tag == "" {
		return t.Digest
	}
	return ""
}

// Result is what became of a tag.
type Result string

// The results.
const (
	Copied    Result = "copied"
	Unchanged Result = "unchanged" // it was there
	Kept      Result = "kept"      // another one was there, and was to stay
	Failed    Result = "failed"
)

// Failure is something that was not copied, and why.
type Failure struct {
	Repository string `json:"repository"`
	Tag        string `json:"tag,omitempty"`
	Digest     string `json:"digest,omitempty"`
	Error      string `json:"error"`
}

func (f Failure) what() string {
	switch {
	case f.Tag != "":
		return f.Repository + ":" + f.Tag
	case f.Digest != "":
		return f.Repository + "@" + f.Digest
	}
	return f.Repository
}

// finish sorts the report, and says how it ended.
func (r *Report) finish(sums Sums, interrupted bool) {
	r.Ended, r.Sums = time.Now().UTC(), sums
	r.Complete = !interrupted && len(r.Failures) == 0
	if r.Failures == nil {
		r.Failures = []Failure{}
	}
	slices.SortFunc(r.Failures, func(a, b Failure) int { return strings.Compare(a.what(), b.what()) })
	slices.SortFunc(r.Repositories, func(a, b RepositoryReport) int { return strings.Compare(a.Name, b.Name) })
}
