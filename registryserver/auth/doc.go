// Package auth says who asks and what they may do. A Gate turns a request
// into an Identity; a Directory keeps the users and policies of this server;
// HTPasswd reads users from a file; Tokens trusts those of an external issuer.
// Keyring seals what the server hands to clients for safekeeping.
//
// The package writes no HTTP answers: its errors are *oci.Error, and
// Gate.Challenge makes the header that goes with UNAUTHORIZED.
package auth
