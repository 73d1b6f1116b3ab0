package server

import (
	"regexp"
	"slices"
	"strings"
)

func didYouMean(key string) string {
	if key == "" {
		return ""
	}
	return "; did you mean " + key + "?"
}

func didYouMeanVariable(key string) string {
	if key == "" {
		return ""
	}
	return didYouMean(envName(key))
}

// suggest returns the known key nearest to an unknown one, "" if none is near.
// Keys are compared without their dots, so that admin.password.file (from
// REGISTRY_ADMIN_PASSWORD_FILE) finds admin.passwordfile.
func (l *configLoader) suggest(unknown string) string {
	const longest = 100
	_, last := cutLast(unknown)
	allowed := max(1, len(last)/3)
	wanted := squeeze(unknown)
	if len(wanted) > longest {
		return ""
	}
	best, found := allowed+1, ""
	for _, key := range l.knownKeys() {
		candidate := squeeze(key)
		distance := allowed + 1
		switch {
		case len(last) >= 3 && strings.HasPrefix(candidate, wanted):
			distance = 1
		case max(len(candidate)-len(wanted), len(wanted)-len(candidate)) <= allowed:
			distance = editDistance(wanted, candidate)
		}
		if distance < best {
			best, found = distance, key
		}
	}
	return found
}

// knownKeys are the keys of all settings and of the sections above them, parents first.
func (l *configLoader) knownKeys() []string {
	var keys []string
	for _, s := range l.settings {
		for key := s.key; key != ""; key, _ = cutLast(key) {
			keys = append(keys, strings.TrimSuffix(key, anyItem))
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// squeeze takes away what divides a key: dots, underscores and indices.
func squeeze(key string) string {
	return keyDividers.ReplaceAllString(strings.ToLower(key), "")
}

var keyDividers = regexp.MustCompile(`\[[0-9]*\]|[.*_-]`)

// editDistance is the number of bytes to insert, remove or replace between two strings.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
