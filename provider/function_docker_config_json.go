package provider

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

var _ function.Function = dockerConfigJSONFunction{}

// dockerConfigJSONFunction is provider::registry::docker_config_json.
type dockerConfigJSONFunction struct{}

type login struct {
	Username types.String `tfsdk:"username"`
	Password types.String `tfsdk:"password"`
}

// dockerHub is what docker calls Docker Hub in its configuration.
const dockerHub = "https://index.docker.io/v1/"

var registryRE = regexp.MustCompile(`^(\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?)(:[0-9]{1,5})?(/[a-z0-9._/-]+)?$`)

func (dockerConfigJSONFunction) Metadata(_ context.Context, _ function.MetadataRequest, resp *function.MetadataResponse) {
	resp.Name = "docker_config_json"
}

func (dockerConfigJSONFunction) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	resp.Definition = function.Definition{
		Summary: "Makes the config.json that docker login would write",
		MarkdownDescription: "Makes the content of a `~/.docker/config.json` that logs in to registries, as `docker login` would write it: for machines, and for Kubernetes secrets of type `kubernetes.io/dockerconfigjson`. " +
			"The result is sensitive or ephemeral where a password is. `docker.io` stands for Docker Hub.",
		Parameters: []function.Parameter{function.MapParameter{
			Name:                "logins",
			MarkdownDescription: "Map of registry (host, with `:port` if needed, without `https://`; podman and Kubernetes also take a path such as `registry.example.com/team`) to an object of `username` and `password`.",
			ElementType: types.ObjectType{AttrTypes: map[string]attr.Type{
				"username": types.StringType,
				"password": types.StringType,
			}},
		}},
		Return: function.StringReturn{},
	}
}

func (dockerConfigJSONFunction) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	var logins map[string]login
	resp.Error = req.Arguments.Get(ctx, &logins)
	if resp.Error != nil {
		return
	}
	text, err := dockerConfigJSON(logins)
	if err != nil {
		resp.Error = function.NewArgumentFuncError(0, phrase(err))
		return
	}
	resp.Error = resp.Result.Set(ctx, text)
}

// dockerConfigJSON writes the configuration. Its errors never hold a password.
func dockerConfigJSON(logins map[string]login) (string, error) {
	type auth struct {
		Auth string `json:"auth"`
	}
	auths := map[string]auth{}
	for _, registry := range slices.Sorted(maps.Keys(logins)) {
		l := logins[registry]
		key, err := dockerConfigKey(registry)
		if err == nil {
			err = l.check()
		}
		if err != nil {
			return "", fmt.Errorf("the login of %q: %w", registry, err)
		}
		if _, twice := auths[key]; twice {
			return "", fmt.Errorf("the login of %q: there is another one for the same registry, %s", registry, key)
		}
		auths[key] = auth{base64.StdEncoding.EncodeToString([]byte(l.Username.ValueString() + ":" + l.Password.ValueString()))}
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(map[string]any{"auths": auths}); err != nil {
		return "", err
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

// dockerConfigKey returns how docker's configuration calls a registry.
func dockerConfigKey(registry string) (string, error) {
	switch {
	case registry == "docker.io", registry == "index.docker.io", registry == dockerHub:
		return dockerHub, nil
	case strings.Contains(registry, "://"):
		return "", errors.New("a registry is written without https:// or http://")
	case !registryRE.MatchString(registry):
		return "", errors.New("this is not a registry; write a host and, if needed, a port, such as registry.example.com or localhost:5000")
	}
	return registry, nil
}

func (l login) check() error {
	username, password := l.Username.ValueString(), l.Password.ValueString()
	switch {
	case username == "":
		return errors.New("the user name is empty")
	case strings.ContainsAny(username, ":\x00"):
		return errors.New("the user name holds a colon or NUL, which a login cannot carry")
	case password == "":
		return errors.New("the password is empty")
	case strings.Contains(password, "\x00"):
		return errors.New("the password holds NUL, which a login cannot carry")
	}
	return nil
}
