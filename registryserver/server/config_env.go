package server

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// envPrefix begins the name of every variable that sets a key.
const envPrefix = "REGISTRY_"

// otherVariables begin like ours and belong to others: the Terraform provider
// of this repository, and FindConfig.
var otherVariables = [...]string{
	"REGISTRY_CONFIGURATION_PATH",
	"REGISTRY_ENDPOINT", "REGISTRY_USERNAME", "REGISTRY_PASSWORD", "REGISTRY_TOKEN",
	"REGISTRY_CA_CERTIFICATE", "REGISTRY_INSECURE",
}

// serviceVariable matches what Kubernetes sets in every pod of a namespace that has a Service named registry.
var serviceVariable = regexp.MustCompile(`^REGISTRY_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_.*)?)$`)

// envAliases are the names that distribution knows only from variables, where
// it looks at Go field names: by section, the segment and the key it means.
// A "" stands for the section itself.
var envAliases = map[string]map[string]string{
	"health":                {"filecheckers": "file", "httpcheckers": "http", "tcpcheckers": "tcp"},
	"log.hooks[]":           {"mailoptions": "options"},
	"notifications":         {"eventconfig": "events"},
	"compatibility.schema1": {"trustkey": "signingkeyfile"},
	"redis":                 {"options": ""}, // 3.0
}

// variable is a REGISTRY_* variable that sets a key.
type variable struct {
	name  string
	path  []string
	value string
}

// registryVariables returns the variables that set keys, parents before their
// children and items of lists in order, so that each finds what it changes.
func registryVariables(environ []string) []variable {
	var vars []variable
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		rest, ours := strings.CutPrefix(name, envPrefix)
		if !ours || foreignVariable(name, value) {
			continue
		}
		vars = append(vars, variable{name, strings.Split(strings.ToLower(rest), "_"), value})
	}
	slices.SortStableFunc(vars, func(a, b variable) int {
		return slices.CompareFunc(a.path, b.path, compareSegments)
	})
	return vars
}

func foreignVariable(name, value string) bool {
	return slices.Contains(otherVariables[:], name) || serviceVariable.MatchString(name) ||
		name == "REGISTRY_PORT" && strings.Contains(value, "://")
}

func compareSegments(a, b string) int {
	i, errA := strconv.Atoi(a)
	j, errB := strconv.Atoi(b)
	if errA == nil && errB == nil {
		return i - j
	}
	return strings.Compare(a, b)
}

// overlay applies the variables to the tree.
func (l *configLoader) overlay(environ []string) {
	for _, v := range registryVariables(environ) {
		steps, ok := l.resolve(v.path)
		if !ok {
			l.warnings = append(l.warnings, v.name+": the variable is unknown and has no effect"+didYouMeanVariable(l.suggest(strings.Join(v.path, "."))))
			continue
		}
		l.apply(v, steps)
	}
}

// step is one segment of a variable's name and the schema below it.
type step struct {
	name   string
	schema *configSchema
}

// resolve finds the schema along the path of a variable, without a look at the
// tree, so that an unknown variable leaves no trace there.
func (l *configLoader) resolve(path []string) ([]step, bool) {
	if len(path) > maxConfigDepth || !utf8.ValidString(strings.Join(path, "")) {
		return nil, false
	}
	var steps []step
	at, key := l.schema, ""
	for _, name := range path {
		if alias, ok := envAliases[key][name]; ok {
			if name = alias; name == "" {
				continue
			}
		}
		switch {
		case at.free():
		case at.item != nil:
			at, key = at.item, key+anyItem
		case at.fields[name] != nil:
			at, key = at.fields[name], fieldPath(key, name)
		case at.any != nil:
			at, key = at.any, fieldPath(key, anyField)
		case at.choice != nil && name != "":
			at = &configSchema{value: asFree()} // judged by unknownKey, with the keys of the file
		default:
			return nil, false
		}
		steps = append(steps, step{name, at})
	}
	return steps, true
}

// apply walks to the node that a variable names, makes what is missing on the
// way, and replaces the node by the value.
func (l *configLoader) apply(v variable, steps []step) {
	n, path, above := l.root, "", l.schema
	for _, s := range steps {
		next, nextPath, problem := n.descend(s.name, path, above, v.name)
		if problem != "" {
			l.fail(path, &node{src: v.name}, "%s", problem)
			return
		}
		n, path, above = next, nextPath, s.schema
	}
	value, err := v.parse(path, above)
	switch {
	case err != nil:
		l.errs = append(l.errs, err)
	case above.choice != nil && value.kind != mapNode:
		l.choose(n, path, above.choice, value)
	default:
		*n = *value
	}
}

// descend returns the node below n that a segment names, and its path.
func (n *node) descend(name, path string, s *configSchema, src string) (next *node, at, problem string) {
	isList := s.item != nil || s.free() && n.kind == listNode
	if n.kind == nullNode {
		n.kind = mapNode
		if isList {
			n.kind = listNode
		}
		if n.src == "" {
			n.src = src
		}
	}
	if isList {
		return n.descendList(name, path, src)
	}
	if n.kind != mapNode {
		return nil, "", n.notBelow()
	}
	if s.any != nil || s.free() {
		for _, key := range n.keys {
			if strings.EqualFold(key, name) {
				name = key
			}
		}
	}
	next, ok := n.field(name)
	if !ok {
		next = &node{src: src}
		n.setField(name, next)
	}
	return next, fieldPath(path, name), ""
}

// descendList returns an item of a list, or appends one.
func (n *node) descendList(name, path, src string) (next *node, at, problem string) {
	i, err := strconv.Atoi(name)
	switch {
	case n.kind != listNode:
		return nil, "", n.notBelow()
	case err != nil || i < 0:
		return nil, "", "is a list; give the index of an item, or the whole list as [a, b]"
	case i > len(n.items):
		return nil, "", fmt.Sprintf("is a list whose next index is %d", len(n.items))
	case i == len(n.items):
		n.items = append(n.items, &node{src: src})
	}
	return n.items[i], itemPath(path, i), ""
}

func (n *node) notBelow() string {
	return fmt.Sprintf("is %s, from %s; nothing can be set below it", n.kind, n.src)
}

// choose replaces the choice of a section and keeps what stands beside it.
func (l *configLoader) choose(n *node, path string, c *choice, value *node) {
	if value.kind != textNode {
		if len(n.keys) > 0 {
			l.fail(path, value, "is %s and would undo %s; name a %s or unset the variable", value.kind, n.where(path), c.what)
		}
		return
	}
	name := strings.ToLower(value.text)
	for _, key := range c.chosen(n) {
		old := n.fields[key]
		if key == name && c.keeps {
			continue
		}
		if key == name && len(old.keys) > 0 {
			l.warn(path, value, "starts %s anew, as in distribution: %s no longer counts", name, old.where(fieldPath(path, key)))
		}
		n.dropField(key)
	}
	if _, ok := n.field(name); !ok {
		n.setField(name, &node{src: value.src})
	}
}

// parse reads the value of a variable as YAML. A key that holds text takes
// what is no YAML scalar literally ([::]:5000), and a secret takes everything
// literally that is not in quotes: `a #b` is a password, not a comment.
func (v variable) parse(path string, s *configSchema) (*node, error) {
	shape := freeShape
	if s.value != nil {
		shape = s.value.shape()
	}
	if shape != textShape && shape != secretShape {
		return parseYAML([]byte(v.value), path, v.name)
	}
	literal := textOf("!!str", strings.TrimSpace(v.value))
	literal.src = v.name
	if literal.text == "" {
		return &node{src: v.name}, nil
	}
	if shape == secretShape {
		if doc, err := decodeYAML([]byte(v.value)); err == nil && doc != nil && onlyQuoted(doc) {
			literal.text = doc.Value
		}
		return literal, nil
	}
	if !utf8.ValidString(v.value) {
		return nil, fmt.Errorf("%s: is not UTF-8; use UTF-8 text", literal.where(path))
	}
	if n, err := parseYAML([]byte(v.value), path, v.name); err == nil && n.kind != listNode && n.kind != mapNode {
		return n, nil
	}
	return literal, nil
}

// onlyQuoted reports whether a YAML document is one text in quotes and nothing else.
func onlyQuoted(y *yaml.Node) bool {
	quoted := y.Style == yaml.DoubleQuotedStyle || y.Style == yaml.SingleQuotedStyle
	return quoted && y.Anchor == "" && y.HeadComment+y.LineComment+y.FootComment == ""
}
