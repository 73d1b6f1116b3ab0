package provider

import (
	"context"
	"crypto/x509"
	"maps"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	acmtypes "github.com/aws/aws-sdk-go-v2/service/acm/types"
)

// certificateManager is ACM in a region.
type certificateManager struct{ api *acm.Client }

// notImported: there is no such certificate.
func notImported(err error) bool { return awsCode(err) == "ResourceNotFoundException" }

// importNew imports a certificate for the first time and returns its ARN. ACM
// cannot tell a repeated request from a second import, so after a lost answer
// the certificate is looked for before the request is repeated.
func (m certificateManager) importNew(ctx context.Context, c loadBalancerCertificate, tags map[string]string) (arn string, err error) {
	in, err := c.input()
	if err != nil {
		return "", err
	}
	in.Tags = acmTags(tags)
	once := func(o *acm.Options) { o.Retryer = aws.NopRetryer{} }
	begun, maybe := time.Now(), false
	again := func(err error) bool { return lost(err) || throttled(err) }
	err = settling().until(ctx, again, func() error {
		if maybe {
			if arn, err = m.find(ctx, c.leaf, begun.Add(-allowedSkew)); arn != "" || err != nil {
				return err
			}
		}
		out, err := m.api.ImportCertificate(ctx, in, once)
		if err != nil {
			maybe = maybe || lost(err)
			return needs("acm:ImportCertificate", err)
		}
		arn = aws.ToString(out.CertificateArn)
		return nil
	})
	if err != nil && maybe { // time may be up, but the state has to know of it
		look, cancel := context.WithTimeout(context.WithoutCancel(ctx), awsAnswerTimeout)
		defer cancel()
		if found, lookErr := m.find(look, c.leaf, begun.Add(-allowedSkew)); lookErr == nil && found != "" {
			return found, nil
		}
	}
	return arn, err
}

// allowedSkew is by how much the clocks here and at AWS may differ.
const allowedSkew = time.Minute

// importAgain replaces what is under an ARN. Unlike the first import it can be
// repeated.
func (m certificateManager) importAgain(ctx context.Context, arn string, c loadBalancerCertificate) error {
	in, err := c.input()
	if err != nil {
		return err
	}
	in.CertificateArn = &arn
	_, err = m.api.ImportCertificate(ctx, in)
	return needs("acm:ImportCertificate", err)
}

func (c loadBalancerCertificate) input() (*acm.ImportCertificateInput, error) {
	key, err := c.keyPEM()
	return &acm.ImportCertificateInput{
		Certificate: []byte(encodePEM("CERTIFICATE", c.leaf.Raw)), CertificateChain: chainPEM(c.chain), PrivateKey: key,
	}, err
}

// find looks for a certificate that was imported since then; "" for none.
func (m certificateManager) find(ctx context.Context, leaf *x509.Certificate, since time.Time) (string, error) {
	var none acmtypes.KeyAlgorithm
	pages := acm.NewListCertificatesPaginator(m.api, &acm.ListCertificatesInput{Includes: &acmtypes.Filters{KeyTypes: none.Values()}}) // by default only RSA
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return "", needs("acm:ListCertificates", err)
		}
		for _, candidate := range page.CertificateSummaryList {
			if candidate.NotAfter != nil && !candidate.NotAfter.Equal(leaf.NotAfter) {
				continue
			}
			found, err := m.is(ctx, aws.ToString(candidate.CertificateArn), leaf, since)
			if err != nil || found {
				return aws.ToString(candidate.CertificateArn), err
			}
		}
	}
	return "", nil
}

func (m certificateManager) is(ctx context.Context, arn string, leaf *x509.Certificate, since time.Time) (bool, error) {
	about, err := m.describe(ctx, arn)
	if notImported(err) || err == nil && (about.ImportedAt == nil || about.ImportedAt.Before(since)) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	there, _, err := m.get(ctx, arn)
	if notImported(err) {
		return false, nil
	}
	return err == nil && there.Equal(leaf), err
}

func (m certificateManager) describe(ctx context.Context, arn string) (acmtypes.CertificateDetail, error) {
	out, err := m.api.DescribeCertificate(ctx, &acm.DescribeCertificateInput{CertificateArn: &arn})
	if err != nil || out.Certificate == nil {
		return acmtypes.CertificateDetail{}, needs("acm:DescribeCertificate", err)
	}
	return *out.Certificate, nil
}

// get returns the certificate that ACM has, and its chain.
func (m certificateManager) get(ctx context.Context, arn string) (*x509.Certificate, []*x509.Certificate, error) {
	out, err := m.api.GetCertificate(ctx, &acm.GetCertificateInput{CertificateArn: &arn})
	if err != nil {
		return nil, nil, needs("acm:GetCertificate", err)
	}
	found, err := parseCertificates(aws.ToString(out.Certificate))
	if err != nil {
		return nil, nil, err
	}
	var chain []*x509.Certificate
	if text := aws.ToString(out.CertificateChain); strings.TrimSpace(text) != "" {
		if chain, err = parseCertificates(text); err != nil {
			return nil, nil, err
		}
	}
	return found[0], linked(found[0], chain), nil
}

// tags are those of a certificate, without those of AWS itself.
func (m certificateManager) tags(ctx context.Context, arn string) (map[string]string, error) {
	out, err := m.api.ListTagsForCertificate(ctx, &acm.ListTagsForCertificateInput{CertificateArn: &arn})
	if err != nil {
		return nil, needs("acm:ListTagsForCertificate", err)
	}
	tags := map[string]string{}
	for _, tag := range out.Tags {
		if !isAWSTag(aws.ToString(tag.Key)) {
			tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
		}
	}
	return tags, nil
}

// setTags makes the tags those that are wanted.
func (m certificateManager) setTags(ctx context.Context, arn string, want map[string]string) error {
	have, err := m.tags(ctx, arn)
	if err != nil {
		return err
	}
	add, remove := maps.Clone(want), map[string]string{}
	for key, value := range have {
		wanted, kept := want[key]
		if kept && wanted == value {
			delete(add, key)
		}
		if !kept {
			remove[key] = value
		}
	}
	if len(remove) > 0 {
		_, err := m.api.RemoveTagsFromCertificate(ctx, &acm.RemoveTagsFromCertificateInput{CertificateArn: &arn, Tags: acmTags(remove)})
		if err != nil {
			return needs("acm:RemoveTagsFromCertificate", err)
		}
	}
	if len(add) > 0 {
		_, err := m.api.AddTagsToCertificate(ctx, &acm.AddTagsToCertificateInput{CertificateArn: &arn, Tags: acmTags(add)})
		return needs("acm:AddTagsToCertificate", err)
	}
	return nil
}

func acmTags(tags map[string]string) []acmtypes.Tag {
	var list []acmtypes.Tag
	for key, value := range tags {
		list = append(list, acmtypes.Tag{Key: &key, Value: &value})
	}
	return list
}

// remove deletes a certificate, and waits for what still uses it as long as
// there is time: a load balancer that is deleted in the same run lets go of it
// only after a while.
func (m certificateManager) remove(ctx context.Context, arn string) error {
	p := settling()
	p.most = longestTimeout
	busy := func(err error) bool { return inUse(err) || awsCode(err) == "ConflictException" || throttled(err) }
	err := p.until(ctx, busy, func() error {
		_, err := m.api.DeleteCertificate(ctx, &acm.DeleteCertificateInput{CertificateArn: &arn})
		return needs("acm:DeleteCertificate", err)
	})
	if notImported(err) {
		return nil
	}
	return err
}

func inUse(err error) bool { return awsCode(err) == "ResourceInUseException" }
