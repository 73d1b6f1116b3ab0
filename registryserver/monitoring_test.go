package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	adminclient "github.com/registrykit/terraform-provider-registry/registryserver/client"
)

const monitoringExample = "../examples/monitoring"

// The alerts fire when they should, and only then, by Prometheus's own test.
func TestAlerts(t *testing.T) {
	t.Parallel()
	promtool := tool(t, "promtool")
	for _, args := range [][]string{{"check", "config", "prometheus.yml"}, {"test", "rules", "alerts_test.yml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = monitoringExample
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %q: %v\n%s", args, err, out)
		}
	}
	tried := string(mustRead(t, filepath.Join(monitoringExample, "alerts_test.yml")))
	for _, rule := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(string(mustRead(t, filepath.Join(monitoringExample, "alerts.yml"))), -1) {
		if !strings.Contains(tried, "alertname: "+rule[1]+"\n        exp_alerts:") {
			t.Errorf("alerts_test.yml has no case in which %s fires", rule[1])
		}
	}
}

// A real Prometheus, with the example's configuration, scrapes a server that has
// done a bit of everything: every query of the dashboard and every alert is of
// metrics that are there.
func TestDashboard(t *testing.T) {
	t.Parallel()
	program := tool(t, "prometheus")
	debug := freeAddress(t)
	config := startS3(t).config() + fmt.Sprintf("\nhttp: {debug: {addr: %q, prometheus: {enabled: true}}}\n", debug)
	p := startServer(t, config, "REGISTRY_ADMIN_USERNAME=admin", "REGISTRY_ADMIN_PASSWORD=change-me-please", "REGISTRY_GC_GRACE=0s", "REGISTRY_AUDIT_ENABLED=true")
	aBitOfEverything(t, p)
	prometheus := startPrometheus(t, program, debug)

	var series []string
	eventually(t, "the server's metrics", func() error {
		var names struct{ Data []string }
		if err := json.Unmarshal(prometheus.get(t, "/api/v1/label/__name__/values", nil), &names); err != nil {
			return err
		}
		if series = names.Data; !slices.Contains(series, "registry_s3_requests_total") || !slices.Contains(series, "registry_proxy_size_bytes") {
			return fmt.Errorf("there are %q", series)
		}
		return nil
	})
	series = append(series, "registry_tls_certificate_expiry_timestamp_seconds") // of servers with TLS: TestACME asks one for it
	var rules struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Query, Health, LastError string }
			}
		}
	}
	if err := json.Unmarshal(prometheus.get(t, "/api/v1/rules", nil), &rules); err != nil || len(rules.Data.Groups) != 1 {
		t.Fatalf("rules: %v, %+v", err, rules)
	}
	known := regexp.MustCompile(`\b(registry|process|go)_[a-z0-9_]+`)
	check := func(where, query string) {
		if query == "" {
			t.Errorf("%s has no query", where)
		}
		prometheus.get(t, "/api/v1/query", url.Values{"query": {query}})
		for _, name := range known.FindAllString(query, -1) {
			if !slices.Contains(series, name) {
				t.Errorf("%s: the server has no metric %s", where, name)
			}
		}
	}
	for _, rule := range rules.Data.Groups[0].Rules {
		check(rule.Name, rule.Query)
		if rule.LastError != "" {
			t.Errorf("%s: %s", rule.Name, rule.LastError)
		}
	}
	for where, query := range dashboardQueries(t) {
		check(where, strings.NewReplacer("$job", "registry", "$__rate_interval", "1m").Replace(query))
	}
}

// aBitOfEverything makes the server count whatever it counts.
func aBitOfEverything(t *testing.T, p *process) {
	t.Helper()
	// Not logged in yet.
	if resp, _ := do(t, http.MethodGet, p.URL+"/v2/", nil, "Authorization", "Basic YWRtaW46d3Jvbmc="); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a wrong password: %s", resp.Status)
	}
	p.login("admin", "change-me-please")
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(receiver.Close)
	if resp, body := do(t, http.MethodPost, p.URL+"/api/v1/webhooks", fmt.Appendf(nil, `{"name":"ci","url":%q}`, receiver.URL), "Content-Type", "application/json"); resp.StatusCode != http.StatusCreated {
		t.Fatalf("a webhook: %s %s", resp.Status, body)
	}
	layer, conf := tiny(1)
	for _, content := range [][]byte{layer, conf} {
		pushBlob(t, p, "app", sha256Digest(content), content)
	}
	pushManifest(t, p, "app", "v1", tinyType, tinyManifest(conf, layer))
	do(t, http.MethodGet, p.URL+"/v2/app/manifests/v1", nil, "Accept", tinyType)
	do(t, http.MethodGet, p.URL+"/v2/app/manifests/none", nil)
	resp, _ := do(t, http.MethodPost, p.URL+"/v2/app/blobs/uploads/", nil)
	do(t, http.MethodDelete, p.URL+resp.Header.Get("Location"), nil)
	up := startUpstream(t)
	cacheOf(t, p, adminclient.ProxyCacheSpec{Prefix: "hub", UpstreamURL: up.URL, MaxSizeBytes: 1})
	cached := up.publish(t, "app", "v1", layer)
	for range 2 {
		pulls(t, p, "hub/app/manifests/"+sha256Digest(cached), cached)
	}
	if resp, body := do(t, http.MethodPost, p.URL+"/api/v1/collections", []byte(`{}`), "Content-Type", "application/json"); resp.StatusCode != http.StatusAccepted {
		t.Errorf("a collection: %s %s", resp.Status, body)
	}
}

func startPrometheus(t *testing.T, program, scraped string) *prometheusServer {
	t.Helper()
	dir, address := t.TempDir(), freeAddress(t)
	text := string(mustRead(t, filepath.Join(monitoringExample, "prometheus.yml")))
	changed := strings.NewReplacer("127.0.0.1:5001", scraped, "interval: 15s", "interval: 1s").Replace(text)
	for name, content := range map[string]string{"prometheus.yml": changed, "alerts.yml": string(mustRead(t, filepath.Join(monitoringExample, "alerts.yml")))} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), program, "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	output := &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("Prometheus says:\n%s", output.tail())
		}
	})
	s := &prometheusServer{"http://" + address}
	eventually(t, "Prometheus", func() error {
		resp, err := http.Get(s.url + "/-/ready")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("/-/ready: %s", resp.Status)
		}
		return nil
	})
	return s
}

type prometheusServer struct{ url string }

func (s *prometheusServer) get(t *testing.T, path string, query url.Values) []byte {
	t.Helper()
	resp, body := do(t, http.MethodGet, s.url+path+"?"+query.Encode(), nil)
	if resp.StatusCode != http.StatusOK {
		t.Errorf("%s %s: %s %s", path, query, resp.Status, body)
	}
	return body
}

// dashboardQueries are the queries of the dashboard, by panel. Panels have a
// description and a place of their own.
func dashboardQueries(t *testing.T) map[string]string {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			ID                       int
			Type, Title, Description string
			GridPos                  struct{ X, Y, W, H int }
			Targets                  []struct{ RefID, Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal(mustRead(t, filepath.Join(monitoringExample, "dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	queries, ids, taken := map[string]string{}, map[int]bool{}, map[[2]int]string{}
	for _, panel := range dashboard.Panels {
		if ids[panel.ID] {
			t.Errorf("panel %s has the id %d, which another has, too", panel.Title, panel.ID)
		}
		ids[panel.ID] = true
		for x := panel.GridPos.X; x < panel.GridPos.X+panel.GridPos.W; x++ {
			for y := panel.GridPos.Y; y < panel.GridPos.Y+panel.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("panel %s lies on %q or beyond the edge", panel.Title, other)
				}
				taken[[2]int{x, y}] = panel.Title
			}
		}
		if panel.Type == "row" {
			continue
		}
		if panel.Description == "" || len(panel.Targets) == 0 {
			t.Errorf("panel %s has no description or no query", panel.Title)
		}
		for _, target := range panel.Targets {
			queries[panel.Title+" "+target.RefID] = target.Expr
		}
	}
	if len(queries) == 0 {
		t.Fatal("no queries")
	}
	return queries
}

// eventually tries until it works.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}
