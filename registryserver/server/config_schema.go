package server

import (
	"slices"
	"strings"
)

// setting binds a key of the configuration to what reads and prints it.
//
// Keys are dotted; "[]" after a name stands for the items of a list and "*"
// for any name: notifications.endpoints[].url, http.headers.*[].
type setting struct {
	key   string
	value settingValue
}

// The segments that splitKey returns for "[]" and "*".
const (
	anyItem  = "[]"
	anyField = "*"
)

// splitKey splits the key of a setting into its segments.
func splitKey(key string) []string {
	return strings.Split(strings.ReplaceAll(key, anyItem, "."+anyItem), ".")
}

// envName returns the variable that sets a key, with placeholders for items and names.
func envName(key string) string {
	key = strings.NewReplacer("[]", "_0", "*", "<NAME>", ".", "_").Replace(key)
	return envPrefix + strings.ToUpper(key)
}

// configSchema is the shape of the configuration below one key, made from the
// list of settings: which keys are known, and which values are lists.
type configSchema struct {
	value  settingValue // nil for a section
	fields map[string]*configSchema
	item   *configSchema // of a list
	any    *configSchema // of a mapping with free names
	choice *choice
}

// choice marks a section of which one key is the choice of a kind: a storage
// driver, a way to authenticate. `storage: s3` is short for `storage: {s3: {}}`.
type choice struct {
	what   string
	usable []string // the keys that can be chosen
	known  []string // the keys that distribution lets one choose
	beside []string // keys that stand beside the choice
	// keeps says that choosing what is chosen already keeps its parameters.
	// For storage it must not: distribution forgets them, so that its images
	// are where the default of rootdirectory says.
	keeps bool
}

// choices returns the sections that are choices, by key.
func choices() map[string]*choice {
	return map[string]*choice{
		"storage": {
			what:   "storage driver",
			usable: []string{"filesystem", "s3"},
			known:  []string{"filesystem", "s3", "s3aws", "azure", "gcs", "inmemory", "oss", "swift"},
			beside: []string{"cache", "delete", "maintenance", "redirect", "tag"},
		},
		"auth": {
			what:   "kind of authentication",
			usable: []string{"htpasswd", "token", "none"},
			known:  []string{"htpasswd", "token", "none", "silly"},
			keeps:  true,
		},
	}
}

// chosen returns the keys of a section that are its choice, known or not.
func (c *choice) chosen(section *node) []string {
	return slices.DeleteFunc(slices.Clone(section.keys), func(key string) bool {
		return slices.Contains(c.beside, key)
	})
}

// expandChoices writes the short forms of choices out.
func expandChoices(root *node) {
	for key := range choices() {
		if n := root.at(key); n.kind == textNode {
			name := strings.ToLower(n.text)
			*n = node{src: n.src}
			n.setField(name, &node{src: n.src})
		}
	}
}

func newConfigSchema(settings []setting) *configSchema {
	root := &configSchema{}
	for _, s := range settings {
		at := root
		for _, segment := range splitKey(s.key) {
			at = at.grow(segment)
		}
		at.value = s.value
		if s.value.shape() == listShape && at.item == nil {
			at.item = &configSchema{value: s.value.item()}
		}
	}
	for key, c := range choices() {
		root.fields[key].choice = c
	}
	return root
}

// grow returns the schema below a segment, made if need be.
func (s *configSchema) grow(segment string) *configSchema {
	switch segment {
	case anyItem:
		if s.item == nil {
			s.item = &configSchema{}
		}
		return s.item
	case anyField:
		if s.any == nil {
			s.any = &configSchema{}
		}
		return s.any
	}
	if s.fields == nil {
		s.fields = map[string]*configSchema{}
	}
	if s.fields[segment] == nil {
		s.fields[segment] = &configSchema{}
	}
	return s.fields[segment]
}

// section reports whether a value here is no value by itself but holds others.
func (s *configSchema) section() bool { return s.value == nil }

// free reports whether anything may be written here.
func (s *configSchema) free() bool { return s.value != nil && s.value.shape() == freeShape }

// check compares the shape of a node with the schema: sections and lists of
// sections must be such, and keys should be known. Values are judged in read.
func (l *configLoader) check(n *node, s *configSchema, path string) {
	switch {
	case n.kind == nullNode || s.free():
	case s.item != nil && n.kind == listNode:
		for i, item := range n.items {
			l.check(item, s.item, itemPath(path, i))
		}
	case n.kind == mapNode && (s.fields != nil || s.any != nil):
		for _, key := range n.keys {
			if sub := s.below(key); sub != nil {
				l.check(n.fields[key], sub, fieldPath(path, key))
			} else {
				l.unknownKey(n, s, path, key)
			}
		}
	case s.section() && s.item != nil:
		l.fail(path, n, "is %s; use a list", n.kind)
	case s.section():
		l.fail(path, n, "is %s; use a mapping", n.kind)
	}
}

func (s *configSchema) below(key string) *configSchema {
	if sub := s.fields[key]; sub != nil {
		return sub
	}
	return s.any
}

// unknownKey warns of a key that nobody reads. Where the key could only be a
// choice it is an error: a misspelt auth.htpasswd must not open the registry,
// and a misspelt storage driver must not put images elsewhere.
func (l *configLoader) unknownKey(n *node, s *configSchema, path, key string) {
	at, full := n.fields[key], fieldPath(path, key)
	if c := s.choice; c != nil && (len(c.beside) == 0 || !slices.ContainsFunc(n.keys, func(k string) bool {
		return slices.Contains(c.known, k)
	})) {
		l.fail(full, at, "%s is no %s; use %s", quoteValue(key), c.what, orList(c.usable))
		return
	}
	l.warn(full, at, "the key is unknown and has no effect%s", didYouMean(l.suggest(full)))
}
