// Command sbom writes the bill of materials of the machine image, in CycloneDX: its Debian packages, and the server with the modules that are
// linked into it.
package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"time"
)

func main() {
	packages := flag.String("packages", "", "dpkg's list of packages, /var/lib/dpkg/status of the image")
	program := flag.String("program", "", "the server")
	flag.Parse()
	if err := run(*packages, *program); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(packages, program string) error {
	epoch, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	version, arch := os.Getenv("VERSION"), os.Getenv("ARCH")
	status, err := os.Open(packages)
	if err != nil {
		return err
	}
	defer status.Close()
	installed, err := parseStatus(status)
	if err != nil {
		return fmt.Errorf("%s: %w", packages, err)
	}
	if len(installed) == 0 {
		return fmt.Errorf("%s names no package", packages)
	}
	server, err := serverComponents(program, version)
	if err != nil {
		return err
	}
	b := bom{
		Format: "CycloneDX", Spec: "1.6", Version: 1,
		Metadata: metadata{
			Timestamp: time.Unix(epoch, 0).UTC().Format(time.RFC3339),
			Component: component{Type: "operating-system", Name: "registryserver-image-" + arch, Version: version},
		},
		Components: server,
	}
	for _, p := range installed {
		b.Components = append(b.Components, p.component())
	}
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	out.SetIndent("", " ")
	return out.Encode(b)
}

// serverComponents are the server, and what its program says that it was made of.
func serverComponents(path, version string) ([]component, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(info.Deps) == 0 {
		return nil, errors.New(path + " names none of the modules that it was built from")
	}
	sum := sha256.Sum256(content)
	all := []component{
		{
			Type: "application", Name: "registryserver", Version: version, PackageURL: "pkg:golang/" + info.Main.Path + "@" + version + "#registryserver",
			Hashes: []hash{{Algorithm: "SHA-256", Content: hex.EncodeToString(sum[:])}},
		},
		goComponent(&debug.Module{Path: "std", Version: info.GoVersion}),
	}
	for _, m := range info.Deps {
		all = append(all, goComponent(m))
	}
	return all, nil
}

func goComponent(m *debug.Module) component {
	if m.Replace != nil {
		m = m.Replace
	}
	return component{Type: "library", Name: m.Path, Version: m.Version, PackageURL: "pkg:golang/" + m.Path + "@" + m.Version}
}

// bom is the part of CycloneDX 1.6 that is used.
type bom struct {
	Format     string      `json:"bomFormat"`
	Spec       string      `json:"specVersion"`
	Version    int         `json:"version"`
	Metadata   metadata    `json:"metadata"`
	Components []component `json:"components"`
}

type metadata struct {
	Timestamp string    `json:"timestamp"`
	Component component `json:"component"`
}

type component struct {
	Type       string `json:"type"`
	Name       string `json:"name"`
	Version    string `json:"version"`
	PackageURL string `json:"purl,omitempty"`
	Hashes     []hash `json:"hashes,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}
