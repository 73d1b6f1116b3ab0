package awstest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
)

func testInstance() Instance {
	return Instance{
		ID: "i-0123456789abcdef0", ImageID: "ami-1", Type: "t3.small", Zone: "eu-west-1b", Address: "10.0.1.7", MAC: "02:00:00:00:00:07",
		Group: true, UserData: []byte("#cloud-config\n{}\n"),
		Role: Role{Name: "registry", AccessKeyID: "ASIATEST", SecretAccessKey: "secret", Token: "session"},
	}
}

// TestMetadataTokens: nothing is answered without a token, and a token is only for who asks for it properly.
func TestMetadataTokens(t *testing.T) {
	t.Parallel()
	m := NewMetadata(testInstance())
	server := httptest.NewServer(m)
	defer server.Close()
	ask := func(method, path string, header ...string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; n < len(header); n += 2 {
			req.Header.Set(header[n], header[n+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	_, token := ask("PUT", "/latest/api/token", ttlHeader, "60")
	for _, c := range []struct {
		method, path string
		header       []string
		status       int
		body         string
	}{
		{"GET", "/latest/meta-data/instance-id", nil, 401, ""},
		{"GET", "/latest/user-data", []string{tokenHeader, "another"}, 401, ""},
		{"GET", "/latest/api/token", []string{ttlHeader, "60"}, 405, ""},
		{"PUT", "/latest/api/token", nil, 400, ""},
		{"PUT", "/latest/api/token", []string{ttlHeader, "21601"}, 400, ""},
		{"PUT", "/latest/api/token", []string{ttlHeader, "60", "X-Forwarded-For", "198.51.100.1"}, 403, ""},
		{"GET", "/latest/meta-data/instance-id", []string{tokenHeader, token}, 200, "i-0123456789abcdef0"},
		{"GET", "/2021-03-23/meta-data/placement/", []string{tokenHeader, token}, 200, "availability-zone\nregion"},
		{"GET", "/latest/meta-data/iam/security-credentials/", []string{tokenHeader, token}, 200, "registry"},
		{"GET", "/latest/meta-data/spot/instance-action", []string{tokenHeader, token}, 404, ""},
		{"GET", "/latest/meta-data/tags/instance/", []string{tokenHeader, token}, 404, ""},
		{"GET", "/latest/user-data", []string{tokenHeader, token}, 200, "#cloud-config\n{}\n"},
	} {
		status, body := ask(c.method, c.path, c.header...)
		if status != c.status || c.body != "" && body != c.body {
			t.Errorf("%s %s %q: %d %q, not %d %q", c.method, c.path, c.header, status, body, c.status, c.body)
		}
	}
	if refused := m.Refused(); len(refused) != 2 {
		t.Errorf("refused: %q", refused)
	}
	if n := m.Answered("/latest/user-data"); n != 1 {
		t.Errorf("the user data was answered %d times", n)
	}
}

// TestMetadataWithSDK reads it as programs on an instance do.
func TestMetadataWithSDK(t *testing.T) {
	t.Parallel()
	m := NewMetadata(testInstance())
	server := httptest.NewServer(m)
	defer server.Close()
	client := imds.New(imds.Options{Endpoint: server.URL})
	document, err := client.GetInstanceIdentityDocument(t.Context(), nil)
	if err != nil || document.Region != "eu-west-1" || document.InstanceID != "i-0123456789abcdef0" {
		t.Errorf("identity: %+v, %v", document, err)
	}
	read := func(path string) string {
		out, err := client.GetMetadata(t.Context(), &imds.GetMetadataInput{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		defer out.Content.Close()
		content, err := io.ReadAll(out.Content)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	const state = "autoscaling/target-lifecycle-state"
	if got := read(state); got != "InService" {
		t.Errorf("%s is %s", state, got)
	}
	m.Set(state, "Terminated")
	if got := read(state); got != "Terminated" {
		t.Errorf("%s is %s", state, got)
	}
	if got := read("iam/security-credentials/registry"); !strings.Contains(got, "\n  \"AccessKeyId\" : \"ASIATEST\",\n") {
		t.Errorf("credentials: %s", got)
	}
}
