// Package oci is the vocabulary that the server, its client and the Terraform
// provider share: repository names, tags, digests, descriptors, manifests,
// policy globs and actions, user names, and the error codes of the OCI
// distribution-spec. Everything in it is a pure function over values; nothing
// here reads a file or a socket.
package oci
