package provider

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"golang.org/x/sync/errgroup"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

func TestVersions(t *testing.T) {
	tags := strings.Fields("1 1.4 1.4.2 1.10.0 1.5.0-rc.1 latest v1.4.2 2.0.0_b7 v2.0.0 0.9.0 01.0.0 1.4.2-alpine")
	for prereleases, want := range map[bool]string{
		false: "2.0.0_b7 v2.0.0 1.10.0 1.4.2 v1.4.2 0.9.0",
		true:  "2.0.0_b7 v2.0.0 1.10.0 1.5.0-rc.1 1.4.2 v1.4.2 1.4.2-alpine 0.9.0",
	} {
		if got := strings.Join(versions(tags, prereleases), " "); got != want {
			t.Errorf("with pre-releases %t: %s, want %s", prereleases, got, want)
		}
	}
}

// Whatever the globs are, no tag is lost or doubled, and a bad glob is known as
// such before it is used.
func FuzzTagGlob(f *testing.F) {
	for _, seed := range []string{"*", "v*", "v1.?", "[a-z]", "[", "\\", "a\\*", "", "**"} {
		f.Add(seed, "v1.2")
	}
	f.Fuzz(func(t *testing.T, glob, tag string) {
		if _, err := oci.ParseTag(tag); err != nil {
			return
		}
		if tagGlobRule().check(glob) != nil {
			if _, err := path.Match(glob, ""); err == nil {
				t.Errorf("%q is a glob", glob)
			}
			return
		}
		if glob == "*" && !matchesAny([]string{glob}, tag) || glob == tag && !strings.ContainsAny(tag, "\\[") && !matchesAny([]string{glob}, tag) {
			t.Errorf("%q does not match %q", glob, tag)
		}
		if !matchesAny(nil, tag) {
			t.Errorf("no glob leaves out %q", tag)
		}
	})
}

const tagsThis = "data.registry_tags.this"

func stringList(want ...string) knownvalue.Check {
	checks := []knownvalue.Check{}
	for _, text := range want {
		checks = append(checks, knownvalue.StringExact(text))
	}
	return knownvalue.ListExact(checks)
}

func TestTagsDataSource(t *testing.T) {
	s := startServer(t)
	s.pushIndex(t, "team/app", "1", "1.4.2", "1.10.0", "1.5.0-rc.1", "latest", "main-0a1b")
	s.pushIndex(t, "team/untagged", "1")
	config := func(repository, arguments string) string {
		return s.config("data \"registry_tags\" \"this\" {\n repository = %q\n %s\n}\n", repository, arguments)
	}
	step := func(repository, arguments string, latest knownvalue.Check, versions, tags []string) resource.TestStep {
		return resource.TestStep{Config: config(repository, arguments), ConfigStateChecks: []statecheck.StateCheck{
			is(tagsThis, "tags", stringList(tags...)), is(tagsThis, "versions", stringList(versions...)), is(tagsThis, "latest", latest),
		}}
	}
	text := knownvalue.StringExact
	unitTest(t, testProvider(),
		step("team/app", "", text("1.10.0"), []string{"1.10.0", "1.4.2"}, []string{"1.10.0", "1.4.2", "1.5.0-rc.1", "latest", "main-0a1b"}),
		step("team/app", "prereleases = true", text("1.10.0"), []string{"1.10.0", "1.5.0-rc.1", "1.4.2"}, []string{"1.10.0", "1.4.2", "1.5.0-rc.1", "latest", "main-0a1b"}),
		step("team/app", `patterns = ["1.[0-9].*", "main-*"]`, text("1.4.2"), []string{"1.4.2"}, []string{"1.4.2", "1.5.0-rc.1", "main-0a1b"}),
		step("team/app", `patterns = ["no*"]`, knownvalue.Null(), nil, nil),
		step("team/untagged", "", knownvalue.Null(), nil, nil),
		resource.TestStep{Config: config("team/none", ""), ExpectError: says(`There is no repository "team/none"`)},
		resource.TestStep{Config: config("Team", ""), ExpectError: says("Invalid repository name")},
		resource.TestStep{Config: config("team/app", `patterns = ["["]`), ExpectError: says("Invalid glob")},
		resource.TestStep{PreConfig: s.fail(status(500)), Config: config("team/app", ""), ExpectError: says(`Could not list the tags of "team/app"`)},
		resource.TestStep{Config: s.config("# nothing")},
	)
}

// More tags than a page of the server has.
func TestTagsDataSourcePages(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 1,100 tags")
	}
	s := startServer(t)
	digest := oci.MustDigest(s.pushIndex(t, "team/app", "1"))
	var all, made []string
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(8)
	for i := range 1100 {
		tag := fmt.Sprintf("0.%d.0", i)
		all, made = append(all, tag), append(made, tag)
		group.Go(func() error {
			_, err := s.admin.CreateTag(ctx, "team/app", tag, digest)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	slices.Reverse(made)
	unitTest(t, testProvider(), resource.TestStep{
		Config: s.config(`data "registry_tags" "this" { repository = "team/app" }`),
		ConfigStateChecks: []statecheck.StateCheck{
			is(tagsThis, "tags", stringList(all...)), is(tagsThis, "versions", stringList(made...)), is(tagsThis, "latest", knownvalue.StringExact("0.1099.0")),
		},
	})
}
