package server

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Masked returns the effective configuration as YAML that LoadConfig reads
// back, with every secret replaced by "***". Keys that are unset are left out.
func (c *Config) Masked() ([]byte, error) {
	root := &node{}
	root.put("version", textOf("!!float", configVersion))
	for _, s := range c.settings() {
		if n := s.value.node(); n != nil {
			root.put(s.key, n)
		}
	}
	out, err := yaml.Marshal(root.yaml())
	if err != nil {
		return nil, fmt.Errorf("print the configuration: %w", err)
	}
	return out, nil
}
