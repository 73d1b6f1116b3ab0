// Command quickstart runs Registry Kit's main job on this machine: it builds
// server and provider, starts the server, runs terraform apply for its users,
// pushes and pulls an image, shows who may do what, and keeps the registry
// running until Ctrl-C. With -once it checks all that and ends.
//
// Run it through make quickstart, which finds terraform.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	once := flag.Bool("once", false, "check everything in a new directory, clean up, and end")
	dir := flag.String("dir", ".quickstart", "where images, Terraform state and programs are kept")
	port := flag.Int("port", 5000, "the port on 127.0.0.1; another one is taken if it is in use")
	terraform := flag.String("terraform", "terraform", "the terraform program")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *once, *dir, *port, *terraform); err != nil {
		fmt.Fprintln(os.Stderr, "\nquickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, once bool, dir string, port int, terraform string) (err error) {
	if once {
		if dir, err = os.MkdirTemp("", "quickstart"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	w := &workspace{dir: dir, terraform: terraform}

	step("Building the server, the provider and a program for the image")
	if err := w.build(ctx); err != nil {
		return err
	}
	step("Starting the registry")
	registry, err := w.start(ctx, port)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, registry.stop()) }()

	step("terraform apply: users, a policy and a certificate")
	users, err := w.apply(ctx, registry)
	if err != nil {
		return err
	}
	if err := walk(ctx, registry, users, w.program("hello")); err != nil {
		return err
	}
	if once {
		fmt.Println("\nEverything works.")
		return nil
	}
	w.explain(registry, users)
	return registry.wait(ctx)
}

func step(text string) { fmt.Printf("\n==> %s\n", text) }
func done(format string, args ...any) {
	fmt.Printf("    "+format+"\n", args...)
}
