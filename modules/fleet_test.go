//go:build linux

package modules

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/modules/awstest"
)

// TestFleet: one apply from nothing to users, with machines that start from the launch template's user data; then clients, a refresh under load,
// S3 away, a launch that fails; and the role of the instances held to what they asked of AWS.
func TestFleet(t *testing.T) {
	if testing.Short() {
		t.Skip("NOT TESTED in the short form: a fleet of machines is replaced under load; make full does it")
	}
	f := newFleet(t)
	f.apply(f.release("1.0.0"))
	f.expectMachines(t, "1.0.0", 2)
	for _, step := range []struct {
		name string
		run  func(*testing.T, *fleet)
	}{
		{"metadata", testMetadata},
		{"docker", testDocker},
		{"refresh", testRefresh},
		{"outage", testOutage},
		{"everything", useEverything},
		{"failed launch", testFailedLaunch},
		{"role", testRole},
	} {
		t.Run(step.name, func(t *testing.T) { step.run(t, f) })
	}
	f.destroy()
}

// testMetadata: what the machines have run with is what Terraform made, and the metadata service has refused nothing, since all that they
// have asks as version 2 wants it.
func testMetadata(t *testing.T, f *fleet) {
	for _, m := range f.machines.Here() {
		for _, refused := range m.Metadata.Refused() {
			t.Errorf("%s was refused %s", m.Instance.ID, refused)
		}
		if m.Metadata.Answered("/latest/user-data") == 0 {
			t.Errorf("%s never asked for its user data", m.Instance.ID)
		}
		if out, err := m.Run("systemctl", "--failed", "--plain", "--no-legend"); err != nil || out != "" {
			t.Errorf("%s: %v %s", m.Instance.ID, err, out)
		}
		if out, err := m.Run("stat", "--format", "%u %a", "/usr/local/bin/registryserver"); err != nil || out != "0 755" {
			t.Errorf("the program: %s, %v", out, err)
		}
	}
}

// testRefresh changes what the machines run, under load: each new one is in service before an old one goes, and no request fails.
func testRefresh(t *testing.T, f *fleet) {
	before, own := f.machines.Here(), f.balancer.Own()
	l := f.startLoad(t)
	f.apply(f.release("1.0.1"))
	began := time.Now()
	awstest.Eventually(t, 8*time.Minute, "the refresh", func(ctx context.Context) error {
		states, err := f.cloud.Refreshes(ctx, "fleet")
		if err == nil && (len(states) == 0 || states[0] != "Successful") {
			err = fmt.Errorf("%v", states)
		}
		return err
	})
	f.expectMachines(t, "1.0.1", 2)
	time.Sleep(3 * time.Second) // some requests with the new ones alone
	l.end()
	t.Logf("refreshed %s after the apply; %s", time.Since(began).Round(time.Second), l)
	for _, failure := range l.failures {
		t.Errorf("failed: %s", failure)
	}
	if l.pulls == 0 || l.pushes == 0 {
		t.Error("there was no load")
	}
	if after := f.balancer.Own(); !maps.Equal(after, own) {
		t.Errorf("the load balancer has answered itself: %v, before %v", after, own)
	}
	for _, m := range before {
		f.expectDrained(t, m)
	}
}

// testOutage: S3 goes away, and comes back. Nobody is replaced, requests are told to come again, and all is well afterwards.
func testOutage(t *testing.T, f *fleet) {
	before := f.ids()
	f.apis.Away("s3", true)
	began, unavailable := time.Now(), 0
	for time.Since(began) < f.outage {
		for id, state := range f.balancer.States() {
			if state != "healthy" {
				t.Fatalf("%s is %s after %s without S3", id, state, time.Since(began).Round(time.Second))
			}
		}
		switch status, err := f.tags(); {
		case err != nil:
			t.Fatalf("a request without S3: %v", err)
		case status == 503:
			unavailable++
		case status != 200: // known from before
			t.Fatalf("a request without S3 is answered %d", status)
		}
		time.Sleep(2 * time.Second)
	}
	f.apis.Away("s3", false)
	back := time.Now()
	awstest.Eventually(t, time.Minute, "requests after the outage", func(context.Context) error {
		status, err := f.tags()
		if err == nil && status != 200 {
			err = errors.New(fmt.Sprint(status))
		}
		return err
	})
	t.Logf("S3 was away for %s, %d requests were answered 503, all was well again after %s", f.outage, unavailable, time.Since(back).Round(100*time.Millisecond))
	if unavailable == 0 {
		t.Error("no request needed S3")
	}
	if after := f.ids(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the machines %v were replaced by %v", before, after)
	}
	f.pushAndPull(t, "after")
}
