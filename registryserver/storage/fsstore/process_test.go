//go:build unix

package fsstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

// childEnv holds "<what to do> <root>" for the test binary that is started as
// another process.
const childEnv = "FSSTORE_TEST_CHILD"

func TestMain(m *testing.M) {
	if do, root, ok := strings.Cut(os.Getenv(childEnv), " "); ok {
		if err := child(do, root); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(do, root string) error {
	s, err := New(root)
	if err != nil {
		return err
	}
	switch do {
	case "upload":
		return childUpload(s)
	case "count":
		return count(s, 100)
	case "records":
		return childRecords(s)
	}
	return errors.New("what?")
}

// startChild starts another process on the store, and returns the lines that it
// prints.
func startChild(t testing.TB, do, root string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+do+" "+root)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd, bufio.NewScanner(out)
}

// pattern is the content of the child's upload.
func pattern(from, to int) []byte {
	b := make([]byte, to-from)
	for i := range b {
		b[i] = byte((from + i) >> 10 * 7)
	}
	return b
}

// childUpload writes for ever, and prints the state and then each size.
func childUpload(s *Store) error {
	up, err := s.Blobs().StartUpload(context.Background())
	if err != nil {
		return err
	}
	fmt.Println(string(up.State()))
	for at := 0; ; at += 50_000 {
		if _, err := up.Write(pattern(at, at+50_000)); err != nil {
			return err
		}
		fmt.Println(up.Size())
	}
}

// TestKilledDuringUpload: while another process holds the upload it is busy; the
// moment that process dies, it can be resumed, with everything that was
// written.
func TestKilledDuringUpload(t *testing.T) {
	ctx := context.Background()
	root := t.TempDir()
	s := openStore(t, root)
	cmd, lines := startChild(t, "upload", root)
	lines.Scan()
	state := []byte(lines.Text())
	told := 0
	for told < 3_000_000 && lines.Scan() {
		told, _ = strconv.Atoi(lines.Text())
	}
	if _, err := s.Blobs().ResumeUpload(ctx, state); !errors.Is(err, storage.ErrUploadBusy) {
		t.Errorf("resume of what another process holds: %v", err)
	}
	if n, err := s.Blobs().SweepUploads(ctx, time.Now().Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("a sweep took %d uploads that another process holds, %v", n, err)
	}
	go func() { time.Sleep(20 * time.Millisecond); _ = cmd.Process.Kill() }()
	for lines.Scan() {
		told, _ = strconv.Atoi(lines.Text())
	}
	s.busyWait = busyWait
	up, err := s.Blobs().ResumeUpload(ctx, state)
	if err != nil {
		t.Fatal(err)
	}
	if up.Size() < int64(told) {
		t.Fatalf("the upload has %d bytes, and %d were acknowledged", up.Size(), told)
	}
	at, end := int(up.Size()), int(up.Size())+1_000_000
	if _, err := up.Write(pattern(at, end)); err != nil {
		t.Fatal(err)
	}
	if _, err := up.Commit(ctx, oci.FromBytes(pattern(0, end))); err != nil {
		t.Fatal(err)
	}
	storagetest.Fsck(t, s.Blobs())
	wantTidy(t, root)
}

// childRecords writes and deletes a tag for ever, and prints what it has done.
func childRecords(s *Store) error {
	r, ctx := s.Records(), context.Background()
	for i := 0; ; i++ {
		for _, key := range []string{"current/link", "index/sha256/00/link"} {
			if _, err := r.Put(ctx, repositories+"/a/_manifests/tags/v1/"+key, []byte(strings.Repeat(strconv.Itoa(i%10), 1000)), storage.Any); err != nil {
				return err
			}
		}
		fmt.Println(i)
		if i%3 == 2 {
			for _, key := range []string{"index/sha256/00/link", "current/link"} {
				if err := r.Delete(ctx, repositories+"/a/_manifests/tags/v1/"+key, storage.Any); err != nil {
					return err
				}
			}
		}
	}
}

// TestKilledDuringRecords: whenever a writer is killed, a record is there whole
// or not at all, its lock is free, and nothing dangles.
func TestKilledDuringRecords(t *testing.T) {
	ctx := context.Background()
	root := t.TempDir()
	s := openStore(t, root)
	for round := range 6 {
		cmd, lines := startChild(t, "records", root)
		for range 3 + 7*round {
			lines.Scan()
		}
		_ = cmd.Process.Kill()
		for lines.Scan() { // until it is dead
		}
		tags := repositories + "/a/_manifests/tags"
		for key, err := range s.Records().List(ctx, tags+"/", "") {
			if err != nil {
				t.Fatal(err)
			}
			rec, err := s.Records().Get(ctx, key)
			if err != nil || len(rec.Value) != 1000 || strings.Trim(string(rec.Value), string(rec.Value[:1])) != "" {
				t.Errorf("%s has %d bytes, %v", key, len(rec.Value), err)
			}
		}
		for _, key := range []string{"current/link", "index/sha256/00/link"} {
			put(t, s, tags+"/v1/"+key, "value")
			if err := s.Records().Delete(ctx, tags+"/v1/"+key, storage.Any); err != nil {
				t.Error(err)
			}
		}
		for name, err := range s.Records().Children(ctx, tags, "") {
			t.Errorf("the tag %s is left, %v", name, err)
		}
	}
}

// count adds to a number, n times.
func count(s *Store, n int) error {
	r, ctx := s.Records(), context.Background()
	for n > 0 {
		rec, err := r.Get(ctx, "count/n")
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		now, _ := strconv.Atoi(string(rec.Value))
		_, err = r.Put(ctx, "count/n", []byte(strconv.Itoa(now+1)), rec.Version)
		if err == nil {
			n--
		} else if !errors.Is(err, storage.ErrConflict) {
			return err
		}
	}
	return nil
}

// TestTwoProcesses: compare-and-swap holds between processes.
func TestTwoProcesses(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root)
	var children []*exec.Cmd
	for range 2 {
		cmd, _ := startChild(t, "count", root)
		children = append(children, cmd)
	}
	if err := count(s, 100); err != nil {
		t.Error(err)
	}
	for _, cmd := range children {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	if rec, err := s.Records().Get(context.Background(), "count/n"); err != nil || string(rec.Value) != "300" {
		t.Errorf("three times 100 is %s, %v", rec.Value, err)
	}
	wantTidy(t, root)
}
