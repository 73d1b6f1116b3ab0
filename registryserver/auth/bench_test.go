package auth

import (
	"net/http"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

func benchGate(b *testing.B) *Gate {
	b.Helper()
	dir, err := OpenDirectory(b.Context(), DirectoryConfig{Records: storagetest.NewMemory().Records(), BcryptCost: bcrypt.DefaultCost, Log: new(logBuffer).logger()})
	if err != nil {
		b.Fatal(err)
	}
	if err := dir.EnsureAdmin(b.Context(), "root", adminPassword); err != nil {
		b.Fatal(err)
	}
	g, err := NewGate(Config{Directory: dir})
	if err != nil {
		b.Fatal(err)
	}
	return g
}

// BenchmarkAuthenticate is what every request of a logged-in client pays.
func BenchmarkAuthenticate(b *testing.B) {
	g := benchGate(b)
	r := basicRequest("192.0.2.1", "root", adminPassword)
	repo := oci.MustRepository("team/app")
	run := func(b *testing.B, r *http.Request) {
		b.ReportAllocs()
		for b.Loop() {
			id, err := g.Authenticate(b.Context(), r)
			if err != nil {
				b.Fatal(err)
			}
			id.May(oci.Pull, repo)
		}
	}
	b.Run("remembered", func(b *testing.B) { run(b, r) })
	b.Run("anonymous", func(b *testing.B) { run(b, basicRequest("192.0.2.1", "", "")) })
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			r := basicRequest("192.0.2.1", "root", adminPassword)
			for pb.Next() {
				if _, err := g.Authenticate(b.Context(), r); err != nil {
					b.Error(err)
				}
			}
		})
	})
}
