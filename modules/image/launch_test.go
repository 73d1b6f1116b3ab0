package image_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
	"testing"

	"github.com/registrykit/terraform-provider-registry/modules/awstest"
)

// launch applies module cluster and makes the world's instance the one that the group launches. It returns the user data of the launch
// template's version that the group launched it from, followed by files that only the test needs.
func (w *world) launch(t *testing.T, files map[string]string) []byte {
	t.Helper()
	work := awstest.NewTerraform(t).Workspace(t, "modules/testing/roots/boot", w.emulator)
	work.Variables(map[string]any{"ami_id": w.emulator.AMI(t, "registryserver", "x86_64"), "bucket": bucket, "config": w.config()})
	work.Apply()
	member := w.member(t)
	template, err := w.cloud().LaunchTemplate(t.Context(), member.Template, member.Version)
	if err != nil {
		t.Fatal(err)
	}
	if template.HTTPTokens != "required" || template.HopLimit != 1 {
		t.Errorf("the launch template has the metadata options %q, %d", template.HTTPTokens, template.HopLimit)
	}
	w.instanceID = member.ID
	files[emulatedPath] = w.emulated()
	return withFiles(t, template.UserData, files)
}

func (w *world) cloud() awstest.Cloud {
	return awstest.Cloud{Endpoint: w.emulator.URL, Region: awstest.Region}
}

// member is the only one of the group.
func (w *world) member(t *testing.T) awstest.Member {
	t.Helper()
	var members []awstest.Member
	eventually(t, "the group launches an instance", func(ctx context.Context) (err error) {
		members, err = w.cloud().Members(ctx)
		if err == nil && len(members) != 1 {
			err = fmt.Errorf("there are %d", len(members))
		}
		return err
	})
	return members[0]
}

// toldToGoOn is nil once the instance has completed a lifecycle hook. Whether in time is another matter: it boots slowly here.
func (w *world) toldToGoOn(t *testing.T) error {
	for _, call := range w.emulator.Calls(t) {
		if call.Action == "CompleteLifecycleAction" && call.AccessKey == accessKey && call.Status == http.StatusOK {
			return nil
		}
	}
	return errors.New("it was not")
}

// withFiles is user data, as it is, and a script that writes files early in the boot.
func withFiles(t *testing.T, userData []byte, files map[string]string) []byte {
	t.Helper()
	script := "#cloud-boothook\n#!/bin/sh\n"
	for path, content := range files {
		script += fmt.Sprintf("mkdir -p \"$(dirname %s)\"\nbase64 -d >%s <<END\n%s\nEND\n", path, path, base64.StdEncoding.EncodeToString([]byte(content)))
	}
	var all bytes.Buffer
	parts := multipart.NewWriter(&all)
	fmt.Fprintf(&all, "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=%q\n\n", parts.Boundary())
	for _, part := range []struct{ kind, content string }{{"text/cloud-boothook", script}, {kindOf(userData), string(userData)}} {
		w, err := parts.CreatePart(textproto.MIMEHeader{"Content-Type": {part.kind}, "Content-Transfer-Encoding": {"base64"}, "MIME-Version": {"1.0"}})
		if err == nil {
			_, err = fmt.Fprintln(w, base64.StdEncoding.EncodeToString([]byte(part.content)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := parts.Close(); err != nil {
		t.Fatal(err)
	}
	return all.Bytes()
}

func kindOf(userData []byte) string {
	if strings.HasPrefix(string(userData), "\x1f\x8b") {
		return "application/gzip"
	}
	return "text/cloud-config"
}
