//go:build unix

package fsstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// body hides what a bytes.Reader can do beyond Read, as a request's body does.
type body struct{ io.Reader }

const uploadSize = 16 << 20

// fresh returns content that was not stored before.
func fresh() func() []byte {
	content := make([]byte, uploadSize)
	_, _ = rand.Read(content)
	n := uint64(0)
	return func() []byte {
		n++
		binary.LittleEndian.PutUint64(content, n)
		return content
	}
}

// reportCPU reports processor time per GiB beside elapsed time: the disk
// decides the one, the code the other.
func reportCPU(b *testing.B, run func()) {
	cpu := func() time.Duration {
		var u syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := cpu()
	run()
	b.ReportMetric((cpu()-before).Seconds()*float64(1<<30)/(float64(b.N)*uploadSize), "cpu-s/GiB")
}

// BenchmarkUpload is a push of 16 MiB, up to the durable blob.
func BenchmarkUpload(b *testing.B) {
	ctx := context.Background()
	s := openStore(b, b.TempDir())
	next := fresh()
	b.SetBytes(uploadSize)
	b.ReportAllocs()
	reportCPU(b, func() {
		for b.Loop() {
			content := next()
			up, err := s.Blobs().StartUpload(ctx)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(up, body{bytes.NewReader(content)}); err != nil {
				b.Fatal(err)
			}
			// The digest that the client claims: found by the upload itself, so that
			// the content is hashed once.
			want := oci.FromHash(oci.Canonical, up.(*upload).sum.h)
			info, err := up.Commit(ctx, want)
			if err != nil {
				b.Fatal(err)
			}
			_ = os.Remove(s.path(storage.BlobKey(info.Digest)))
		}
	})
}

// BenchmarkHashAndWrite is the least that an upload can cost: read, hash, write
// and sync one file.
func BenchmarkHashAndWrite(b *testing.B) {
	dir := b.TempDir()
	next := fresh()
	b.SetBytes(uploadSize)
	b.ReportAllocs()
	buf := make([]byte, bufferSize)
	reportCPU(b, func() {
		for b.Loop() {
			r := body{bytes.NewReader(next())}
			f, err := os.Create(dir + "/data")
			if err != nil {
				b.Fatal(err)
			}
			h := sha256.New()
			for {
				n, err := io.ReadFull(r, buf)
				h.Write(buf[:n])
				if _, err := f.Write(buf[:n]); err != nil {
					b.Fatal(err)
				}
				if err != nil {
					break
				}
			}
			h.Sum(nil)
			if err := f.Sync(); err != nil {
				b.Fatal(err)
			}
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	})
}

func BenchmarkRecordGet(b *testing.B) {
	s := openStore(b, b.TempDir())
	put(b, s, repositories+"/a/_layers/sha256/00/link", string(make([]byte, 71)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Records().Get(context.Background(), repositories+"/a/_layers/sha256/00/link"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRecordPut(b *testing.B) {
	s := openStore(b, b.TempDir())
	n := 0
	for name, key := range map[string]func() string{
		"New":  func() string { n++; return fmt.Sprintf("%s/a/_layers/sha256/%064d/link", repositories, n) },
		"Same": func() string { return repositories + "/a/_manifests/tags/v1/current/link" },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				put(b, s, key(), "sha256:0000000000000000000000000000000000000000000000000000000000000000")
			}
		})
	}
}

// BenchmarkChildren lists the tags of a repository with a thousand.
func BenchmarkChildren(b *testing.B) {
	root := b.TempDir()
	s := openStore(b, root)
	const tags = 1000
	for i := range tags {
		dir := fmt.Sprintf("%s/%s/a/_manifests/tags/v%d", root, repositories, i)
		writeFile(b, dir+"/current/link", "x")
		writeFile(b, dir+"/index/sha256/00/link", "x")
	}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for _, err := range s.Records().Children(context.Background(), repositories+"/a/_manifests/tags", "") {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != tags {
			b.Fatalf("%d tags", n)
		}
	}
}
