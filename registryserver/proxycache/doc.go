// Package proxycache makes repositories below a prefix a pull-through cache of
// another registry: what is pulled and is not here is fetched, once for all who
// ask, handed on while it is stored, and from then on served from here, also
// while the other registry is down. Which prefixes there are is kept in the
// storage (docs/storage-format.md). Whether a client may pull is decided before
// anything comes here; HTTP to clients is package ociapi's.
package proxycache
