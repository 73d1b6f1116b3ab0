package server

// settingValue is where the value of a key lives in a Config: it reads the
// value from the tree and prints it back.
type settingValue interface {
	// set converts a node that is not empty, or adds to problems why it cannot.
	set(p *problems, path string, n *node)
	// node returns what Masked prints, nil for nothing.
	node() *node
	// shape says how a variable for this key is read.
	shape() valueShape
	// item is the value of one item of a listShape, else nil.
	item() settingValue
}

// valueShape is what may be written at a key.
type valueShape uint8

const (
	textShape   valueShape = iota
	secretShape            // text that is taken literally
	listShape
	mapShape
	freeShape // anything
)

// scalar is a value written as text. to is nil for a key that is only checked.
type scalar[T any] struct {
	to     *T
	tag    string // of what format returns
	want   string // what is allowed, for errors: "true or false"
	parse  func(string) (T, bool)
	format func(T) string // "" if there is nothing to print
}

func (s scalar[T]) set(p *problems, path string, n *node) {
	if v, ok := s.read(p, path, n); ok && s.to != nil {
		*s.to = v
	}
}

func (s scalar[T]) read(p *problems, path string, n *node) (v T, ok bool) {
	if n.kind != textNode {
		p.fail(path, n, "is %s; use %s", n.kind, s.want)
		return v, false
	}
	if v, ok = s.parse(n.text); !ok {
		p.fail(path, n, "%s is not allowed; use %s", quoteValue(n.text), s.want)
	}
	return v, ok
}

func (s scalar[T]) node() *node {
	if s.to == nil {
		return nil
	}
	if text := s.format(*s.to); text != "" {
		return textOf(s.tag, text)
	}
	return nil
}

func (s scalar[T]) shape() valueShape {
	if _, secret := any(s).(scalar[Secret]); secret {
		return secretShape
	}
	return textShape
}

func (s scalar[T]) item() settingValue { return nil }

// listValue is a list of scalars.
type listValue[T any] struct {
	to   *[]T
	elem scalar[T]
}

func (l listValue[T]) set(p *problems, path string, n *node) {
	if n.kind != listNode {
		p.fail(path, n, "is %s; use a list, each item %s", n.kind, l.elem.want)
		return
	}
	var items []T
	for i, item := range n.items {
		if v, ok := l.elem.read(p, itemPath(path, i), item); ok {
			items = append(items, v)
		}
	}
	if l.to != nil {
		*l.to = items
	}
}

func (l listValue[T]) node() *node {
	if l.to == nil || len(*l.to) == 0 {
		return nil
	}
	n := &node{kind: listNode}
	for _, v := range *l.to {
		n.items = append(n.items, textOf(l.elem.tag, l.elem.format(v)))
	}
	return n
}

func (l listValue[T]) shape() valueShape  { return listShape }
func (l listValue[T]) item() settingValue { return l.elem }
