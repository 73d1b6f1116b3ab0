package awstest

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// What an account has before Terraform comes.

func (e *Emulator) cloud() Cloud { return Cloud{Endpoint: e.URL, Region: Region} }

// HostedZone makes a public hosted zone and returns its id.
func (e *Emulator) HostedZone(t testing.TB, name string) string {
	t.Helper()
	return e.hostedZone(t, name, "")
}

// PrivateZone makes a hosted zone that only the default VPC sees.
func (e *Emulator) PrivateZone(t testing.TB, name string) string {
	t.Helper()
	vpc, _ := e.DefaultVPC(t)
	return e.hostedZone(t, name, "<HostedZoneConfig><PrivateZone>true</PrivateZone></HostedZoneConfig><VPC><VPCRegion>"+Region+"</VPCRegion><VPCId>"+vpc+"</VPCId></VPC>")
}

func (e *Emulator) hostedZone(t testing.TB, name, more string) string {
	t.Helper()
	body := `<CreateHostedZoneRequest xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><Name>` + name + `</Name><CallerReference>` + name + `</CallerReference>` + more + `</CreateHostedZoneRequest>`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.URL+"/2013-04-01/hostedzone", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/route53/aws4_request, SignedHeaders=host, Signature=0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	var answer struct {
		ID string `xml:"HostedZone>Id"`
	}
	if err != nil || xml.Unmarshal(said, &answer) != nil || answer.ID == "" {
		t.Fatalf("CreateHostedZone: %s, %v\n%s", resp.Status, err, said)
	}
	return strings.TrimPrefix(answer.ID, "/hostedzone/")
}

// AMI registers an image and returns its id.
func (e *Emulator) AMI(t testing.TB, name, architecture string) string {
	t.Helper()
	var answer struct {
		ID string `xml:"imageId"`
	}
	err := e.cloud().ec2(t.Context(), "RegisterImage", url.Values{
		"Name": {name}, "Architecture": {architecture}, "RootDeviceName": {"/dev/xvda"}, "VirtualizationType": {"hvm"}, "BootMode": {"uefi"},
	}, &answer)
	if err != nil {
		t.Fatal(err)
	}
	return answer.ID
}

// DefaultVPC returns the account's VPC and its subnets, one in each zone.
func (e *Emulator) DefaultVPC(t testing.TB) (vpc string, subnets []string) {
	t.Helper()
	var answer struct {
		Subnets []struct {
			ID  string `xml:"subnetId"`
			VPC string `xml:"vpcId"`
		} `xml:"subnetSet>item"`
	}
	if err := e.cloud().ec2(t.Context(), "DescribeSubnets", url.Values{"Filter.1.Name": {"default-for-az"}, "Filter.1.Value.1": {"true"}}, &answer); err != nil {
		t.Fatal(err)
	}
	for _, s := range answer.Subnets {
		vpc, subnets = s.VPC, append(subnets, s.ID)
	}
	slices.Sort(subnets)
	return vpc, subnets
}

// TakeBucket makes a bucket that belongs to somebody else.
func (e *Emulator) TakeBucket(t testing.TB, name string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, e.URL+"/"+name, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0")
	req.Header.Set("X-Moto-Account-Id", "210987654321")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("CreateBucket: %s", resp.Status)
	}
}

// Scale has a group run more or fewer instances, as its scaling policies do.
func (e *Emulator) Scale(t testing.TB, group string, number int) {
	t.Helper()
	err := e.cloud().query(t.Context(), "autoscaling", "2011-01-01", "SetDesiredCapacity", url.Values{"AutoScalingGroupName": {group}, "DesiredCapacity": {strconv.Itoa(number)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
}

// S3 is a client of the emulator's S3.
func (e *Emulator) S3() *s3.Client {
	return s3.NewFromConfig(e.Config(), func(o *s3.Options) { o.UsePathStyle = true })
}

// EmptyBucket removes all versions of all objects, as somebody does who means it.
func (e *Emulator) EmptyBucket(ctx context.Context, bucket string) error {
	client := e.S3()
	for pages := s3.NewListObjectVersionsPaginator(client, &s3.ListObjectVersionsInput{Bucket: &bucket}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list %s: %w", bucket, err)
		}
		var doomed []types.ObjectIdentifier
		for _, v := range page.Versions {
			doomed = append(doomed, types.ObjectIdentifier{Key: v.Key, VersionId: v.VersionId})
		}
		for _, m := range page.DeleteMarkers {
			doomed = append(doomed, types.ObjectIdentifier{Key: m.Key, VersionId: m.VersionId})
		}
		for _, o := range doomed {
			if _, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: o.Key, VersionId: o.VersionId}); err != nil {
				return fmt.Errorf("empty %s: %w", bucket, err)
			}
		}
	}
	return nil
}
