package main

import (
	"bufio"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
)

// deb is an installed package of Debian.
type deb struct{ name, version, arch, source string }

// maxLine bounds a line of dpkg's list.
const maxLine = 1 << 20

// parseStatus reads dpkg's list of packages (deb822(5)), and returns those that are installed, by name. A package without a Status is one.
func parseStatus(r io.Reader) ([]deb, error) {
	var found []deb
	fields := map[string]string{}
	take := func() error {
		defer clear(fields)
		if status, there := fields["Status"]; len(fields) == 0 || there && status != "install ok installed" {
			return nil
		}
		p := deb{name: fields["Package"], version: fields["Version"], arch: fields["Architecture"]}
		if p.name == "" || p.version == "" || p.arch == "" {
			return fmt.Errorf("a package lacks name, version or architecture: %q %q %q", p.name, p.version, p.arch)
		}
		p.source, _, _ = strings.Cut(fields["Source"], " ") // a version follows where it is another
		found = append(found, p)
		return nil
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		line := lines.Text()
		switch name, value, isField := strings.Cut(line, ":"); {
		case strings.TrimSpace(line) == "":
			if err := take(); err != nil {
				return nil, err
			}
		case line[0] == ' ' || line[0] == '\t': // goes on with the field before
		case isField:
			fields[name] = strings.TrimSpace(value)
		default:
			return nil, fmt.Errorf("%.80q is no field", line)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if err := take(); err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b deb) int { return strings.Compare(a.name+"/"+a.arch, b.name+"/"+b.arch) })
	return found, nil
}

// component names the package as the purl specification does for Debian; scanners look for vulnerabilities by the source.
func (p deb) component() component {
	qualifiers := url.Values{"arch": {p.arch}, "distro": {"debian-13"}}
	if p.source != "" && p.source != p.name {
		qualifiers.Set("upstream", p.source)
	}
	return component{
		Type: "library", Name: p.name, Version: p.version,
		PackageURL: fmt.Sprintf("pkg:deb/debian/%s@%s?%s", url.PathEscape(p.name), url.PathEscape(p.version), qualifiers.Encode()),
	}
}
