package awstest

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Cloud is where the emulated APIs answer, for what a test reads of them itself.
type Cloud struct {
	Endpoint string // such as http://127.0.0.1:5000
	Region   string
}

// maxAnswer bounds an answer of an API.
const maxAnswer = 16 << 20

// query sends a request of the Query protocol, which EC2, Auto Scaling and Elastic Load Balancing speak, and decodes the answer's XML.
func (c Cloud) query(ctx context.Context, service, version, action string, parameters url.Values, answer any) error {
	form := url.Values{"Action": {action}, "Version": {version}}
	for name, values := range parameters {
		form[name] = values
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	// The emulator finds region and service here; signatures it does not check.
	req.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=test/%s/%s/%s/aws4_request, SignedHeaders=host, Signature=0",
		time.Now().UTC().Format("20060102"), c.Region, service))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", action, err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s\n%s", resp.Status, content)
	}
	if err == nil && answer != nil {
		err = xml.Unmarshal(content, answer)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", action, err)
	}
	return nil
}

func (c Cloud) ec2(ctx context.Context, action string, parameters url.Values, answer any) error {
	return c.query(ctx, "ec2", "2016-11-15", action, parameters, answer)
}

// LaunchTemplate is one version of a launch template, as far as a machine needs it to start.
type LaunchTemplate struct {
	Version        string
	ImageID        string
	InstanceType   string
	ProfileARN     string
	HTTPTokens     string // "required" is version 2 of the metadata service only
	HopLimit       int
	TagsInMetadata string
	UserData       []byte // out of its base64
}

// LaunchTemplate reads a version, which may be "$Latest".
func (c Cloud) LaunchTemplate(ctx context.Context, id, version string) (LaunchTemplate, error) {
	var answer struct {
		Versions []struct {
			Number   string `xml:"versionNumber"`
			ImageID  string `xml:"launchTemplateData>imageId"`
			Type     string `xml:"launchTemplateData>instanceType"`
			UserData string `xml:"launchTemplateData>userData"`
			Profile  string `xml:"launchTemplateData>iamInstanceProfile>arn"`
			Tokens   string `xml:"launchTemplateData>metadataOptions>httpTokens"`
			HopLimit int    `xml:"launchTemplateData>metadataOptions>httpPutResponseHopLimit"`
			Tags     string `xml:"launchTemplateData>metadataOptions>instanceMetadataTags"`
		} `xml:"launchTemplateVersionSet>item"`
	}
	err := c.ec2(ctx, "DescribeLaunchTemplateVersions", url.Values{"LaunchTemplateId": {id}, "LaunchTemplateVersion.1": {version}}, &answer)
	if err != nil {
		return LaunchTemplate{}, err
	}
	if len(answer.Versions) != 1 {
		return LaunchTemplate{}, fmt.Errorf("the launch template %s has %d versions %s", id, len(answer.Versions), version)
	}
	v := answer.Versions[0]
	userData, err := base64.StdEncoding.DecodeString(v.UserData)
	if err != nil {
		return LaunchTemplate{}, fmt.Errorf("user data of the launch template %s: %w", id, err)
	}
	return LaunchTemplate{
		Version: v.Number, ImageID: v.ImageID, InstanceType: v.Type, ProfileARN: v.Profile,
		HTTPTokens: v.Tokens, HopLimit: v.HopLimit, TagsInMetadata: v.Tags, UserData: userData,
	}, nil
}
