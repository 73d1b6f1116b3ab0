package fsstore

import (
	"os"
	"syscall"
)

// startWriteback asks the system to begin writing a part of a file to the disk,
// so that the sync at the end of a large upload finds little left to do. It
// promises nothing, and an error of the disk is still the sync's to report.
func startWriteback(f *os.File, from, to int64) {
	const syncFileRangeWrite = 2
	_ = syscall.SyncFileRange(int(f.Fd()), from, to-from, syncFileRangeWrite)
}
