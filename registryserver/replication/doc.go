// Package replication copies what is pushed to a registry to other registries, as
// rules say that are kept in the storage. What waits to be copied is in the queue
// of package events; this package is one kind of its receivers.
package replication
