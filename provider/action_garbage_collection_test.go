package provider

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// invoked is what `terraform apply -invoke=…` gets from an action.
type invoked struct {
	said   []string
	errors []string
}

// invoke does what `terraform apply -invoke=…` does, which Terraform before 1.14 cannot.
func invoke(t *testing.T, provider tfprotov6.ProviderServer, kind string, config map[string]any) (in invoked) {
	t.Helper()
	server, ok := provider.(tfprotov6.ActionServer)
	if !ok {
		t.Fatal("the provider has no actions")
	}
	schemas, err := provider.GetProviderSchema(t.Context(), &tfprotov6.GetProviderSchemaRequest{})
	if err != nil {
		t.Fatal(err)
	}
	object, _ := schemas.ActionSchemas[kind].Schema.ValueType().(tftypes.Object)
	limits, _ := object.AttributeTypes["timeouts"].(tftypes.Object)
	values := map[string]tftypes.Value{}
	for name, attribute := range object.AttributeTypes {
		if name != "timeouts" {
			values[name] = tftypes.NewValue(attribute, config[name])
		}
	}
	values["timeouts"] = tftypes.NewValue(limits, nil)
	if patience, ok := config["timeouts"]; ok {
		values["timeouts"] = tftypes.NewValue(limits, map[string]tftypes.Value{"invoke": tftypes.NewValue(tftypes.String, patience)})
	}
	raw := dynamic(t, object, values)
	note := func(diags []*tfprotov6.Diagnostic) {
		for _, d := range diags {
			in.errors = append(in.errors, d.Summary+": "+d.Detail)
		}
	}
	checked, err := server.ValidateActionConfig(t.Context(), &tfprotov6.ValidateActionConfigRequest{ActionType: kind, Config: raw})
	if err != nil {
		t.Fatal(err)
	}
	if note(checked.Diagnostics); len(in.errors) > 0 {
		return in
	}
	stream, err := server.InvokeAction(t.Context(), &tfprotov6.InvokeActionRequest{ActionType: kind, Config: raw})
	if err != nil {
		t.Fatal(err)
	}
	for event := range stream.Events {
		switch e := event.Type.(type) {
		case tfprotov6.ProgressInvokeActionEventType:
			in.said = append(in.said, e.Message)
		case tfprotov6.CompletedInvokeActionEventType:
			note(e.Diagnostics)
		}
	}
	return in
}

// runs has the server do what it does in the background, until the test ends.
func (s *testServer) runs(t *testing.T) {
	t.Helper()
	if err := s.server.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error)
	go func() { ended <- s.server.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func (in invoked) hold(t *testing.T, what string, errors bool, wants ...string) {
	t.Helper()
	texts := in.said
	if errors != (len(in.errors) > 0) {
		t.Errorf("%s: %+v", what, in)
	}
	if errors {
		texts = in.errors
	}
	for _, want := range wants {
		if text := strings.Join(texts, "\n"); !strings.Contains(text, want) {
			t.Errorf("%s: there is no %q in %s", what, want, text)
		}
	}
}

func TestGarbageCollectionAction(t *testing.T) {
	t.Parallel()
	const kind = "registry_garbage_collection"
	s := startServer(t)
	provider := s.protocol(t)
	collect := func(config map[string]any) invoked {
		t.Helper()
		return invoke(t, provider, kind, config)
	}
	collect(nil).hold(t, "a storage that others write to", true, "not marked as exclusive", "PUT /api/v1/storage/exclusive")
	if err := s.admin.SetExclusive(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	collect(map[string]any{"timeouts": "soon"}).hold(t, "no duration", true, "soon")
	collect(map[string]any{"dry_run": true, "timeouts": "1ms"}).hold(t, "a server that does not get to it", true, "has not ended yet", "waited for 1ms")

	s.runs(t)
	in := collect(map[string]any{"dry_run": true})
	for strings.Contains(strings.Join(in.errors, ""), "running already") { // the one from before
		in = collect(map[string]any{"dry_run": true})
	}
	in.hold(t, "a dry run", false, "0 bytes in 0 blobs of 0 repositories; would be deleted: 0 bytes")
	collect(map[string]any{"delete_untagged": true}).hold(t, "a collection", false, "; deleted: 0 bytes")
	reports, err := s.admin.ListCollections(t.Context())
	if err != nil || len(reports) != 2 || !reports[0].DryRun || reports[1].DryRun || !reports[1].Untagged || reports[1].Trigger != "api" {
		t.Errorf("%+v, %v", reports, err)
	}

	s.fail(times(1, status(http.StatusForbidden))...)()
	collect(nil).hold(t, "without the right", true, needCollections)
	s.fail(s.on(http.MethodGet, status(http.StatusInternalServerError)))()
	collect(nil).hold(t, "a server that cannot say how it goes on", true, "Could not see how the garbage collection")
}

// What is garbage is counted by kind and reason.
func TestGarbageCollectionSummary(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	provider := s.protocol(t)
	if err := s.admin.SetExclusive(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	s.runs(t)
	content := "nobody needs it"
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/v2/app/blobs/uploads/?digest="+oci.FromBytes([]byte(content)).String(), strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("admin", adminPassword)
	req.Header.Set("Content-Type", "application/octet-stream")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("push: %d, %v", resp.StatusCode, err)
	}
	invoke(t, provider, "registry_garbage_collection", nil).hold(t, "within the grace", false, "15 bytes in 1 blobs of 1 repositories; deleted: 0 bytes")
}
