// Command registryserver is a private OCI and Docker registry.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/registrykit/terraform-provider-registry/registryserver/server"
)

// version is set by the linker in releases.
var version = ""

const usage = `registryserver is a private OCI and Docker registry.

Usage:
  registryserver serve [config.yml]    run the registry
  registryserver config [config.yml]   check the configuration and print it, secrets masked;
                                       --check-storage tries every access to the storage instead
  registryserver fsck [config.yml]     check the storage; --repair mends it, --json is for programs
  registryserver garbage-collect [config.yml]
                                       delete what nobody needs, while servers run; --dry-run, --delete-untagged
  registryserver exclusive [config.yml]
                                       say that only Registry Kit writes to the storage, which garbage collection needs
  registryserver audit [config.yml]    print who did what, from the audit log in the storage; --since 24h
  registryserver import SOURCE TO      put images from an archive, such as docker save writes, into a registry
  registryserver export IMAGE DEST     write an image as an archive for docker load
  registryserver copy SOURCE DEST      copy images between registries, one or all
  registryserver migrate --from old.yml --to new.yml
                                       bring everything to another storage, while a server runs
  registryserver client-setup HOST     print what each client needs to trust a private CA and to log in
  registryserver ship-logs [config.yml]
                                       bring the journal of an AWS instance to CloudWatch Logs
  registryserver version               print the version

The configuration is that of CNCF distribution (registry:2, registry:3): a YAML
file, by default /etc/distribution/config.yml or /etc/docker/registry/config.yml,
and REGISTRY_* variables. docs/configuration.md lists every key.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			os.Exit(2)
		}
		fmt.Fprintln(os.Stderr, "registryserver:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	commands := map[string]func(args []string) error{
		"fsck":            func(args []string) error { return fsck(ctx, args, stdout, stderr) },
		"config":          func(args []string) error { return config(ctx, args, stdout, stderr) },
		"audit":           func(args []string) error { return printAudit(ctx, args, stdout, stderr) },
		"import":          func(args []string) error { return importImages(ctx, args, stdout, stderr) },
		"export":          func(args []string) error { return exportImage(ctx, args, stdout, stderr) },
		"copy":            func(args []string) error { return copyImages(ctx, args, stdout, stderr) },
		"migrate":         func(args []string) error { return migrateStorage(ctx, args, stdout, stderr) },
		"garbage-collect": func(args []string) error { return collect(ctx, args, stdout, stderr) },
		"exclusive":       func(args []string) error { return exclusive(ctx, args, stdout, stderr) },
		"ship-logs":       func(args []string) error { return shipLogs(ctx, args, stderr) },
		"client-setup":    func(args []string) error { return clientSetup(args, stdout, stderr) },
	}
	if len(args) > 0 && commands[args[0]] != nil {
		return commands[args[0]](args[1:])
	}
	command, file := "", ""
	switch {
	case len(args) == 0 || len(args) > 2:
	case len(args) == 1 && (strings.HasSuffix(args[0], ".yml") || strings.HasSuffix(args[0], ".yaml")):
		command, file = "serve", args[0] // as the image of registry:2 accepts it
	default:
		command = args[0]
		if len(args) == 2 {
			file = args[1]
		}
	}
	switch command {
	case "serve":
		return serve(ctx, file, stderr)
	case "version", "--version", "-v":
		fmt.Fprintln(stdout, "registryserver", buildVersion())
		return nil
	case "help", "--help", "-h":
		fmt.Fprint(stdout, usage)
		return nil
	}
	fmt.Fprint(stderr, usage)
	return flag.ErrHelp
}

func load(file string) (*server.Config, []string, error) {
	var content []byte
	if path := server.FindConfig(file, os.Getenv); path != "" {
		var err error
		if content, err = os.ReadFile(path); err != nil {
			return nil, nil, fmt.Errorf("read the configuration: %w", err)
		}
	}
	config, warnings, err := server.LoadConfig(content, os.Environ())
	if err != nil {
		err = fmt.Errorf("the configuration cannot be used:\n%w", err)
	}
	return config, warnings, err
}

func serve(ctx context.Context, file string, stderr io.Writer) error {
	config, warnings, err := load(file)
	if err != nil {
		for _, w := range warnings {
			fmt.Fprintln(stderr, "warning:", w)
		}
		return err
	}
	log := server.NewLogger(stderr, config.Log)
	slog.SetDefault(log)
	for _, w := range warnings {
		log.Warn(w)
	}
	options := server.Options{Log: log, Version: buildVersion()}
	s, err := server.New(ctx, config, options)
	if err != nil {
		if failed := server.ReportFailedStart(ctx, config, options, err); failed != nil {
			log.Warn("the reason of the failed start could not be left in the storage", "error", failed)
		}
		return err
	}
	return s.Run(ctx)
}

// buildVersion is the version of the release, or of the module that was built.
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}
