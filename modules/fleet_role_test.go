//go:build linux

package modules

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/registrykit/terraform-provider-registry/modules/awstest"
)

// useEverything does what no push and pull does, so that machines ask for all that their role allows: large uploads are copied in ranges,
// cancelled and left behind, and something is deleted.
func useEverything(t *testing.T, f *fleet) {
	big := bytes.Repeat([]byte("everything "), 4<<20)
	begin := func() string {
		t.Helper()
		resp, said, err := f.ask(http.MethodPost, "/v2/team/everything/blobs/uploads/", nil)
		if err != nil || resp.StatusCode != http.StatusAccepted {
			t.Fatalf("begin an upload: %v %v %s", resp, err, said)
		}
		resp, said, err = f.ask(http.MethodPatch, resp.Header.Get("Location"), big, "Content-Type", "application/octet-stream")
		if err != nil || resp.StatusCode != http.StatusAccepted {
			t.Fatalf("upload: %v %v %s", resp, err, said)
		}
		return resp.Header.Get("Location")
	}
	for _, step := range []struct {
		method, url string
		status      int
	}{
		{http.MethodPut, begin() + "&digest=" + digestOf(big), http.StatusCreated},
		{http.MethodDelete, begin(), http.StatusNoContent},
		{http.MethodDelete, "/v2/team/docker/manifests/1", http.StatusAccepted},
	} {
		if resp, said, err := f.ask(step.method, step.url, nil); err != nil || resp.StatusCode != step.status {
			t.Errorf("%s %.80s: %v %v %s", step.method, step.url, resp, err, said)
		}
	}
	begin() // and is never seen again
	awstest.Eventually(t, 5*time.Minute, "an upload that was left behind is swept", func(ctx context.Context) error {
		out, err := f.s3.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: aws.String(fleetBucket)})
		if err == nil && len(out.Uploads) > 0 {
			err = fmt.Errorf("there are %d", len(out.Uploads))
		}
		return err
	})
}

// testFailedLaunch: a program that is not the one whose checksum was given does not run. The machine says why and switches itself off, and those
// that are there stay.
func testFailedLaunch(t *testing.T, f *fleet) {
	before, known := f.ids(), f.machines.Machines()
	release := f.release("1.0.2")
	release["sha256"] = strings.Repeat("0", 64)
	f.apply(release)
	awstest.Eventually(t, 4*time.Minute, "the refresh has failed", func(ctx context.Context) error {
		states, err := f.cloud.Refreshes(ctx, "fleet")
		if err == nil && (len(states) == 0 || states[0] != "Failed") {
			err = fmt.Errorf("%v", states)
		}
		return err
	})
	awstest.Eventually(t, time.Minute, "only those that were there stay", func(context.Context) error {
		if here := f.ids(); !slices.Equal(here, before) {
			return fmt.Errorf("%v instead of %v", here, before)
		}
		return nil
	})
	failed := f.machines.Machines()[len(known):]
	if len(failed) == 0 {
		t.Fatal("no machine was started")
	}
	reason := fmt.Sprintf("is not the program whose SHA-256 is %s", release["sha256"])
	for _, m := range failed {
		if !m.SwitchedOff() {
			t.Errorf("%s did not switch itself off", m.Instance.ID)
		}
		if console := m.Console(); !strings.Contains(console, reason) {
			t.Errorf("the console of %s has no %q:\n%s", m.Instance.ID, reason, console)
		}
		if report, err := f.read("registrykit/v1/boot/" + m.Instance.ID); err != nil || !strings.Contains(report, reason) {
			t.Errorf("the boot report of %s is %q, %v", m.Instance.ID, report, err)
		}
	}
	f.pushAndPull(t, "untouched")
}

// read returns an object of the registry's bucket.
func (f *fleet) read(key string) (string, error) {
	out, err := f.s3.GetObject(f.Context(), &s3.GetObjectInput{Bucket: aws.String(fleetBucket), Key: &key})
	if err != nil {
		return "", err
	}
	defer out.Body.Close()
	var content bytes.Buffer
	_, err = content.ReadFrom(out.Body)
	return content.String(), err
}

// testRole holds the role that Terraform made to what machines have asked of AWS since the beginning: nothing is missing, nothing is unused.
func testRole(t *testing.T, f *fleet) {
	var calls []awstest.APICall
	counts := map[string]int{}
	for _, c := range f.apis.Calls() {
		switch c.AccessKeyID {
		case f.role.AccessKeyID:
			calls = append(calls, c)
			counts[c.Action]++
			if c.Status == http.StatusForbidden || c.Status == http.StatusUnauthorized {
				t.Errorf("%s on %s was answered %d", c.Action, c.Resource, c.Status)
			}
		default:
			t.Errorf("%s on %s was asked with %q, not with the role's credentials", c.Action, c.Resource, c.AccessKeyID)
		}
	}
	// S3 asks for the key itself.
	if key := f.work.Output("kms_key_arn"); key != "" {
		calls = awstest.WithKMS(calls, "arn:aws:s3:::"+fleetBucket+"/", key)
	}
	missing, unused := awstest.Compare(f.allowed, calls)
	for _, m := range missing {
		t.Errorf("asked, and not allowed: %s", m)
	}
	for _, u := range unused {
		if why := elsewhere(u); why != "" {
			t.Logf("allowed, and not asked here: %s, since %s", u, why)
			continue
		}
		t.Errorf("allowed, and never asked: %s", u)
	}
	t.Logf("with the role's credentials were asked %v", counts)
}

// elsewhere is why something that the role allows is not asked for here, though it is needed.
func elsewhere(allowed string) string {
	for prefix, why := range map[string]string{
		"OwnGroup: autoscaling:SuspendProcesses": "only the third launch in a row that fails asks for it; failures_test.go has one",
		"BootReport: ":                           "only an instance that can use neither program nor bucket asks for it; TestAWSFailedStorage of the server does",
	} {
		if strings.HasPrefix(allowed, prefix) {
			return why
		}
	}
	return ""
}
