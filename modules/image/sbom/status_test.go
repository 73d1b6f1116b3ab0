package main

import (
	"slices"
	"strings"
	"testing"
)

func TestParseStatus(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string
		fail bool
	}{
		"none": {},
		"two, and one that was removed": {
			text: "Package: zlib1g\nStatus: install ok installed\nArchitecture: amd64\nSource: zlib (1:1.2)\nVersion: 1:1.3+b1\nDescription: a library\n goes: on\n\n" +
				"Package: old\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n\nPackage: apt\nArchitecture: all\nVersion: 2~rc1\n",
			want: []string{"pkg:deb/debian/apt@2~rc1?arch=all&distro=debian-13", "pkg:deb/debian/zlib1g@1:1.3+b1?arch=amd64&distro=debian-13&upstream=zlib"},
		},
		"without a version": {text: "Package: a\nArchitecture: all\n", fail: true},
		"no fields":         {text: "Package: a\nnonsense\n", fail: true},
	} {
		found, err := parseStatus(strings.NewReader(test.text))
		if (err != nil) != test.fail {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, p := range found {
			got = append(got, p.component().PackageURL)
		}
		if err == nil && !slices.Equal(got, test.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func FuzzParseStatus(f *testing.F) {
	f.Add("Package: a\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n")
	f.Add("Package: a\n b\n:\n")
	f.Fuzz(func(t *testing.T, text string) {
		found, err := parseStatus(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, p := range found {
			if p.name == "" || p.version == "" || p.arch == "" || !strings.HasPrefix(p.component().PackageURL, "pkg:deb/debian/") {
				t.Errorf("%+v", p)
			}
		}
	})
}
