package provider

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	"github.com/aws/aws-sdk-go-v2/service/ebs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"
	smithymiddleware "github.com/aws/smithy-go/middleware"
)

const (
	// awsAnswerTimeout is how long AWS may think about one request.
	awsAnswerTimeout = time.Minute
	// awsCredentialsTimeout bounds the search for credentials, which may ask an
	// instance's metadata service that is not there.
	awsCredentialsTimeout = 30 * time.Second
)

// awsAccess is how the provider reaches AWS. Nothing is read or asked before
// the first object needs it, so that a configuration without objects in AWS
// needs no credentials.
type awsAccess struct {
	settings  awsSettings
	unknown   []string          // arguments of the aws block whose values are not known yet
	version   string            // of the provider
	timeout   time.Duration     // 0: awsAnswerTimeout
	transport http.RoundTripper // nil: the SDK's own

	mu     sync.Mutex
	loaded *aws.Config
}

// config is the SDK's configuration: the aws block, and for what it leaves
// open the SDK's default chain. It asks nobody.
func (a *awsAccess) config(ctx context.Context) (aws.Config, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.loaded != nil {
		return *a.loaded, nil
	}
	s := a.settings
	options := []func(*awsconfig.LoadOptions) error{
		awsconfig.WithHTTPClient(a.httpClient()),
		awsconfig.WithLogger(logging.Nop{}),
		awsconfig.WithAPIOptions([]func(*smithymiddleware.Stack) error{middleware.AddUserAgentKeyValue("terraform-provider-registry", a.version)}),
		// Only what an operation needs: not every server knows the newer checksums.
		awsconfig.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired),
		awsconfig.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenRequired),
	}
	if s.region != "" {
		options = append(options, awsconfig.WithRegion(s.region))
	}
	if s.profile != "" {
		options = append(options, awsconfig.WithSharedConfigProfile(s.profile))
	}
	if s.accessKey != "" {
		options = append(options, awsconfig.WithCredentialsProvider(
			credentials.NewStaticCredentialsProvider(s.accessKey, s.secretKey, s.token)))
	}
	config, err := awsconfig.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return aws.Config{}, err
	}
	if s.assumeRoleARN != "" {
		config.Credentials = aws.NewCredentialsCache(a.assumeRole(config))
	}
	a.loaded = &config
	return config, nil
}

func (a *awsAccess) assumeRole(config aws.Config) aws.CredentialsProvider {
	s := a.settings
	client := sts.NewFromConfig(config, func(o *sts.Options) {
		if s.stsEndpoint != "" {
			o.BaseEndpoint = aws.String(s.stsEndpoint)
		}
	})
	return stscreds.NewAssumeRoleProvider(client, s.assumeRoleARN, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = s.assumeRoleSessionName
		if s.assumeRoleExternalID != "" {
			o.ExternalID = aws.String(s.assumeRoleExternalID)
		}
	})
}

func (a *awsAccess) httpClient() aws.HTTPClient {
	if a.transport != nil {
		return &http.Client{Transport: a.transport}
	}
	timeout := a.timeout
	if timeout == 0 {
		timeout = awsAnswerTimeout
	}
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.ResponseHeaderTimeout = timeout })
}

// region is where an object goes that names no region; "" if nobody says.
func (a *awsAccess) region(ctx context.Context) (string, error) {
	config, err := a.config(ctx)
	return config.Region, err
}

// s3In is a client for a region, which need not have credentials.
func (a *awsAccess) s3In(config aws.Config, region string) *s3.Client {
	return s3.NewFromConfig(config, func(o *s3.Options) {
		o.Region, o.UsePathStyle = region, a.settings.s3PathStyle()
		o.DisableLogOutputChecksumValidationSkipped = true
		if a.settings.s3Endpoint != "" {
			o.BaseEndpoint = aws.String(a.settings.s3Endpoint)
		}
	})
}

func (a *awsAccess) acmIn(config aws.Config, region string) *acm.Client {
	return acm.NewFromConfig(config, func(o *acm.Options) {
		o.Region = region
		if a.settings.acmEndpoint != "" {
			o.BaseEndpoint = aws.String(a.settings.acmEndpoint)
		}
	})
}

func (a *awsAccess) ec2In(config aws.Config, region string) *ec2.Client {
	return ec2.NewFromConfig(config, func(o *ec2.Options) {
		o.Region = region
		if a.settings.ec2Endpoint != "" {
			o.BaseEndpoint = aws.String(a.settings.ec2Endpoint)
		}
	})
}

// ebsIn is a client for the EBS direct API that tries a request so many times:
// thousands of requests belong together there, so none may be lost to a moment
// of throttling.
func (a *awsAccess) ebsIn(config aws.Config, region string, attempts int) *ebs.Client {
	return ebs.NewFromConfig(config, func(o *ebs.Options) {
		o.Region = region
		o.Retryer = retry.NewStandard(func(r *retry.StandardOptions) {
			r.MaxAttempts, r.RateLimiter = attempts, ratelimit.None
		})
		if a.settings.ebsEndpoint != "" {
			o.BaseEndpoint = aws.String(a.settings.ebsEndpoint)
		}
	})
}

func (a *awsAccess) ssmIn(config aws.Config, region string) *ssm.Client {
	return ssm.NewFromConfig(config, func(o *ssm.Options) {
		o.Region = region
		if a.settings.ssmEndpoint != "" {
			o.BaseEndpoint = aws.String(a.settings.ssmEndpoint)
		}
	})
}

// s3Environment is how a server reaches the S3 that this provider uses: the
// endpoint, "" for that of AWS, and whether buckets are part of the path.
func (a *awsAccess) s3Environment(ctx context.Context, region string) (endpoint string, pathStyle bool, err error) {
	config, err := a.config(ctx)
	if err != nil {
		return "", false, err
	}
	o := a.s3In(config, region).Options() // with what the environment says
	return aws.ToString(o.BaseEndpoint), o.UsePathStyle, nil
}
