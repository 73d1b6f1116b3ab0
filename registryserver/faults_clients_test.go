package main_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestBadClients lets clients stall in the middle of a body, send byte by byte,
// vanish, and open connections by the thousand, all at once. Meanwhile others
// push and pull, and the server's memory stays bounded.
func TestBadClients(t *testing.T) {
	stalled, idle := 300, 4000
	if testing.Short() {
		stalled, idle = 50, 500
	}
	p := startServer(t, filesystemConfig(t.TempDir())+"log:\n  accesslog:\n    disabled: true\n")
	content := bytes.Repeat([]byte("good content "), 1<<18)
	pushBlob(t, p, "good", sha256Digest(content), content)

	var open []net.Conn
	t.Cleanup(func() {
		for _, conn := range open {
			_ = conn.Close()
		}
	})
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", p.Host)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
		return conn
	}
	begin := func(conn net.Conn, body string) (location string) {
		header := send(t, p, http.MethodPost, "/v2/bad/blobs/uploads/", nil, http.StatusAccepted)
		fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n%s", header.Get("Location"), body)
		return header.Get("Location")
	}
	for range idle {
		dial()
	}
	var vanished []string
	for n := range stalled {
		conn := dial()
		switch n % 3 {
		case 0: // stalls
			begin(conn, strings.Repeat("x", 100_000))
		case 1: // vanishes
			vanished = append(vanished, begin(conn, strings.Repeat("x", 1000)))
			_ = conn.Close()
		case 2: // sends byte by byte
			begin(conn, "")
			go func() {
				for range 200 {
					if _, err := io.WriteString(conn, "x"); err != nil {
						return
					}
					time.Sleep(10 * time.Millisecond)
				}
			}()
		}
	}
	more := bytes.Repeat([]byte("more content "), 1<<18)
	pushBlob(t, p, "good", sha256Digest(more), more)
	for _, want := range [][]byte{content, more} {
		if resp, got := do(t, http.MethodGet, p.URL+"/v2/good/blobs/"+sha256Digest(want), nil); resp.StatusCode != http.StatusOK || !bytes.Equal(got, want) {
			t.Errorf("pull among bad clients: %s, %d bytes", resp.Status, len(got))
		}
	}
	// What a client sent before it vanished is there to go on from.
	status := send(t, p, http.MethodGet, vanished[0], nil, http.StatusNoContent)
	if status.Get("Range") == "" {
		t.Error("no Range for an upload whose client vanished")
	}
	// A connection costs tens of KiB, a stalled upload one buffer.
	limit := int64(64+stalled)<<20 + int64(idle)*64<<10
	if raceDetector() {
		limit *= 8 // its shadow memory
	}
	if got := residentBytes(t, p); got > limit {
		t.Errorf("%d MiB resident with %d stalled uploads and %d idle connections; at most %d", got>>20, stalled, idle, limit>>20)
	} else {
		t.Logf("%d MiB resident with %d stalled uploads and %d idle connections", got>>20, stalled, idle)
	}
}

// residentBytes is the server's resident memory.
func residentBytes(t *testing.T, p *process) int64 {
	t.Helper()
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		t.Skipf("the memory of another process cannot be read here: %v", err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(statm))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}
