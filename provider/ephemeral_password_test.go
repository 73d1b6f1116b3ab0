package provider

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-testing/echoprovider"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfversion"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

func TestNewPassword(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		classes := passwordModel{}.classes()
		p, err := newPassword(oci.MinPasswordBytes, classes)
		if err != nil || oci.CheckPassword(p) != nil || len(p) != oci.MinPasswordBytes || seen[p] {
			t.Fatalf("%q, %v, again: %t", p, err, seen[p])
		}
		seen[p] = true
		for _, class := range classes {
			if !strings.ContainsAny(p, class) {
				t.Errorf("%q has none of %q", p, class)
			}
		}
		if strings.Trim(p, strings.Join(classes, "")) != "" {
			t.Errorf("%q has something else", p)
		}
	}
	if _, err := newPassword(3, []string{"a", "b", "c", "d"}); err == nil {
		t.Error("a password of 4 kinds in 3 characters")
	}
	if _, err := newPassword(8, nil); err == nil {
		t.Error("a password of nothing")
	}
}

// Whatever symbols are taken, passwords of them are taken by the server.
func FuzzSymbols(f *testing.F) {
	for _, seed := range []string{"", "_.", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", "aa", "ü", " ", "\x00", "!!"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, symbols string) {
		if checkSymbols(symbols) != nil {
			return
		}
		classes := passwordModel{Symbols: types.StringValue(symbols)}.classes()
		p, err := newPassword(oci.MinPasswordBytes, classes)
		if err != nil || oci.CheckPassword(p) != nil || symbols != "" && !strings.ContainsAny(p, symbols) {
			t.Errorf("%q: %q, %v", symbols, p, err)
		}
	})
}

// echo shows what is ephemeral; only here does a password get into a state.
const echo = "\nprovider \"echo\" {\n  data = ephemeral.registry_password.alice\n}\nresource \"echo\" \"shown\" {}\n"

func TestPasswordEphemeralResource(t *testing.T) {
	s := startServer(t)
	config := func(arguments, user string) string {
		return s.config("ephemeral \"registry_password\" \"alice\" {\n%s\n}\n%s", arguments, user) + echo
	}
	shown := func(check func(password string) error) statecheck.StateCheck {
		return statecheckFunc(func(req statecheck.CheckStateRequest) error {
			data, _ := stateOf(req, "echo.shown")["data"].(map[string]any)
			password, _ := data["password"].(string)
			if password == "" {
				return fmt.Errorf("there is no password in %v", data)
			}
			return check(password)
		})
	}
	like := func(arguments string, length int, characters string) resource.TestStep {
		return resource.TestStep{
			Taint: []string{"echo.shown"}, Config: config(arguments, ""),
			ConfigStateChecks: []statecheck.StateCheck{shown(func(p string) error {
				if len(p) != length || strings.Trim(p, characters) != "" {
					return fmt.Errorf("%q is not %d of %s", p, length, characters)
				}
				return nil
			})},
		}
	}
	const user = `
resource "registry_user" "alice" {
  username            = "alice"
  password_wo         = ephemeral.registry_password.alice.password
  password_wo_version = 1
}
`
	factories := factories(testProvider())
	factories["echo"] = echoprovider.NewProviderServer()
	t.Parallel()
	resource.UnitTest(t, resource.TestCase{
		TerraformVersionChecks:   []tfversion.TerraformVersionCheck{tfversion.SkipBelow(tfversion.Version1_11_0)},
		ProtoV6ProviderFactories: factories,
		Steps: []resource.TestStep{
			{Config: config("length = 7", ""), ExpectError: says("must be between 8 and 72")},
			{Config: config("length = 73", ""), ExpectError: says("must be between 8 and 72")},
			{Config: config(`symbols = "ab"`, ""), ExpectError: says("is no symbol")},
			{Config: config(`symbols = "!!"`, ""), ExpectError: says("symbol is there twice")},
			{Config: config("lower = false\n upper = false\n digits = false\n symbols = \"\"", ""), ExpectError: says("A password of nothing")},
			{
				Config:           config("", user),
				ConfigPlanChecks: expectAction(userAlice, create),
				ConfigStateChecks: []statecheck.StateCheck{shown(func(p string) error {
					if got := s.login("alice", p); got != 200 || len(p) != defaultPasswordLength {
						return fmt.Errorf("login: %d, with %d characters", got, len(p))
					}
					return nil
				}), statecheckFunc(func(req statecheck.CheckStateRequest) error {
					shown, _ := stateOf(req, "echo.shown")["data"].(map[string]any)
					text, err := json.Marshal(stateOf(req, userAlice))
					if err != nil || strings.Contains(string(text), fmt.Sprint(shown["password"])) {
						return fmt.Errorf("the state of the user holds the password, %w", err)
					}
					return nil
				})},
			},
			{ // it is another one now, and nothing changes for it
				Config:           config("", user),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(userAlice, noop)}},
			},
			like("length = 72\n lower = false\n upper = false\n symbols = \"\"", 72, "0123456789"),
			like("length = 8\n digits = false\n upper = false\n symbols = \"#\"", 8, "abcdefghijklmnopqrstuvwxyz#"),
		},
	})
	s.isEmpty(t)
	if n := len(s.requests); n > 20 {
		t.Errorf("%d requests", n)
	}
}

// It needs no server, and waits for what is not known yet.
func TestPasswordNeedsNoServer(t *testing.T) {
	factories := factories(testProvider())
	factories["echo"] = echoprovider.NewProviderServer()
	t.Parallel()
	resource.UnitTest(t, resource.TestCase{
		TerraformVersionChecks:   []tfversion.TerraformVersionCheck{tfversion.SkipBelow(tfversion.Version1_11_0)},
		ProtoV6ProviderFactories: factories,
		Steps: []resource.TestStep{{
			Config: `
resource "terraform_data" "length" { input = 40 }
ephemeral "registry_password" "alice" {
  length  = terraform_data.length.output
  symbols = terraform_data.length.output == 40 ? "-" : "+"
}
` + echo,
			ConfigStateChecks: []statecheck.StateCheck{statecheckFunc(func(req statecheck.CheckStateRequest) error {
				data, _ := stateOf(req, "echo.shown")["data"].(map[string]any)
				if p := fmt.Sprint(data["password"]); len(p) != 40 || !strings.Contains(p, "-") {
					return fmt.Errorf("the password is %q", p)
				}
				return nil
			})},
		}},
	})
}
