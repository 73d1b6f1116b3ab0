package registry

import (
	"context"
	"errors"
	"net/url"
	"regexp"
	"slices"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// checkReferences looks for everything that the manifest names, and reports
// all that is missing at once.
func (r *Registry) checkReferences(ctx context.Context, repo oci.Repository, m *oci.Manifest, from source) error {
	var missing []error
	for _, d := range m.Layers {
		if err := r.rules.checkURLs(d); err != nil {
			missing = append(missing, err)
		}
	}
	if r.rules.Off {
		return errors.Join(missing...)
	}
	note := func(d oci.Digest, err error) error {
		switch oci.ErrorCode(err) {
		case oci.CodeBlobUnknown, oci.CodeManifestUnknown:
			missing = append(missing, &oci.Error{Code: oci.CodeManifestBlobUnknown, Message: "the manifest names " + d.String() + ", which repository " + repo.String() + " does not have; push it first", Detail: d})
			return nil
		}
		return err
	}
	for _, d := range m.Blobs() {
		if d.NonDistributable() {
			continue
		}
		if _, err := r.statBlob(ctx, repo, d.Digest, from); err != nil {
			if err := note(d.Digest, err); err != nil {
				return err
			}
		}
	}
	for _, d := range m.Manifests {
		if !r.rules.mustExist(d) {
			continue
		}
		if _, err := r.revision(ctx, repo, d.Digest, from); err != nil {
			if err := note(d.Digest, err); err != nil {
				return err
			}
		}
	}
	return errors.Join(missing...)
}

// mustExist reports whether a child of an index must have been pushed.
func (v Validation) mustExist(child oci.Descriptor) bool {
	switch v.Platforms {
	case PlatformsNone:
		return false
	case PlatformsListed:
		return child.Platform != nil && slices.Contains(v.PlatformList, child.Platform.OS+"/"+child.Platform.Architecture)
	default:
		return true
	}
}

func (v Validation) checkURLs(d oci.Descriptor) error {
	for _, s := range d.URLs {
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Fragment != "" {
			return oci.Errorf(oci.CodeManifestInvalid, "layer %s has a URL that is not an http or https address", d.Digest)
		}
		matches := func(re *regexp.Regexp) bool { return re.MatchString(s) }
		if len(v.AllowURLs) > 0 && !slices.ContainsFunc(v.AllowURLs, matches) || slices.ContainsFunc(v.DenyURLs, matches) {
			return oci.Errorf(oci.CodeManifestInvalid, "layer %s has a URL that validation.manifests.urls does not allow", d.Digest)
		}
	}
	return nil
}
