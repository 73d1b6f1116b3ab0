package awshost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Host is the machine. Its methods are safe for concurrent use.
type Host struct {
	log        *slog.Logger
	poll       time.Duration
	secrets    *secretsmanager.Client
	parameters *ssm.Client
	groups     *autoscaling.Client
	logs       *cloudwatchlogs.Client
	metadata   *imds.Client
}

// Config says where the machine is. All of it is optional.
type Config struct {
	// Region of the APIs; "" is what the SDK finds: a variable, the shared
	// configuration or the machine's own.
	Region string
	// Poll is how often the machine is asked whether it goes; the default is 5 s.
	Poll time.Duration
	Log  *slog.Logger // the default is slog.Default()
}

// New returns the machine. It asks nothing of it yet.
func New(ctx context.Context, c Config) (*Host, error) {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Poll == 0 {
		c.Poll = 5 * time.Second
	}
	options := []func(*config.LoadOptions) error{config.WithEC2IMDSRegion()}
	if c.Region != "" {
		options = []func(*config.LoadOptions) error{config.WithRegion(c.Region)}
	}
	sdk, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("the AWS SDK has no configuration: %w", err)
	}
	if sdk.Region == "" {
		return nil, errors.New("the region is not known: set aws.region (REGISTRY_AWS_REGION) or AWS_REGION")
	}
	return &Host{
		log: c.Log, poll: c.Poll,
		secrets:    secretsmanager.NewFromConfig(sdk),
		parameters: ssm.NewFromConfig(sdk),
		groups:     autoscaling.NewFromConfig(sdk),
		logs:       cloudwatchlogs.NewFromConfig(sdk),
		metadata:   imds.NewFromConfig(sdk),
	}, nil
}

// InstanceID is the machine's own.
func (h *Host) InstanceID(ctx context.Context) (string, error) {
	id, err := h.read(ctx, "instance-id")
	if err == nil && id == "" {
		err = errors.New("the metadata service of the machine does not answer; is this an EC2 instance?")
	}
	return id, err
}

// maxMetadata bounds an answer of the metadata service.
const maxMetadata = 64 << 10

// read returns one entry of the machine's metadata, or "" if there is none.
func (h *Host) read(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := h.metadata.GetMetadata(ctx, &imds.GetMetadataInput{Path: path})
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) && answer.HTTPStatusCode() == http.StatusNotFound {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("metadata of the instance (%s): %w", path, err)
	}
	defer out.Content.Close()
	content, err := io.ReadAll(io.LimitReader(out.Content, maxMetadata))
	return strings.TrimSpace(string(content)), err
}

// code is what AWS calls an error.
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}
