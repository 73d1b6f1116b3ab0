// Package provider is the Terraform provider for Registry Kit: users and
// policies of a registry server, certificates, its bucket in S3 and certificate
// in ACM, and a few pure functions. It speaks to the server through
// registryserver/client only, to AWS through its SDK, and checks names,
// globs and passwords at plan time with registryserver/oci, the very code that
// the server uses. It is not a client for images.
package provider
