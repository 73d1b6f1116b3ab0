package registry

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// manifestRefs is what a manifest leads to. Content never changes, so what one run
// has read is good for all later ones.
type manifestRefs struct {
	blobs    []oci.Digest // config and layers
	foreign  []oci.Digest // layers that need not be here, but may be
	children []oci.Digest // other manifests
	subject  oci.Digest
}

var digestRE = regexp.MustCompile(`sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}`)

// refsOf returns what a manifest leads to. Of one that no server of ours accepts,
// such as Docker's schema 1, that is every digest in it.
func refsOf(content []byte) manifestRefs {
	var refs manifestRefs
	m, err := oci.ParseManifest("", content)
	if err != nil {
		for _, found := range digestRE.FindAll(content, -1) {
			if d, err := oci.ParseDigest(string(found)); err == nil {
				refs.foreign = append(refs.foreign, d)
			}
		}
		refs.foreign = sortedDigests(refs.foreign)
		refs.children = refs.foreign
		return refs
	}
	for _, b := range m.Blobs() {
		if b.NonDistributable() {
			refs.foreign = append(refs.foreign, b.Digest)
		} else {
			refs.blobs = append(refs.blobs, b.Digest)
		}
	}
	for _, child := range m.Manifests {
		refs.children = append(refs.children, child.Digest)
	}
	refs.blobs, refs.foreign, refs.children = sortedDigests(refs.blobs), sortedDigests(refs.foreign), sortedDigests(refs.children)
	if m.Subject != nil {
		refs.subject = m.Subject.Digest
	}
	return refs
}

// layers are the configs and layers that the manifest makes use of, if they are
// here.
func (m manifestRefs) layers() iter.Seq[oci.Digest] {
	return func(yield func(oci.Digest) bool) {
		for _, all := range [][]oci.Digest{m.blobs, m.foreign} {
			for _, d := range all {
				if !yield(d) {
					return
				}
			}
		}
	}
}

func sortedDigests(all []oci.Digest) []oci.Digest {
	slices.SortFunc(all, compareDigests)
	return slices.Compact(all)
}

// marks are the manifests that were read, by canonical digest.
type marks struct {
	mu      sync.Mutex
	refs    map[oci.Digest]manifestRefs
	used    map[oci.Digest]struct{} // by this run
	changed bool
	stored  int // records
}

func (m *marks) get(d oci.Digest) (manifestRefs, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	refs, ok := m.refs[d]
	if ok {
		m.used[d] = struct{}{}
	}
	return refs, ok
}

func (m *marks) add(d oci.Digest, refs manifestRefs) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refs[d], m.used[d], m.changed = refs, struct{}{}, true
}

// What runs remember is lines of text in few records.
const (
	marksFolder      = gcFolder + "marks/"
	candidatesFolder = gcFolder + "candidates/"
	linesPerRecord   = 4 << 20 // bytes
	mostLineRecords  = 32
)

// readLines returns the lines of the records of a folder. Damaged ones are as good
// as absent: what they hold is found again.
func (r *Registry) readLines(ctx context.Context, folder string) (lines []string, records int, err error) {
	for key, err := range r.records.List(ctx, folder, "") {
		if err != nil {
			return nil, 0, err
		}
		rec, err := r.records.Get(ctx, key)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		records++
		if found, ok := checkedLines(string(rec.Value)); ok {
			lines = append(lines, found...)
		}
	}
	return lines, records, nil
}

// checkedLines returns the lines of a record whose first one is the digest of the
// others.
func checkedLines(text string) ([]string, bool) {
	sum, rest, ok := strings.Cut(text, "\n")
	if !ok || sum != oci.FromBytes([]byte(rest)).String() {
		return nil, false
	}
	return strings.Split(strings.TrimSuffix(rest, "\n"), "\n"), true
}

// writeLines replaces the records of a folder, of which there are so many. What
// does not fit is left out.
func (r *Registry) writeLines(ctx context.Context, folder string, lines []string, before int) error {
	n := 0
	for n < mostLineRecords && len(lines) > 0 {
		var text strings.Builder
		for len(lines) > 0 && (text.Len() == 0 || text.Len()+len(lines[0]) < linesPerRecord) {
			text.WriteString(lines[0] + "\n")
			lines = lines[1:]
		}
		value := oci.FromBytes([]byte(text.String())).String() + "\n" + text.String()
		if _, err := r.records.Put(ctx, fmt.Sprintf("%s%02d", folder, n), []byte(value), storage.Any); err != nil {
			return err
		}
		n++
	}
	for ; n < before; n++ {
		if err := r.records.Delete(ctx, fmt.Sprintf("%s%02d", folder, n), storage.Any); err != nil {
			return err
		}
	}
	return nil
}

func (r *Registry) readMarks(ctx context.Context) (*marks, error) {
	m := &marks{refs: map[oci.Digest]manifestRefs{}, used: map[oci.Digest]struct{}{}}
	lines, records, err := r.readLines(ctx, marksFolder)
	m.stored = records
	for _, line := range lines {
		if d, refs, ok := parseMark(line); ok {
			m.refs[d] = refs
		}
	}
	return m, err
}

// writeMarks keeps what this run made use of.
func (r *Registry) writeMarks(ctx context.Context, m *marks) error {
	if !m.changed && len(m.used) == len(m.refs) {
		return nil
	}
	var lines []string
	for _, d := range slices.SortedFunc(maps.Keys(m.used), compareDigests) {
		lines = append(lines, formatMark(d, m.refs[d]))
	}
	return r.writeLines(ctx, marksFolder, lines, m.stored)
}

// formatMark writes a manifest and what it leads to as words: its digest, then a
// letter and a digest for each.
func formatMark(d oci.Digest, refs manifestRefs) string {
	var b strings.Builder
	b.WriteString(d.String())
	for _, blob := range refs.blobs {
		b.WriteString(" b" + blob.String())
	}
	for _, layer := range refs.foreign {
		b.WriteString(" f" + layer.String())
	}
	for _, child := range refs.children {
		b.WriteString(" m" + child.String())
	}
	if !refs.subject.IsZero() {
		b.WriteString(" s" + refs.subject.String())
	}
	return b.String()
}

// parseMark reads what formatMark has written, and nothing else.
func parseMark(line string) (d oci.Digest, refs manifestRefs, ok bool) {
	for i, word := range strings.Split(line, " ") {
		if i == 0 {
			var err error
			if d, err = oci.ParseDigest(word); err != nil {
				return d, refs, false
			}
			continue
		}
		if word == "" {
			return d, refs, false
		}
		to, err := oci.ParseDigest(word[1:])
		if err != nil {
			return d, refs, false
		}
		switch word[0] {
		case 'b':
			refs.blobs = append(refs.blobs, to)
		case 'f':
			refs.foreign = append(refs.foreign, to)
		case 'm':
			refs.children = append(refs.children, to)
		case 's':
			refs.subject = to
		default:
			return d, refs, false
		}
	}
	return d, refs, formatMark(d, refs) == line
}

// candidates are what a run has found to be garbage, by the names of items, and
// when it was written.
type candidates map[string]time.Time

func (r *Registry) readCandidates(ctx context.Context) (found candidates, stored int, err error) {
	found = candidates{}
	lines, stored, err := r.readLines(ctx, candidatesFolder)
	for _, line := range lines {
		if name, t, ok := parseCandidate(line); ok {
			found[name] = t
		}
	}
	return found, stored, err
}

func parseCandidate(line string) (name string, t time.Time, ok bool) {
	seconds, name, ok := strings.Cut(line, " ")
	n, err := strconv.ParseInt(seconds, 10, 64)
	return name, time.Unix(n, 0).UTC(), ok && err == nil && name != ""
}

func (r *Registry) writeCandidates(ctx context.Context, found candidates, before int) error {
	lines := make([]string, 0, len(found))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		lines = append(lines, strconv.FormatInt(found[name].Unix(), 10)+" "+name)
	}
	return r.writeLines(ctx, candidatesFolder, lines, before)
}
