// Costs writes what the examples and modules cost a month into their READMEs, between markers, so that all numbers come from one place:
//
//	go run ./examples/costs     from the top of the repository, as `make docs` does
//
// Prices and assumptions are in prices.go, what is counted in shapes.go.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	begin = "<!-- BEGIN_COSTS -->\n"
	end   = "<!-- END_COSTS -->\n"

	costsLink = "../../examples/costs"
)

func main() {
	if err := write("."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// write brings the READMEs below the top of the repository up to date.
func write(top string) error {
	for name, s := range shapes() {
		file := readme(top, name)
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		updated, err := replace(string(text), s.table())
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := os.WriteFile(file, []byte(updated), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// readme is where the table of a shape belongs: modules are called otherwise than examples.
func readme(top, name string) string {
	file := filepath.Join(top, "modules", name, "README.md")
	if _, err := os.Stat(file); err == nil {
		return file
	}
	return filepath.Join(top, "examples", name, "README.md")
}

// replace puts the table between the markers.
func replace(text, table string) (string, error) {
	head, rest, found := strings.Cut(text, begin)
	_, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		return "", fmt.Errorf("it needs the lines %q and %q, for the table", strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	return head + begin + table + end + tail, nil
}
