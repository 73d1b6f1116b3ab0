// Package provider is the Terraform provider for Registry Kit: users and
// policies of a registry server, certificates, and a few pure functions. It
// speaks to the server through registryserver/client only, and checks names,
// globs and passwords at plan time with registryserver/oci, the very code that
// the server uses. It is not a client for images.
package provider
