package adminapi

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"

	"go.yaml.in/yaml/v3"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

//go:embed openapi.yaml
var openapi []byte

// loadDocument returns the OpenAPI document as JSON.
func loadDocument() ([]byte, error) {
	var doc map[string]any
	if err := yaml.Unmarshal(openapi, &doc); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	return json.MarshalIndent(doc, "", "  ")
}

func (a *api) getDocument(*http.Request) (answer, error) {
	return answer{raw: a.document, kind: "application/json"}, nil
}

func (a *api) getDocumentYAML(*http.Request) (answer, error) {
	return answer{raw: openapi, kind: "application/yaml"}, nil
}

// getServer completes what the configuration says with what is known here.
func (a *api) getServer(*http.Request) (answer, error) {
	s := a.Server()
	s.APIVersions = []string{"v1"}
	s.PasswordPolicy = client.PasswordPolicy{
		MinBytes: oci.MinPasswordBytes, MaxBytes: oci.MaxPasswordBytes, MinBcryptCost: oci.MinBcryptCost, MaxBcryptCost: oci.MaxBcryptCost,
	}
	s.DeleteEnabled = !a.DeletesDisabled
	s.Open = a.Gate.Open()
	if s.Capabilities == nil {
		s.Capabilities = []string{}
	}
	return answer{body: s}, nil
}
