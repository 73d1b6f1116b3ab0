package provider

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// AWS gives policies back in another form than it got them: one string for a
// list of one, lists in another order, "*" for {"AWS": "*"}. canonicalPolicy is
// the same for all forms of a policy; what is no policy, it leaves as it is.
func canonicalPolicy(text string) string {
	var document map[string]any
	if json.Unmarshal([]byte(text), &document) != nil || document == nil {
		return text
	}
	statements := listOf(document["Statement"])
	for _, s := range statements {
		if statement, ok := s.(map[string]any); ok {
			canonicalStatement(statement)
		}
	}
	sortByText(statements)
	document["Statement"] = statements
	return textOfJSON(document)
}

func canonicalStatement(s map[string]any) {
	for name, value := range s {
		switch name {
		case "Action", "NotAction", "Resource", "NotResource":
			s[name] = sortedList(value)
		case "Principal", "NotPrincipal":
			s[name] = canonicalPrincipal(value)
		case "Condition":
			s[name] = canonicalCondition(value)
		}
	}
}

func canonicalPrincipal(value any) any {
	if value == "*" {
		value = map[string]any{"AWS": value}
	}
	kinds, ok := value.(map[string]any)
	if !ok {
		return value
	}
	for kind, who := range kinds {
		kinds[kind] = sortedList(who)
	}
	return kinds
}

func canonicalCondition(value any) any {
	operators, ok := value.(map[string]any)
	if !ok {
		return value
	}
	for _, operator := range operators {
		if keys, ok := operator.(map[string]any); ok {
			for key, values := range keys {
				keys[key] = sortedList(values)
			}
		}
	}
	return operators
}

// listOf makes a list of one of what is no list.
func listOf(value any) []any {
	switch value := value.(type) {
	case nil:
		return []any{}
	case []any:
		return value
	}
	return []any{value}
}

// sortedList is a list without its order and duplicates; IAM takes true and 1
// for "true" and "1".
func sortedList(value any) []any {
	list := slices.Clone(listOf(value))
	for i, element := range list {
		switch element.(type) {
		case bool, float64:
			list[i] = strings.Trim(textOfJSON(element), `"`)
		}
	}
	sortByText(list)
	return slices.CompactFunc(list, func(a, b any) bool { return textOfJSON(a) == textOfJSON(b) })
}

func sortByText(list []any) {
	slices.SortStableFunc(list, func(a, b any) int { return strings.Compare(textOfJSON(a), textOfJSON(b)) })
}

func textOfJSON(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(text)
}

// samePolicy reports whether two texts are the same policy.
func samePolicy(a, b string) bool { return canonicalPolicy(a) == canonicalPolicy(b) }
