package provider

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// ec2Server is moto with what it lacks of machine images: it forgets most of
// what RegisterImage and CopyImage say, knows no deprecation, thinks that a
// snapshot is complete from the start, and verifies no checksum.
type ec2Server struct {
	*awsServer
	next http.Handler // moto

	mu        sync.Mutex
	images    map[string]*knownImage
	snapshots map[string]*knownSnapshot
}

type knownImage struct {
	region     string
	request    url.Values // of RegisterImage
	deprecated string
	describe   *string // what ModifyImageAttribute has said
	snapshot   string
	pending    int // for so many answers
}

type knownSnapshot struct {
	start     string         // body of StartSnapshot
	blocks    map[int]string // checksums in base64
	puts      []int          // in order, repeated ones included
	complete  http.Header    // of CompleteSnapshot
	pending   int            // for so many answers after that
	encrypted bool
}

func startEC2(t *testing.T) *ec2Server {
	t.Helper()
	s := &ec2Server{awsServer: startAWS(t), images: map[string]*knownImage{}, snapshots: map[string]*knownSnapshot{}}
	s.next = s.handler
	s.handler = http.HandlerFunc(s.answer)
	return s
}

var scopeRE = regexp.MustCompile(`Credential=[^/]+/\d+/([^/]+)/([^/]+)/aws4_request`)

// scopeOf is the region and the service that a request is signed for.
func scopeOf(r *http.Request) (region, service string) {
	if m := scopeRE.FindStringSubmatch(r.Header.Get("Authorization")); m != nil {
		return m[1], m[2]
	}
	return "", ""
}

// formOf reads the form of a request, and leaves it there.
func formOf(r *http.Request) url.Values {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	form, _ := url.ParseQuery(string(body))
	return form
}

func ebsOperation(r *http.Request) string {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case len(parts) == 1:
		return "StartSnapshot"
	case parts[1] == "completion":
		return "CompleteSnapshot"
	case r.Method == http.MethodPut:
		return "PutSnapshotBlock"
	}
	return "ListSnapshotBlocks"
}

// client is a client of moto itself.
func (s *ec2Server) client(region string) *ec2.Client {
	return ec2.New(ec2.Options{
		BaseEndpoint: aws.String(theMoto.url.String()), Region: region,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
}

// overlay is a client of moto with what it lacks.
func (s *ec2Server) overlay(region string) *ec2.Client {
	return ec2.New(ec2.Options{BaseEndpoint: aws.String(s.url), Region: region, Credentials: s.client(region).Options().Credentials})
}

func (s *ec2Server) answer(w http.ResponseWriter, r *http.Request) {
	region, _ := scopeOf(r)
	switch operation := awsOperation(r); operation {
	case "RegisterImage", "CopyImage":
		s.makeImage(w, r, region)
	case "DescribeImages":
		s.describeImages(w, r, region)
	case "DescribeSnapshots":
		s.describeSnapshots(w, r, region)
	case "DeregisterImage":
		s.forward(w, r)
		s.mu.Lock()
		delete(s.images, formOf(r).Get("ImageId"))
		s.mu.Unlock()
	case "DeleteSnapshot":
		s.deleteSnapshot(w, r)
	case "EnableImageDeprecation", "DisableImageDeprecation", "ModifyImageAttribute":
		s.changeImage(w, r, operation)
	case "StartSnapshot":
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer := s.forward(w, r)
		if m := regexp.MustCompile(`"SnapshotId": "(snap-\w+)"`).FindStringSubmatch(answer); m != nil {
			s.mu.Lock()
			s.snapshots[m[1]] = &knownSnapshot{start: string(body), blocks: map[int]string{}, pending: 1, encrypted: strings.Contains(string(body), `"Encrypted":true`)}
			s.mu.Unlock()
		}
	case "PutSnapshotBlock":
		s.putBlock(w, r)
	case "CompleteSnapshot":
		s.complete(w, r)
	default:
		s.next.ServeHTTP(w, r)
	}
}

// forward asks moto, and returns what it says.
func (s *ec2Server) forward(w http.ResponseWriter, r *http.Request) string {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := httptest.NewRecorder()
	s.next.ServeHTTP(answer, r)
	r.Body = io.NopCloser(bytes.NewReader(body))
	for key, values := range answer.Header() {
		w.Header()[key] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
	return answer.Body.String()
}

// tagsIn are the tags that a request specifies for a kind of resource.
func tagsIn(form url.Values, kind string) []ec2types.Tag {
	var tags []ec2types.Tag
	for i := 1; form.Has(fmt.Sprintf("TagSpecification.%d.ResourceType", i)); i++ {
		if form.Get(fmt.Sprintf("TagSpecification.%d.ResourceType", i)) != kind {
			continue
		}
		for j := 1; ; j++ {
			at := fmt.Sprintf("TagSpecification.%d.Tag.%d.", i, j)
			if !form.Has(at + "Key") {
				break
			}
			tags = append(tags, ec2types.Tag{Key: aws.String(form.Get(at + "Key")), Value: aws.String(form.Get(at + "Value"))})
		}
	}
	return tags
}

func (s *ec2Server) makeImage(w http.ResponseWriter, r *http.Request, region string) {
	form := formOf(r)
	if there, err := s.client(region).DescribeImages(r.Context(), &ec2.DescribeImagesInput{Owners: []string{"self"}, Filters: []ec2types.Filter{filter("name", form.Get("Name"))}}); err != nil || len(there.Images) > 0 {
		refuseEC2(400, "InvalidAMIName.Duplicate", "AMI name is already in use")(w, r, nil)
		return
	}
	made := &knownImage{region: region, request: form, snapshot: form.Get("BlockDeviceMapping.1.Ebs.SnapshotId")}
	if source := form.Get("SourceImageId"); source != "" {
		s.mu.Lock()
		made.request, made.pending = s.images[source].request, 1
		s.mu.Unlock()
	}
	m := regexp.MustCompile(`<imageId>(ami-\w+)</imageId>`).FindStringSubmatch(s.forward(w, r))
	if m == nil {
		return
	}
	found, err := s.client(region).DescribeImages(r.Context(), &ec2.DescribeImagesInput{ImageIds: []string{m[1]}})
	if err != nil || len(found.Images) != 1 {
		panic(fmt.Sprint("moto does not know what it has made: ", err))
	}
	if made.snapshot == "" {
		made.snapshot = aws.ToString(found.Images[0].BlockDeviceMappings[0].Ebs.SnapshotId)
	}
	for id, kind := range map[string]string{m[1]: "image", made.snapshot: "snapshot"} {
		if tags := tagsIn(form, kind); len(tags) > 0 {
			if _, err := s.client(region).CreateTags(r.Context(), &ec2.CreateTagsInput{Resources: []string{id}, Tags: tags}); err != nil {
				panic(err)
			}
		}
	}
	s.mu.Lock()
	s.images[m[1]] = made
	s.mu.Unlock()
}

type xmlTag struct {
	Key   string `xml:"key"`
	Value string `xml:"value"`
}

type xmlImage struct {
	ID           string   `xml:"imageId"`
	State        string   `xml:"imageState"`
	Owner        string   `xml:"imageOwnerId"`
	Name         string   `xml:"name"`
	Description  string   `xml:"description,omitempty"`
	Architecture string   `xml:"architecture"`
	Root         string   `xml:"rootDeviceName"`
	Deprecation  string   `xml:"deprecationTime,omitempty"`
	Device       string   `xml:"blockDeviceMapping>item>deviceName"`
	Snapshot     string   `xml:"blockDeviceMapping>item>ebs>snapshotId"`
	Size         string   `xml:"blockDeviceMapping>item>ebs>volumeSize,omitempty"`
	Tags         []xmlTag `xml:"tagSet>item"`
}

func xmlTags(tags []ec2types.Tag) []xmlTag {
	var out []xmlTag
	for _, tag := range tags {
		out = append(out, xmlTag{aws.ToString(tag.Key), aws.ToString(tag.Value)})
	}
	return out
}

func filtersIn(form url.Values) []ec2types.Filter {
	var filters []ec2types.Filter
	for i := 1; form.Has(fmt.Sprintf("Filter.%d.Name", i)); i++ {
		filters = append(filters, filter(form.Get(fmt.Sprintf("Filter.%d.Name", i)), form.Get(fmt.Sprintf("Filter.%d.Value.1", i))))
	}
	return filters
}

func (s *ec2Server) describeImages(w http.ResponseWriter, r *http.Request, region string) {
	form := formOf(r)
	in := &ec2.DescribeImagesInput{Filters: filtersIn(form)}
	if id := form.Get("ImageId.1"); id != "" {
		in.ImageIds = []string{id}
	} else {
		in.Owners = []string{"self"}
	}
	found, err := s.client(region).DescribeImages(r.Context(), in)
	if err != nil {
		refuseEC2(awsStatus(err), awsCode(err), "moto says so")(w, r, nil)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var images []xmlImage
	for _, image := range found.Images {
		it := xmlImage{ID: *image.ImageId, State: "available", Owner: aws.ToString(image.OwnerId), Name: aws.ToString(image.Name), Description: aws.ToString(image.Description), Tags: xmlTags(image.Tags)}
		if known := s.images[it.ID]; known != nil {
			it.Architecture, it.Root, it.Deprecation = known.request.Get("Architecture"), known.request.Get("RootDeviceName"), known.deprecated
			it.Device, it.Size, it.Snapshot = known.request.Get("BlockDeviceMapping.1.DeviceName"), known.request.Get("BlockDeviceMapping.1.Ebs.VolumeSize"), known.snapshot
			if known.describe != nil {
				it.Description = *known.describe
			}
			if known.pending > 0 {
				known.pending--
				it.State = "pending"
			}
		}
		images = append(images, it)
	}
	writeXML(w, struct {
		XMLName xml.Name   `xml:"DescribeImagesResponse"`
		Images  []xmlImage `xml:"imagesSet>item"`
	}{Images: images})
}

func writeXML(w http.ResponseWriter, answer any) {
	text, err := xml.Marshal(answer)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "text/xml")
	_, _ = w.Write(text)
}

type xmlSnapshot struct {
	ID        string   `xml:"snapshotId"`
	State     string   `xml:"status"`
	Encrypted bool     `xml:"encrypted"`
	Key       string   `xml:"kmsKeyId,omitempty"`
	Tags      []xmlTag `xml:"tagSet>item"`
}

func (s *ec2Server) describeSnapshots(w http.ResponseWriter, r *http.Request, region string) {
	form := formOf(r)
	in := &ec2.DescribeSnapshotsInput{Filters: filtersIn(form)}
	if id := form.Get("SnapshotId.1"); id != "" {
		in.SnapshotIds = []string{id}
	}
	found, err := s.client(region).DescribeSnapshots(r.Context(), in)
	if err != nil {
		refuseEC2(awsStatus(err), awsCode(err), "moto says so")(w, r, nil)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var snapshots []xmlSnapshot
	for _, it := range found.Snapshots {
		out := xmlSnapshot{ID: *it.SnapshotId, State: "completed", Tags: xmlTags(it.Tags)}
		if known := s.snapshots[out.ID]; known != nil {
			out.Encrypted = known.encrypted
			if m := regexp.MustCompile(`"KmsKeyArn":"([^"]+)"`).FindStringSubmatch(known.start); m != nil {
				out.Key = m[1]
			}
			if known.complete != nil && known.pending > 0 {
				known.pending--
				out.State = "pending"
			}
			if known.complete == nil {
				out.State = "pending"
			}
		}
		snapshots = append(snapshots, out)
	}
	writeXML(w, struct {
		XMLName   xml.Name      `xml:"DescribeSnapshotsResponse"`
		Snapshots []xmlSnapshot `xml:"snapshotSet>item"`
	}{Snapshots: snapshots})
}

func (s *ec2Server) deleteSnapshot(w http.ResponseWriter, r *http.Request) {
	id := formOf(r).Get("SnapshotId")
	s.mu.Lock()
	for image, known := range s.images {
		if known.snapshot == id {
			s.mu.Unlock()
			refuseEC2(400, "InvalidSnapshot.InUse", "The snapshot is in use by "+image)(w, r, nil)
			return
		}
	}
	s.mu.Unlock()
	s.forward(w, r)
}

func (s *ec2Server) changeImage(w http.ResponseWriter, r *http.Request, operation string) {
	form := formOf(r)
	s.mu.Lock()
	known := s.images[form.Get("ImageId")]
	s.mu.Unlock()
	if known == nil {
		refuseEC2(400, "InvalidAMIID.NotFound", "no such image")(w, r, nil)
		return
	}
	if operation == "ModifyImageAttribute" && !form.Has("Description.Value") {
		s.forward(w, r)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if operation == "ModifyImageAttribute" {
		known.describe = aws.String(form.Get("Description.Value"))
	} else {
		known.deprecated = strings.Replace(form.Get("DeprecateAt"), "Z", ".000Z", 1) // as EC2 writes it
	}
	writeXML(w, struct {
		XMLName xml.Name `xml:"Response"`
		Return  bool     `xml:"return"`
	}{Return: true})
}

func (s *ec2Server) putBlock(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	index, err := strconv.Atoi(parts[len(parts)-1])
	sum := sha256.Sum256(body)
	checksum := base64.StdEncoding.EncodeToString(sum[:])
	s.mu.Lock()
	known := s.snapshots[parts[1]]
	sealed := known == nil || known.complete != nil
	s.mu.Unlock()
	if err != nil || sealed || len(body) != 512*1024 || r.Header.Get("X-Amz-Data-Length") != "524288" || r.Header.Get("X-Amz-Checksum") != checksum || r.Header.Get("X-Amz-Checksum-Algorithm") != "SHA256" {
		refuseJSON(400, "ValidationException", fmt.Sprintf("block %d of %d bytes", index, len(body)))(w, r, nil)
		return
	}
	s.forward(w, r)
	s.mu.Lock()
	known.blocks[index] = checksum
	known.puts = append(known.puts, index)
	s.mu.Unlock()
}

// complete seals a snapshot if count and checksum are those of its blocks, as
// EBS does.
func (s *ec2Server) complete(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	s.mu.Lock()
	known := s.snapshots[id]
	fine := known != nil && known.complete == nil &&
		r.Header.Get("X-Amz-Changedblockscount") == strconv.Itoa(len(known.blocks)) && r.Header.Get("X-Amz-Checksum") == known.checksum() &&
		r.Header.Get("X-Amz-Checksum-Algorithm") == "SHA256" && r.Header.Get("X-Amz-Checksum-Aggregation-Method") == "LINEAR"
	if fine {
		known.complete = r.Header.Clone()
	}
	s.mu.Unlock()
	if !fine {
		refuseJSON(400, "ValidationException", "the blocks are not those that were put")(w, r, nil)
		return
	}
	s.forward(w, r)
}

// checksum is that of all blocks, LINEAR.
func (k *knownSnapshot) checksum() string {
	hash := sha256.New()
	for _, index := range slices.Sorted(maps.Keys(k.blocks)) {
		sum, _ := base64.StdEncoding.DecodeString(k.blocks[index])
		hash.Write(sum)
	}
	return base64.StdEncoding.EncodeToString(hash.Sum(nil))
}

// refuseEC2 answers as EC2 refuses.
func refuseEC2(code int, name, message string) fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(code)
		_, _ = fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>1</RequestID></Response>`, name, message)
	}
}

// snapshotsLeft are the ids of those that were begun and are there.
func (s *ec2Server) snapshotsLeft(t *testing.T) []string {
	t.Helper()
	var left []string
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.snapshots {
		if _, err := s.client(awsRegion).DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{SnapshotIds: []string{id}}); awsCode(err) != "InvalidSnapshot.NotFound" {
			left = append(left, id)
		}
	}
	return left
}

// nothingLeft expects that no image and no snapshot of it is anywhere.
func (s *ec2Server) nothingLeft(t *testing.T) {
	t.Helper()
	if left := s.snapshotsLeft(t); len(left) > 0 {
		t.Errorf("the snapshots %v are left", left)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, image := range s.images {
		t.Errorf("the image %s in %s is left", id, image.region)
	}
}
