// Package archive reads and writes images as files: what docker save writes, of
// the old layout and the new, and OCI image layouts, as a tar file or a folder. It
// has no network in it and keeps nothing large in memory; what it reads may come
// from anybody.
package archive
