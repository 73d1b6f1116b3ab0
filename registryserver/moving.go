package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/registrykit/terraform-provider-registry/registryserver/transfer"
)

// parseMixed parses flags before, between and after arguments, and returns the
// arguments.
func parseMixed(flags *flag.FlagSet, args []string) ([]string, error) {
	var rest []string
	for len(args) > 0 {
		if err := flags.Parse(args); err != nil {
			return nil, flag.ErrHelp
		}
		args = flags.Args()
		if len(args) > 0 {
			rest = append(rest, args[0])
			args = args[1:]
		}
	}
	return rest, nil
}

// newFlags returns flags whose help begins with the usage.
func newFlags(name, usage string, stderr io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage+"\nFlags:\n")
		flags.PrintDefaults()
	}
	return flags
}

// loginFlags say how to log in to a registry. A password is never an argument:
// others on the machine see those.
type loginFlags struct {
	username, passwordFile, ca string
	passwordStdin, insecure    bool
	variable                   string // what the variables of the environment begin with
}

// addLogin adds the flags, each with a prefix where there are two registries.
func addLogin(flags *flag.FlagSet, prefix, which string) *loginFlags {
	l := &loginFlags{variable: "REGISTRYSERVER_" + strings.ToUpper(strings.ReplaceAll(prefix, "-", "_"))}
	flags.StringVar(&l.username, prefix+"username", "", "user name for "+which+"; also "+l.variable+"USERNAME, with "+l.variable+"PASSWORD, or "+l.variable+"TOKEN alone; without any, what docker login keeps")
	flags.StringVar(&l.passwordFile, prefix+"password-file", "", "file whose first line is the password for "+which)
	flags.BoolVar(&l.passwordStdin, prefix+"password-stdin", false, "read the password for "+which+" from standard input")
	flags.StringVar(&l.ca, prefix+"ca", "", "file with the certificate of the CA of "+which)
	flags.BoolVar(&l.insecure, prefix+"insecure", false, "do not look at the certificate of "+which)
	return l
}

func (l *loginFlags) access(note func(string)) (transfer.Access, error) {
	a := transfer.Access{Username: l.username, Insecure: l.insecure, UserAgent: "registryserver/" + buildVersion(), Note: note}
	if l.ca != "" {
		pem, err := os.ReadFile(l.ca)
		if err != nil {
			return a, err
		}
		a.CACertificate = string(pem)
	}
	var err error
	switch {
	case l.passwordFile != "" && l.passwordStdin:
		return a, errors.New("give the password in one way: as a file or on standard input")
	case l.passwordFile != "":
		file, err := os.Open(l.passwordFile)
		if err != nil {
			return a, err
		}
		defer file.Close()
		if a.Password, err = firstLine(file); err != nil {
			return a, fmt.Errorf("%s: %w", l.passwordFile, err)
		}
	case l.passwordStdin:
		if a.Password, err = firstLine(os.Stdin); err != nil {
			return a, fmt.Errorf("standard input: %w", err)
		}
	default:
		a.Password = os.Getenv(l.variable + "PASSWORD")
	}
	if a.Username == "" {
		a.Username = os.Getenv(l.variable + "USERNAME")
	}
	if a.Username == "" && a.Password == "" {
		a.Token = os.Getenv(l.variable + "TOKEN")
	}
	return a, nil
}

// firstLine reads a password.
func firstLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 64<<10)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", errors.New("there is no password in it")
	}
	return line, nil
}

// newProgress returns the progress of a command on its standard error.
func newProgress(stderr io.Writer) *transfer.Progress {
	return transfer.NewProgress(stderr, terminal(stderr))
}
