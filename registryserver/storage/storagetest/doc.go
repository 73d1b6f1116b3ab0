// Package storagetest holds what tests of and above a store need: the contract
// of package storage as a suite (Test), a reference store in memory (Memory),
// and a decorator that makes any store fail on command (Faults). It is for
// tests only; nothing in it survives its process.
package storagetest
