// Package awstest is AWS for tests: an emulator that Terraform applies to, and machines that start from what Terraform made there. Nothing
// of it is part of the product.
package awstest

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Instance is what its metadata service says of a machine.
type Instance struct {
	ID      string
	ImageID string
	Type    string
	Zone    string // such as eu-west-1a
	Account string // the default is 123456789012
	Address string // private, IPv4
	MAC     string
	Spot    bool
	Group   bool              // one of an Auto Scaling group
	Tags    map[string]string // empty where the launch template does not show tags to the instance
	// UserData as it comes out of the launch template's base64: gzip stays gzip.
	UserData []byte
	Role     Role
}

// Role is the instance's role with the credentials that it has.
type Role struct {
	Name            string
	AccessKeyID     string
	SecretAccessKey string
	Token           string
}

// Region that the instance is in.
func (i Instance) Region() string { return i.Zone[:len(i.Zone)-1] }

// Metadata is the metadata service of one instance, version 2 only: without a token, which only a PUT gets, there is nothing.
type Metadata struct {
	instance Instance

	mu       sync.Mutex
	entries  map[string]string // below meta-data/ and dynamic/
	tokens   map[string]time.Time
	refused  []string
	answered map[string]int
}

// NewMetadata returns the metadata service of an instance.
func NewMetadata(i Instance) *Metadata {
	if i.Account == "" {
		i.Account = "123456789012"
	}
	name := "ip-" + strings.ReplaceAll(i.Address, ".", "-")
	host := name + "." + i.Region() + ".compute.internal"
	lifecycle := "on-demand"
	if i.Spot {
		lifecycle = "spot"
	}
	nic := "meta-data/network/interfaces/macs/" + i.MAC + "/"
	m := &Metadata{instance: i, tokens: map[string]time.Time{}, answered: map[string]int{}, entries: map[string]string{
		"meta-data/ami-id":                      i.ImageID,
		"meta-data/ami-launch-index":            "0",
		"meta-data/hostname":                    host,
		"meta-data/instance-action":             "none",
		"meta-data/instance-id":                 i.ID,
		"meta-data/instance-life-cycle":         lifecycle,
		"meta-data/instance-type":               i.Type,
		"meta-data/local-hostname":              host,
		"meta-data/local-ipv4":                  i.Address,
		"meta-data/mac":                         i.MAC,
		"meta-data/placement/availability-zone": i.Zone,
		"meta-data/placement/region":            i.Region(),
		"meta-data/reservation-id":              "r-0123456789abcdef0",
		"meta-data/services/domain":             "amazonaws.com",
		"meta-data/services/partition":          "aws",
		nic + "device-number":                   "0",
		nic + "local-ipv4s":                     i.Address,
		nic + "mac":                             i.MAC,
		"dynamic/instance-identity/document":    i.identity(),
	}}
	if i.Group {
		m.entries["meta-data/autoscaling/target-lifecycle-state"] = "InService"
	}
	if i.Role.Name != "" {
		m.entries["meta-data/iam/security-credentials/"+i.Role.Name] = "" // made when it is asked for
	}
	for key, value := range i.Tags {
		m.entries["meta-data/tags/instance/"+key] = value
	}
	return m
}

// identity is the instance identity document; cloud-init waits for minutes where there is none.
func (i Instance) identity() string {
	document, _ := json.MarshalIndent(map[string]any{
		"accountId": i.Account, "architecture": "x86_64", "availabilityZone": i.Zone, "imageId": i.ImageID, "instanceId": i.ID,
		"instanceType": i.Type, "privateIp": i.Address, "region": i.Region(), "version": "2017-09-30",
	}, "", "  ")
	return string(document)
}

// credentials are JSON with one string in each line, as EC2 answers.
func (r Role) credentials() string {
	now := time.Now().UTC()
	return fmt.Sprintf("{\n  \"Code\" : \"Success\",\n  \"LastUpdated\" : %q,\n  \"Type\" : \"AWS-HMAC\",\n  \"AccessKeyId\" : %q,\n  \"SecretAccessKey\" : %q,\n  \"Token\" : %q,\n  \"Expiration\" : %q\n}",
		now.Format(time.RFC3339), r.AccessKeyID, r.SecretAccessKey, r.Token, now.Add(6*time.Hour).Format(time.RFC3339))
}

// Set makes an entry of the metadata, such as autoscaling/target-lifecycle-state or spot/instance-action, say something.
func (m *Metadata) Set(path, value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries["meta-data/"+path] = value
}

// Refused are the requests that were refused since they had no token.
func (m *Metadata) Refused() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.refused)
}

// Answered is how often a path, such as /latest/user-data, was answered; whatever the version of the API.
func (m *Metadata) Answered(path string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.answered[path]
}

const (
	tokenHeader = "X-Aws-Ec2-Metadata-Token"
	ttlHeader   = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
	maxTokenTTL = 21600 // six hours
)

func (m *Metadata) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w.Header().Set("Server", "EC2ws")
	switch {
	case r.URL.Path == "/latest/api/token":
		m.serveToken(w, r)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
		return
	case time.Now().After(m.tokens[r.Header.Get(tokenHeader)]):
		m.refused = append(m.refused, r.Method+" "+r.URL.Path)
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
		return
	}
	// The first element is the version of the API: latest, or a date.
	_, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	value, ok := m.find(strings.TrimSuffix(path, "/"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	m.answered["/latest/"+strings.TrimSuffix(path, "/")]++
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("Content-Length", strconv.Itoa(len(value)))
	_, _ = io.WriteString(w, value)
}

// serveToken answers a PUT with a new token.
func (m *Metadata) serveToken(w http.ResponseWriter, r *http.Request) {
	ttl, err := strconv.Atoi(r.Header.Get(ttlHeader))
	switch {
	case r.Method != http.MethodPut:
		http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
	case r.Header.Get("X-Forwarded-For") != "": // a proxy that anybody may use is not the instance
		http.Error(w, "Forbidden", http.StatusForbidden)
	case err != nil || ttl < 1 || ttl > maxTokenTTL:
		http.Error(w, "Bad Request", http.StatusBadRequest)
	default:
		token := rand.Text()
		m.tokens[token] = time.Now().Add(time.Duration(ttl) * time.Second)
		w.Header().Set(ttlHeader, strconv.Itoa(ttl))
		_, _ = io.WriteString(w, token)
	}
}

// find returns an entry, or what is listed below a folder.
func (m *Metadata) find(path string) (string, bool) {
	switch path {
	case "user-data":
		return string(m.instance.UserData), len(m.instance.UserData) > 0
	case "meta-data/iam/security-credentials/" + m.instance.Role.Name:
		if m.instance.Role.Name != "" {
			return m.instance.Role.credentials(), true
		}
	case "":
		return "dynamic\nmeta-data\nuser-data", true
	}
	if value, ok := m.entries[path]; ok {
		return value, true
	}
	var names []string
	for entry := range m.entries {
		rest, below := strings.CutPrefix(entry, path+"/")
		if !below {
			continue
		}
		name, _, folder := strings.Cut(rest, "/")
		if folder {
			name += "/"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), "\n"), len(names) > 0
}
