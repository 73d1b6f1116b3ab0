package s3store

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// BlobURL signs a GET of the blob; that asks nothing of the bucket. With the
// credentials of a role, the URL expires no later than they do.
func (b blobs) BlobURL(ctx context.Context, d oci.Digest, expires time.Duration) (string, error) {
	if err := mayBeBlob(ctx, d); err != nil {
		return "", err
	}
	in := &s3.GetObjectInput{Bucket: b.bucket, Key: b.key(storage.BlobKey(d))}
	signed, err := b.signer.PresignGetObject(ctx, in, s3.WithPresignExpires(expires))
	if err != nil {
		return "", blobErr(ctx, "sign a URL of", d, err)
	}
	return signed.URL, nil
}

// redirectTo makes URLs of the redirect endpoint. As with distribution, host and
// scheme change before the URL is signed, and its path stays: in the style of
// virtual hosts, the endpoint is one of this bucket.
func (s *Store) redirectTo(o *s3.PresignOptions) {
	if s.redirect == nil {
		return
	}
	rewrite := func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
		request, ok := in.Request.(*smithyhttp.Request)
		if !ok {
			return middleware.FinalizeOutput{}, middleware.Metadata{}, fmt.Errorf("sign a URL: the request is a %T", in.Request)
		}
		request.URL.Scheme, request.URL.Host = s.redirect.Scheme, s.redirect.Host
		return next.HandleFinalize(ctx, in)
	}
	o.ClientOptions = append(o.ClientOptions, func(o *s3.Options) {
		o.APIOptions = append(o.APIOptions, func(stack *smithyStack) error {
			return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("redirectEndpoint", rewrite), "ResolveEndpointV2", middleware.After)
		})
	})
}

// parseRedirect is nil if there is no such endpoint.
func parseRedirect(endpoint string) (*url.URL, error) {
	if endpoint == "" {
		return nil, nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return nil, fmt.Errorf("storage.s3.redirectendpoint is %q: use http:// or https:// and a host", endpoint)
	}
	return u, nil
}
