package modules

import (
	"testing"

	"github.com/registrykit/terraform-provider-registry/modules/awstest"
)

func TestAWS(t *testing.T) {
	t.Parallel()
	tf := awstest.NewTerraform(t)
	t.Run("network", func(t *testing.T) {
		e := awstest.Start(t, awstest.Options{})
		w := tf.Workspace(t, "modules/testing/roots/network", e)
		t.Log(w.Apply())
		if changes, said := w.Plan(); len(changes) > 0 {
			t.Errorf("%v\n%s", changes, said)
		}
		w.Variables(map[string]any{"egress": "endpoints"})
		changes, _ := w.Plan()
		t.Log(changes)
		w.Apply()
		if changes, said := w.Plan(); len(changes) > 0 {
			t.Errorf("%v\n%s", changes, said)
		}
		w.Destroy()
		for _, left := range e.Left(t) {
			t.Errorf("left: %s", left)
		}
		t.Log(len(e.Calls(t)))
	})
}
