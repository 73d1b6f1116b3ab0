package main_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/registrykit/terraform-provider-registry"

// mayImport says which packages of this module each package may import, so that imports run one way:
// oci <- storage <- registry <- {ociapi, adminapi} <- server <- main. A package that is not in the table has no place in the design yet.
var mayImport = map[string][]string{
	".":                                  {"provider"},
	"provider":                           {"registryserver/client", "registryserver/oci"},
	"registryserver":                     {"registryserver/archive", "registryserver/migrate", "registryserver/oci", "registryserver/registry", "registryserver/server", "registryserver/transfer"},
	"registryserver/oci":                 {},
	"registryserver/storage":             {"registryserver/oci"},
	"registryserver/storage/fsstore":     {"registryserver/oci", "registryserver/storage"},
	"registryserver/storage/s3store":     {"registryserver/oci", "registryserver/storage"},
	"registryserver/storage/storagetest": {"registryserver/oci", "registryserver/storage"},
	"registryserver/registry":            {"registryserver/oci", "registryserver/storage"},
	"registryserver/audit":               {"registryserver/storage"},
	"registryserver/auth":                {"registryserver/oci", "registryserver/storage"},
	"registryserver/certificates":        {"registryserver/auth", "registryserver/oci", "registryserver/storage"},
	"registryserver/events":              {"registryserver/auth", "registryserver/oci", "registryserver/storage"},
	"registryserver/client":              {"registryserver/oci"},
	"registryserver/rediscache":          {"registryserver/auth"},
	"registryserver/awshost":             {},
	"registryserver/archive":             {"registryserver/oci"},
	"registryserver/migrate":             {"registryserver/oci", "registryserver/storage"},
	"registryserver/transfer":            {"registryserver/archive", "registryserver/client", "registryserver/oci", "registryserver/registry"},
	"registryserver/proxycache":          {"registryserver/auth", "registryserver/oci", "registryserver/registry", "registryserver/storage", "registryserver/transfer"},
	"registryserver/replication":         {"registryserver/auth", "registryserver/events", "registryserver/oci", "registryserver/registry", "registryserver/storage", "registryserver/transfer"},
	"registryserver/ociapi": {"registryserver/archive", "registryserver/auth", "registryserver/events", "registryserver/oci", "registryserver/proxycache",
		"registryserver/registry", "registryserver/storage"},
	"registryserver/journal": {},
	"registryserver/adminapi": {"registryserver/auth", "registryserver/certificates", "registryserver/client", "registryserver/events", "registryserver/oci",
		"registryserver/proxycache", "registryserver/registry", "registryserver/replication", "registryserver/storage"},
	"modules":            {}, // no Go but for tests
	"modules/awstest":    {},
	"modules/image":      {}, // tests alone, too
	"modules/image/sbom": {},
	"registryserver/server": {"registryserver/adminapi", "registryserver/audit", "registryserver/auth", "registryserver/awshost", "registryserver/certificates", "registryserver/client", "registryserver/events", "registryserver/journal", "registryserver/migrate", "registryserver/oci", "registryserver/ociapi", "registryserver/proxycache",
		"registryserver/rediscache", "registryserver/registry", "registryserver/replication", "registryserver/storage", "registryserver/storage/fsstore", "registryserver/storage/s3store"},
}

// testsMayAlsoImport is what test files get on top: stores to stand on, and for the two clients the server that they talk to.
var testsMayAlsoImport = map[string][]string{
	"provider":              {"registryserver/server"},
	"modules":               {"modules/awstest"},
	"modules/image":         {"modules/awstest"},
	"registryserver/client": {"registryserver/adminapi", "registryserver/server"},
	"registryserver":        {"modules/awstest", "registryserver/audit", "registryserver/client"},
}

// storesForTests may be imported by every test above them.
var storesForTests = []string{"registryserver/storage/fsstore", "registryserver/storage/storagetest"}

// withoutHTTP are the packages that would work the same behind any other protocol.
var withoutHTTP = []string{"registryserver/archive", "registryserver/audit", "registryserver/migrate", "registryserver/oci", "registryserver/storage", "registryserver/storage/fsstore", "registryserver/registry"}

func TestImportsRunOneWay(t *testing.T) {
	for file, imports := range sourceFiles(t) {
		pkg := path.Dir(file)
		allowed, known := mayImport[pkg]
		// Examples are what users write: they stand outside and import nothing of ours.
		if !known && !strings.HasPrefix(pkg, "examples/") {
			t.Errorf("%s: the table of packages in imports_test.go does not have %s", file, pkg)
			continue
		}
		test := strings.HasSuffix(file, "_test.go")
		for _, imported := range imports {
			if imported == "net/http" && slices.Contains(withoutHTTP, pkg) && !test {
				t.Errorf("%s imports net/http: there is no HTTP in %s", file, pkg)
			}
			ours, ok := strings.CutPrefix(imported, module+"/")
			if !ok || slices.Contains(allowed, ours) {
				continue
			}
			// A package's external tests import the package itself.
			if test && (ours == pkg || slices.Contains(storesForTests, ours) || slices.Contains(testsMayAlsoImport[pkg], ours)) {
				continue
			}
			t.Errorf("%s imports %s, which is not below %s", file, ours, pkg)
		}
	}
}

// TestPackagesAreNamedForWhatTheyProvide keeps out the names under which everything ends up.
func TestPackagesAreNamedForWhatTheyProvide(t *testing.T) {
	for file := range sourceFiles(t) {
		for element := range strings.SplitSeq(path.Dir(file), "/") {
			if slices.Contains([]string{"common", "helpers", "internal", "misc", "pkg", "types", "util", "utils"}, element) {
				t.Errorf("%s: a package is named for what it provides, not %q", file, element)
			}
		}
	}
}

// sourceFiles returns the imports of every Go file of the module, by slash-separated path from its root.
func sourceFiles(t *testing.T) map[string][]string {
	t.Helper()
	files := map[string][]string{}
	root := ".."
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		var imports []string
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			imports = append(imports, imported)
		}
		relative, err := filepath.Rel(root, name)
		files[filepath.ToSlash(relative)] = imports
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no Go files found")
	}
	return files
}
