package transfer

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Sums are what a transfer came to.
type Sums struct {
	ManifestsCopied  int   `json:"manifests_copied"`
	ManifestsPresent int   `json:"manifests_present"` // they were there already
	BlobsCopied      int   `json:"blobs_copied"`
	BlobsMounted     int   `json:"blobs_mounted"` // from another repository, without being sent
	BlobsPresent     int   `json:"blobs_present"`
	Bytes            int64 `json:"bytes_copied"`
}

// Progress says how far a transfer is: on a terminal as one line that is
// overwritten, else as a line for each thing that is done. The zero value says
// nothing. It may be used concurrently.
type Progress struct {
	out      io.Writer
	terminal bool
	bytes    atomic.Int64

	mu    sync.Mutex
	sums  Sums
	now   string // what is being done
	drawn time.Time
}

// NewProgress returns a Progress that writes to out.
func NewProgress(out io.Writer, terminal bool) *Progress {
	return &Progress{out: out, terminal: terminal}
}

// Sums returns what was done so far.
func (p *Progress) Sums() Sums {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sums
}

func (p *Progress) add(change func(*Sums)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.sums)
	p.draw()
}

func (p *Progress) sent(n int) {
	p.bytes.Add(int64(n))
	if !p.terminal || !p.mu.TryLock() {
		return
	}
	defer p.mu.Unlock()
	p.draw()
}

// Doing says what is done now.
func (p *Progress) Doing(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = fmt.Sprintf(format, args...)
	p.draw()
}

// Line writes a line that stays.
func (p *Progress) Line(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out == nil {
		return
	}
	p.clear()
	_, _ = fmt.Fprintf(p.out, format+"\n", args...)
}

// Clear takes the line of a terminal away.
func (p *Progress) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}

func (p *Progress) clear() {
	if p.terminal && !p.drawn.IsZero() {
		_, _ = fmt.Fprint(p.out, "\r\x1b[K")
		p.drawn = time.Time{}
	}
}

func (p *Progress) draw() {
	if !p.terminal || time.Since(p.drawn) < time.Second/10 {
		return
	}
	p.drawn = time.Now()
	s := p.sums
	_, _ = fmt.Fprintf(p.out, "\r\x1b[K%s: %d manifests, %d blobs; %s sent", p.now, s.ManifestsCopied+s.ManifestsPresent, s.BlobsCopied+s.BlobsMounted+s.BlobsPresent, Bytes(p.bytes.Load()))
}

// Bytes writes a number of bytes for people.
func Bytes(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, u := float64(n)/1024, 0
	for f >= 1024 && u < len(units)-1 {
		f, u = f/1024, u+1
	}
	return fmt.Sprintf("%.1f %ciB", f, units[u])
}

// String sums up for people.
func (s Sums) String() string {
	return fmt.Sprintf("%d manifests and %d blobs (%s) copied, %d blobs mounted, %d manifests and %d blobs were there",
		s.ManifestsCopied, s.BlobsCopied, Bytes(s.Bytes), s.BlobsMounted, s.ManifestsPresent, s.BlobsPresent)
}
