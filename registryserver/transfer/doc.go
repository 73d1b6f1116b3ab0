// Package transfer moves images between registries, archives and storages: the
// engine of registryserver import, export and copy. It is a client, and knows
// nothing of how the server answers.
package transfer
