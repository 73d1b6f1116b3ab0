package server

import (
	"errors"
	"os"
)

// configVersion is the only version of distribution's configuration format there is.
const configVersion = "0.1"

// configPaths are where the images of distribution 3 and 2 keep their configuration.
var configPaths = [...]string{
	"/etc/distribution/config.yml",
	"/etc/docker/registry/config.yml",
}

// LoadConfig reads a configuration in the format of CNCF distribution and then
// applies the REGISTRY_* variables of environ (in the form of os.Environ).
// Without YAML (nil or empty) the variables are applied to the defaults.
//
// It returns the effective configuration and warnings for the operator, or an
// error that joins every problem found, one per line, each with its key, its
// origin (line or variable), its value unless it is secret, and what is allowed.
// Neither errors nor warnings ever hold a secret.
func LoadConfig(yaml []byte, environ []string) (*Config, []string, error) {
	root, err := parseYAML(yaml, "", "")
	if err != nil {
		return nil, nil, err
	}
	l := newConfigLoader(root)
	l.overlay(environ)
	l.check(l.root, l.schema, "")
	l.read()
	l.refuse()
	l.finish(environ)
	if len(l.errs) > 0 {
		return nil, l.warnings, errors.Join(l.errs...)
	}
	return l.config, l.warnings, nil
}

// FindConfig returns the path of the configuration file to use: arg, else
// REGISTRY_CONFIGURATION_PATH, else the first of distribution's two default
// paths that exists, else "" for no file.
func FindConfig(arg string, getenv func(string) string) string {
	return findConfig(arg, getenv, func(path string) bool {
		_, err := os.Stat(path)
		// A file that exists and cannot be read must be an error when it is opened, not be passed over.
		return !errors.Is(err, os.ErrNotExist)
	})
}

func findConfig(arg string, getenv func(string) string, exists func(string) bool) string {
	if arg != "" {
		return arg
	}
	if path := getenv("REGISTRY_CONFIGURATION_PATH"); path != "" {
		return path
	}
	for _, path := range configPaths {
		if exists(path) {
			return path
		}
	}
	return ""
}

// configLoader carries one LoadConfig through its steps. The configuration is first
// a tree of nodes, so that variables can replace parts of the file before any
// value is judged, and becomes a Config in one pass over the settings.
type configLoader struct {
	problems
	root     *node
	config   *Config
	settings []setting
	schema   *configSchema
	hasFile  bool
}

func newConfigLoader(root *node) *configLoader {
	l := &configLoader{root: root, config: defaultConfig(), hasFile: root.kind == mapNode}
	l.settings = append(l.config.settings(), otherSettings()...)
	l.schema = newConfigSchema(l.settings)
	expandChoices(l.root)
	return l
}

// read fills the Config from the tree, in the order of the settings: every
// value is converted here, once.
func (l *configLoader) read() {
	for _, s := range l.settings {
		l.root.each(splitKey(s.key), "", func(path string, n *node) {
			if n.kind != nullNode {
				s.value.set(&l.problems, path, n)
			}
		})
	}
}
