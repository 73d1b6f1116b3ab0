package transfer

import (
	"fmt"
	"io"
	"strings"
)

// WriteTerraform writes the repositories that were copied as Terraform has them,
// each with a block that imports it, and with tags their tags, too.
func (r *Report) WriteTerraform(w io.Writer, tags bool) error {
	names := labels(map[string]bool{})
	var b strings.Builder
	fmt.Fprintf(&b, "# What registryserver copy found on %s. The next terraform apply takes it over, and changes nothing.\n", r.Source)
	for _, repository := range r.Repositories {
		if len(repository.Tags) == 0 {
			continue // nothing was copied, so there is no such repository
		}
		writeBlock(&b, "registry_repository", names.label(repository.Target), repository.Target, [][2]string{{"name", repository.Target}})
		for _, t := range repository.Tags {
			if !tags || t.Tag == "" || t.Result == Failed || t.Result == Kept || strings.HasPrefix(t.Tag, "sha256-") {
				continue
			}
			writeBlock(&b, "registry_tag", names.label(repository.Target+"_"+t.Tag), repository.Target+":"+t.Tag,
				[][2]string{{"repository", repository.Target}, {"tag", t.Tag}, {"digest", t.Digest}})
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeBlock writes a resource and its import. The values are names, tags and
// digests, none of which has a character that HCL takes for more.
func writeBlock(b *strings.Builder, kind, label, id string, arguments [][2]string) {
	longest := 0
	for _, a := range arguments {
		longest = max(longest, len(a[0]))
	}
	fmt.Fprintf(b, "\nimport {\n  to = %s.%s\n  id = %q\n}\n\nresource %q %q {\n", kind, label, id, kind, label)
	for _, a := range arguments {
		fmt.Fprintf(b, "  %-*s = %q\n", longest, a[0], a[1])
	}
	b.WriteString("}\n")
}

// labels are the names of resources that were given out.
type labels map[string]bool

// label makes the name of a resource out of a text, another one each time.
func (l labels) label(text string) string {
	base := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '_'
	}, text)
	if base == "" || base[0] >= '0' && base[0] <= '9' || base[0] == '-' {
		base = "_" + base
	}
	label := base
	for n := 2; l[label]; n++ {
		label = fmt.Sprintf("%s_%d", base, n)
	}
	l[label] = true
	return label
}
