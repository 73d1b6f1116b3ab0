package s3store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	smithymiddleware "github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

const (
	// answerTimeout is how long S3 may think: copies of large objects take long.
	answerTimeout = 2 * time.Minute
	maxAttempts   = 5
)

func newClient(ctx context.Context, c Config) (*s3.Client, error) {
	options := []func(*awsconfig.LoadOptions) error{
		awsconfig.WithRegion(c.Region),
		awsconfig.WithHTTPClient(httpClient(c)),
		awsconfig.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts = maxAttempts })
		}),
		// Only what an operation needs: not every server knows the newer checksums.
		awsconfig.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired),
		awsconfig.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenRequired),
	}
	if c.AccessKey != "" {
		options = append(options, awsconfig.WithCredentialsProvider(
			credentials.NewStaticCredentialsProvider(c.AccessKey, c.SecretKey, c.SessionToken)))
	}
	if c.Log != nil {
		options = append(options, awsconfig.WithLogger(sdkLog{c.Log}), awsconfig.WithClientLogMode(aws.LogRetries))
	} else {
		options = append(options, awsconfig.WithLogger(logging.Nop{})) // by default it writes warnings to standard error
	}
	stack := []func(*smithyStack) error{markBackground}
	if c.UserAgent != "" {
		stack = append(stack, middleware.AddUserAgentKey(c.UserAgent))
	}
	options = append(options, awsconfig.WithAPIOptions(stack))
	shared, err := awsconfig.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("read the AWS configuration: %w", err)
	}
	return s3.NewFromConfig(shared, func(o *s3.Options) {
		o.UsePathStyle = c.ForcePathStyle
		o.UseAccelerate = c.Accelerate
		o.DisableLogOutputChecksumValidationSkipped = true
		if endpoint := c.endpoint(); endpoint != "" {
			o.BaseEndpoint = aws.String(endpoint)
		}
		if c.Insecure {
			o.EndpointOptions.DisableHTTPS = true
		}
		if c.DualStack {
			o.EndpointOptions.UseDualStackEndpoint = aws.DualStackEndpointStateEnabled
		}
		if c.FIPS {
			o.EndpointOptions.UseFIPSEndpoint = aws.FIPSEndpointStateEnabled
		}
	}), nil
}

// BackgroundHeader is on the requests that are made for no client's request.
const BackgroundHeader = "X-Registrykit-Background"

func markBackground(stack *smithyStack) error {
	mark := func(ctx context.Context, in smithymiddleware.BuildInput, next smithymiddleware.BuildHandler) (smithymiddleware.BuildOutput, smithymiddleware.Metadata, error) {
		if request, ok := in.Request.(*smithyhttp.Request); ok && storage.IsBackground(ctx) {
			request.Header.Set(BackgroundHeader, "1")
		}
		return next.HandleBuild(ctx, in)
	}
	return stack.Build.Add(smithymiddleware.BuildMiddlewareFunc("markBackground", mark), smithymiddleware.After)
}

func httpClient(c Config) *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.ResponseHeaderTimeout = answerTimeout
		t.MaxIdleConnsPerHost = 200
		t.MaxIdleConns = 400
		if c.SkipVerify {
			if t.TLSClientConfig == nil {
				t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
			}
			t.TLSClientConfig.InsecureSkipVerify = true
		}
	})
}

// sdkLog passes on what the SDK says.
type sdkLog struct{ log *slog.Logger }

func (l sdkLog) Logf(c logging.Classification, format string, v ...any) {
	level := slog.LevelDebug
	if c == logging.Warn {
		level = slog.LevelWarn
	}
	l.log.Log(context.Background(), level, fmt.Sprintf(format, v...))
}

// status returns the HTTP status of an answer of S3 that is an error, else 0.
func status(err error) int {
	if e, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		return e.HTTPStatusCode()
	}
	return 0
}

// code returns the code of an error of S3, else "".
func code(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}

// notThere: there is no such object. A missing bucket has the same status and
// is a fault.
func notThere(err error) bool {
	switch code(err) {
	case "NoSuchKey", "NotFound":
		return true
	}
	return false
}

func preconditionFailed(err error) bool { return status(err) == http.StatusPreconditionFailed }

// conflicting: another conditional write was under way, and won.
func conflicting(err error) bool {
	return status(err) == http.StatusConflict && (code(err) == "ConditionalRequestConflict" || code(err) == "OperationAborted")
}
