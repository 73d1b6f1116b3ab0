package awstest

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// Launched is an instance that the emulator runs, which is to say, that it remembers.
type Launched struct {
	ID, Image, Type, Subnet string
	UserData                string // in base64, as it is given to EC2
	Group                   string // Auto Scaling group, or empty
	Version                 string // of its launch template, or empty
}

// Launched are all instances that have not ended.
func (e *Emulator) Launched(ctx context.Context) ([]Launched, error) {
	var instances []Launched
	err := e.get(ctx, "/awstest/instances", &instances)
	return instances, err
}

// maxUserData bounds user data that is unpacked. EC2 takes 16 KiB, packed.
const maxUserData = 1 << 20

// Files are what cloud-init would write on the instance, by path.
func (l Launched) Files() (map[string]string, error) {
	text, err := base64.StdEncoding.DecodeString(l.UserData)
	if err != nil {
		return nil, fmt.Errorf("user data of %s: %w", l.ID, err)
	}
	if unpacked, err := gzip.NewReader(bytes.NewReader(text)); err == nil {
		if text, err = io.ReadAll(io.LimitReader(unpacked, maxUserData)); err != nil {
			return nil, fmt.Errorf("user data of %s: %w", l.ID, err)
		}
	}
	var config struct {
		Files []struct{ Path, Content string } `yaml:"write_files"`
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		return nil, fmt.Errorf("user data of %s: %w", l.ID, err)
	}
	files := map[string]string{}
	for _, f := range config.Files {
		files[f.Path] = f.Content
	}
	return files, nil
}
