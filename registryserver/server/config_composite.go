package server

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// known is a key that is read elsewhere, or only checked for its name.
type known struct{ as valueShape }

func (known) set(*problems, string, *node) {}
func (known) node() *node                  { return nil }
func (k known) shape() valueShape          { return k.as }
func (known) item() settingValue           { return nil }

// asFree is a section of which nothing is known.
func asFree() known { return known{freeShape} }

// formerName is a deprecated name of a key. It stands before the key that
// replaced it, which wins if both are written, as in distribution.
type formerName struct{ settingValue }

func (formerName) node() *node { return nil }

// presence is a section that counts by being there.
type presence struct {
	known
	to *bool
}

func asPresence(to *bool) presence { return presence{known{freeShape}, to} }

func (p presence) node() *node {
	if !*p.to {
		return nil
	}
	return &node{kind: mapNode}
}

// fieldsValue is a mapping of anything, for the fields of log lines.
type fieldsValue struct {
	known
	to *map[string]any
}

func asFields(to *map[string]any) fieldsValue { return fieldsValue{known{freeShape}, to} }

func (f fieldsValue) set(p *problems, path string, n *node) {
	if n.kind != mapNode {
		p.fail(path, n, "is %s; use a mapping of names to values", n.kind)
		return
	}
	if len(n.keys) > 0 {
		*f.to, _ = n.any().(map[string]any)
	}
}

func (f fieldsValue) node() *node {
	if len(*f.to) == 0 {
		return nil
	}
	return nodeOf(*f.to)
}

// any returns the node as the plain Go values that YAML has for it.
func (n *node) any() any {
	switch n.kind {
	case textNode:
		return scalarOf(n.tag, n.text)
	case listNode:
		items := make([]any, len(n.items))
		for i, item := range n.items {
			items[i] = item.any()
		}
		return items
	case mapNode:
		fields := make(map[string]any, len(n.keys))
		for _, key := range n.keys {
			fields[key] = n.fields[key].any()
		}
		return fields
	default:
		return nil
	}
}

// scalarOf converts text by its YAML type; what does not convert stays text.
func scalarOf(tag, s string) any {
	switch tag {
	case "!!bool":
		if v, ok := parseBool(s); ok {
			return v
		}
	case "!!int":
		if v, err := strconv.ParseInt(s, 0, 64); err == nil {
			return v
		}
	case "!!float":
		if v, err := strconv.ParseFloat(s, 64); err == nil && !math.IsNaN(v) && !math.IsInf(v, 0) {
			return v
		}
	}
	return s
}

// nodeOf is the reverse of any.
func nodeOf(v any) *node {
	switch v := v.(type) {
	case bool:
		return textOf("!!bool", strconv.FormatBool(v))
	case int64:
		return textOf("!!int", strconv.FormatInt(v, 10))
	case float64:
		return textOf("!!float", strconv.FormatFloat(v, 'e', -1, 64))
	case string:
		return textOf("!!str", v)
	case []any:
		n := &node{kind: listNode}
		for _, item := range v {
			n.items = append(n.items, nodeOf(item))
		}
		return n
	case map[string]any:
		n := &node{kind: mapNode}
		for _, key := range sortedKeys(v) {
			n.setField(key, nodeOf(v[key]))
		}
		return n
	default:
		return &node{}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// headersValue is a mapping of header names to lists of values.
type headersValue struct {
	known
	to *http.Header
}

func asHeaders(to *http.Header) headersValue { return headersValue{known{mapShape}, to} }

func (h headersValue) set(p *problems, path string, n *node) {
	if n.kind != mapNode {
		p.fail(path, n, "is %s; use a mapping of names to lists of values", n.kind)
		return
	}
	headers := http.Header{}
	for _, key := range n.keys {
		at, field := fieldPath(path, key), n.fields[key]
		if !headerName(key) {
			p.fail(at, field, "is not the name of a header; use letters, digits and -")
		}
		if field.kind == listNode { // null is unset, and check has reported everything else
			var values []string
			asList(&values, headerLine()).set(p, at, field)
			headers[http.CanonicalHeaderKey(key)] = values
		}
	}
	if len(headers) > 0 {
		*h.to = headers
	}
}

func (h headersValue) node() *node {
	if len(*h.to) == 0 {
		return nil
	}
	n := &node{kind: mapNode}
	for _, key := range sortedKeys(*h.to) {
		values := &node{kind: listNode}
		for _, v := range (*h.to)[key] {
			values.items = append(values.items, textOf("!!str", v))
		}
		n.setField(key, values)
	}
	return n
}

func headerName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

// headerLine is the value of a header: one line.
func headerLine() scalar[string] {
	s := asText(nil)
	s.want = "text without line breaks"
	s.parse = func(v string) (string, bool) {
		return v, !strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
	}
	return s
}

// platformsValue is a list of platforms.
type platformsValue struct {
	known
	to *[]Platform
}

func asPlatforms(to *[]Platform) platformsValue { return platformsValue{known{mapShape}, to} }

func (v platformsValue) set(p *problems, path string, n *node) {
	if n.kind != listNode {
		p.fail(path, n, "is %s; use a list of {architecture: …, os: …}", n.kind)
		return
	}
	var all []Platform
	for i, item := range n.items {
		var one Platform
		for _, f := range one.settings() {
			if field := item.at(f.key); field.kind != nullNode {
				f.value.set(p, fieldPath(itemPath(path, i), f.key), field)
			}
		}
		if one.Architecture == "" || one.OS == "" {
			p.fail(itemPath(path, i), item, "lacks architecture or os; write both, such as {architecture: amd64, os: linux}")
		}
		all = append(all, one)
	}
	*v.to = all
}

func (p *Platform) settings() []setting {
	return []setting{{"architecture", asText(&p.Architecture)}, {"os", asText(&p.OS)}}
}

func (v platformsValue) node() *node {
	if len(*v.to) == 0 {
		return nil
	}
	n := &node{kind: listNode}
	for _, platform := range *v.to {
		item := &node{}
		for _, f := range platform.settings() {
			item.setField(f.key, f.value.node())
		}
		n.items = append(n.items, item)
	}
	return n
}
