package server

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// nodeKind is what a node holds.
type nodeKind uint8

const (
	nullNode nodeKind = iota // written without a value, or not written
	textNode
	listNode
	mapNode
)

func (k nodeKind) String() string {
	return [...]string{"empty", "text", "a list", "a mapping"}[k]
}

// node is a value of the configuration as it was written, before anyone knows
// what it means. Scalars stay text: `0x10` is a fine password and a fine number.
type node struct {
	kind   nodeKind
	text   string
	tag    string // the YAML type of a text: !!str, !!int, !!bool, …
	items  []*node
	keys   []string // of fields, in the order of the file
	fields map[string]*node
	src    string // where it was written: "line 4" or the name of a variable
}

func textOf(tag, s string) *node { return &node{kind: textNode, tag: tag, text: s} }

// field returns the value of a key of a mapping, and whether the key is written.
func (n *node) field(key string) (*node, bool) {
	f, ok := n.fields[key]
	return f, ok
}

// setField writes a key of a mapping.
func (n *node) setField(key string, v *node) {
	if n.fields == nil {
		n.fields = map[string]*node{}
	}
	if _, ok := n.fields[key]; !ok {
		n.keys = append(n.keys, key)
	}
	n.fields[key] = v
	n.kind = mapNode
}

// dropField removes a key of a mapping.
func (n *node) dropField(key string) {
	delete(n.fields, key)
	n.keys = slices.DeleteFunc(n.keys, func(k string) bool { return k == key })
}

// lookup returns the value at a dotted key without lists, and whether its key is written.
func (n *node) lookup(key string) (*node, bool) {
	for name := range strings.SplitSeq(key, ".") {
		f, ok := n.field(name)
		if !ok {
			return nil, false
		}
		n = f
	}
	return n, true
}

// at is lookup for those who treat an absent key as an empty one.
func (n *node) at(key string) *node {
	if f, ok := n.lookup(key); ok {
		return f
	}
	return &node{}
}

// put writes a value at a dotted key, with the mappings above it.
func (n *node) put(key string, v *node) {
	parents, last := cutLast(key)
	if parents != "" {
		for name := range strings.SplitSeq(parents, ".") {
			f, ok := n.field(name)
			if !ok || f.kind != mapNode {
				f = &node{kind: mapNode, src: v.src}
				n.setField(name, f)
			}
			n = f
		}
	}
	n.setField(last, v)
}

func cutLast(key string) (parents, last string) {
	i := strings.LastIndexByte(key, '.')
	if i < 0 {
		return "", key
	}
	return key[:i], key[i+1:]
}

// each calls f for every value at a pattern (see splitKey), with its concrete path.
func (n *node) each(pattern []string, path string, f func(path string, n *node)) {
	if len(pattern) == 0 {
		f(path, n)
		return
	}
	switch first, rest := pattern[0], pattern[1:]; first {
	case anyItem:
		for i, item := range n.items {
			item.each(rest, itemPath(path, i), f)
		}
	case anyField:
		for _, key := range n.keys {
			n.fields[key].each(rest, fieldPath(path, key), f)
		}
	default:
		if v, ok := n.field(first); ok {
			v.each(rest, fieldPath(path, first), f)
		}
	}
}

func itemPath(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

func fieldPath(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// problems collects everything that is wrong, so that an operator sees all of
// it at once.
type problems struct {
	warnings []string
	errs     []error
}

// fail adds an error about the value at a path.
func (p *problems) fail(path string, n *node, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("%s: %s", n.where(path), fmt.Sprintf(format, args...)))
}

// warn adds a warning about the value at a path.
func (p *problems) warn(path string, n *node, format string, args ...any) {
	p.warnings = append(p.warnings, fmt.Sprintf("%s: %s", n.where(path), fmt.Sprintf(format, args...)))
}

// where names a value: its path, and the line or variable that wrote it.
func (n *node) where(path string) string {
	if path == "" {
		path = "the configuration"
	}
	if strings.ContainsFunc(path, func(r rune) bool { return !unicode.IsPrint(r) }) || len(path) > 200 {
		path = quoteValue(path)
	}
	if n == nil || n.src == "" {
		return path
	}
	return path + " (" + n.src + ")"
}

// quoteValue makes a value fit for a message: short, printable, and without
// what stands before an @, because people write passwords into URLs.
func quoteValue(s string) string {
	const limit = 100
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		s = secretMask + s[i:]
	}
	if len(s) > limit {
		s = s[:limit] + "…"
	}
	return fmt.Sprintf("%q", s)
}
