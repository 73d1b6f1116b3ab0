package server

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Ensure that a client that stalls in the middle of a body loses its
// connection and not what it sent, and that one that is slow but steady, or
// waits for a slow answer, loses nothing.
func TestStalledBody(t *testing.T) {
	s, _ := newTestServer(t, "http: {addr: '127.0.0.1:0', timeouts: {body: 200ms}}\nauth: none")
	server := httptest.NewServer(s.Handler())
	defer server.Close()
	resp, err := http.Post(server.URL+"/v2/a/blobs/uploads/", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	location := resp.Header.Get("Location")

	conn, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n", location)
	for range 4 { // slow, byte by byte, and for longer than the timeout in all
		time.Sleep(100 * time.Millisecond)
		fmt.Fprint(conn, "x")
	}
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadAll(conn); err != nil {
		t.Fatalf("the connection of a stalled client stays: %v", err)
	}
	resp, err = http.Get(server.URL + location)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := resp.Header.Get("Range"); got != "0-3" {
		t.Errorf("Range %q after four bytes", got)
	}
}

// Ensure that connections beyond the limit wait and are not refused.
func TestConnectionLimit(t *testing.T) {
	s, _ := newTestServer(t, "http: {addr: '127.0.0.1:0', maxconnections: 2}\nauth: none")
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	server := s.httpServer()
	defer server.Close()
	go func() { _ = server.Serve(s.listener) }()
	var open []net.Conn
	for range 2 {
		conn, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
	}
	answered := make(chan error, 1)
	go func() {
		resp, err := http.Get("http://" + s.Addr().String() + "/healthz")
		if err == nil {
			resp.Body.Close()
		}
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Fatalf("a third connection was answered: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	for _, conn := range open {
		_ = conn.Close()
	}
	if err := <-answered; err != nil {
		t.Errorf("after the others closed: %v", err)
	}
}
