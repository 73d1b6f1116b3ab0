package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds on a configuration. Real ones have a few hundred nodes; the bounds are
// there because aliases let a small file stand for an endless one.
const (
	maxConfigBytes = 1 << 20
	maxConfigNodes = 10_000
	maxConfigDepth = 32
)

// mergeKey is the YAML 1.1 key that copies the fields of another mapping.
const mergeKey = "!!merge"

// parseYAML reads one YAML document, the value at a path, into nodes that bear
// src as their origin, or their line if src is "". An empty document is an
// empty node.
func parseYAML(data []byte, path, src string) (*node, error) {
	root := &node{src: src}
	if len(data) > maxConfigBytes {
		return nil, fmt.Errorf("%s: is %d bytes long; at most %d are allowed", root.where(path), len(data), maxConfigBytes)
	}
	doc, err := decodeYAML(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", root.where(path), err)
	}
	if doc == nil {
		return root, nil
	}
	c := yamlConverter{src: src, budget: maxConfigNodes}
	root = c.convert(doc, path, 0)
	return root, errors.Join(c.errs...)
}

// decodeYAML returns the content of the only document of data, nil if there is
// none. Syntax errors of the parser name lines, not content: the one that does
// quote content is replaced, because the content may be half of a secret.
func decodeYAML(data []byte) (content *yaml.Node, err error) {
	defer func() {
		// The parser panics on states that it believes impossible; those come from its input all the same.
		if recover() != nil {
			content, err = nil, errors.New("is not valid YAML")
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var docs [2]yaml.Node
	for i := range docs {
		err := dec.Decode(&docs[i])
		switch {
		case errors.Is(err, io.EOF) && i == 0:
			return nil, nil
		case errors.Is(err, io.EOF):
			return docs[0].Content[0], nil
		case err != nil && strings.Contains(err.Error(), "unknown anchor"):
			return nil, errors.New("is not valid YAML: an alias names no anchor; put a value that begins with * in quotes")
		case err != nil:
			return nil, fmt.Errorf("is not valid YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
		}
	}
	return nil, fmt.Errorf("has a second YAML document (line %d); keep one", docs[1].Line)
}

// yamlConverter turns the parser's nodes into ours: aliases and merge keys are
// followed, within a budget, and keys are unique text.
type yamlConverter struct {
	problems
	src    string
	budget int
}

func (c *yamlConverter) convert(y *yaml.Node, path string, depth int) *node {
	n := &node{src: c.origin(y)}
	if !c.spend(n, path, depth) {
		return n
	}
	if y.Kind == yaml.AliasNode {
		return c.convert(y.Alias, path, depth+1)
	}
	if y.Style&yaml.TaggedStyle != 0 && !plainTag(y.Tag) {
		c.fail(path, n, "has a YAML tag; remove it, or put a value that begins with ! in quotes")
		return n
	}
	switch y.Kind {
	case yaml.MappingNode:
		c.mapping(n, y, path, depth)
	case yaml.SequenceNode:
		n.kind = listNode
		for i, item := range y.Content {
			n.items = append(n.items, c.convert(item, itemPath(path, i), depth+1))
		}
	default:
		if y.ShortTag() != "!!null" {
			n.kind, n.tag, n.text = textNode, y.ShortTag(), y.Value
		}
	}
	return n
}

func (c *yamlConverter) origin(y *yaml.Node) string {
	if c.src != "" {
		return c.src
	}
	return fmt.Sprintf("line %d", y.Line)
}

// spend takes one node from the budget and reports once when it is used up.
func (c *yamlConverter) spend(n *node, path string, depth int) bool {
	if c.budget < 0 {
		return false
	}
	c.budget--
	switch {
	case depth > maxConfigDepth:
		c.fail(path, n, "the configuration is nested more than %d levels deep", maxConfigDepth)
		c.budget = -1
	case c.budget < 0:
		c.fail(path, n, "the configuration has more than %d values; write out what its YAML aliases repeat", maxConfigNodes)
	}
	return c.budget >= 0
}

// mapping converts a mapping into n. Fields that are written win over merged
// ones, and earlier merges over later ones, as YAML 1.1 has it.
func (c *yamlConverter) mapping(n *node, y *yaml.Node, path string, depth int) {
	n.kind = mapNode
	var merged []*yaml.Node
	for i := 0; i+1 < len(y.Content); i += 2 {
		key, value := follow(y.Content[i]), y.Content[i+1]
		switch {
		case key.Tag == mergeKey:
			merged = append(merged, value)
		case key.Kind != yaml.ScalarNode:
			c.fail(path, n, "a key is not text; write key: value")
		default:
			v := c.convert(value, fieldPath(path, key.Value), depth+1)
			v.src = c.origin(y.Content[i])
			if first, ok := n.field(key.Value); ok {
				c.fail(fieldPath(path, key.Value), v, "the key is written twice, first at %s; keep one", first.src)
				continue
			}
			n.setField(key.Value, v)
		}
	}
	for _, m := range merged {
		c.merge(n, m, path, depth+1)
	}
}

func (c *yamlConverter) merge(n *node, y *yaml.Node, path string, depth int) {
	y = follow(y)
	switch y.Kind {
	case yaml.SequenceNode:
		if !c.spend(n, path, depth) {
			return
		}
		for _, item := range y.Content {
			c.merge(n, item, path, depth+1)
		}
	case yaml.MappingNode:
		from := c.convert(y, path, depth+1)
		for _, key := range from.keys {
			if _, ok := n.field(key); !ok {
				n.setField(key, from.fields[key])
			}
		}
	default:
		c.fail(path, n, "the value of << is not a mapping; use an alias of one")
	}
}

// follow returns what an alias stands for. The parser resolves an alias to a
// node with an anchor, which is never an alias itself.
func follow(y *yaml.Node) *yaml.Node {
	if y.Kind == yaml.AliasNode {
		return y.Alias
	}
	return y
}

func plainTag(tag string) bool {
	switch tag {
	case "!!str", "!!int", "!!float", "!!bool", "!!null", "!!seq", "!!map":
		return true
	}
	return false
}

// yaml returns the node as the encoder wants it.
func (n *node) yaml() *yaml.Node {
	switch n.kind {
	case textNode:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: n.tag, Value: n.text}
	case listNode:
		y := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, item := range n.items {
			y.Content = append(y.Content, item.yaml())
		}
		return y
	case mapNode:
		y := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for _, key := range n.keys {
			name := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}
			y.Content = append(y.Content, name, n.fields[key].yaml())
		}
		return y
	default:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
	}
}
