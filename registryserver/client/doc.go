// Package client is the wire format of the admin API under /api/v1/ and a Go
// client for it. The server's handlers and the Terraform provider share these
// types. It is not for pushing and pulling: that is the /v2/ API, which every
// registry client speaks.
package client
