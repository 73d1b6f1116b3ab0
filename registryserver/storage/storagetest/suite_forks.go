package storagetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// testForks makes two lineages of one upload state, one of them in another
// process, and runs them in every order that their steps can have. Each
// believes that the upload holds what it wrote itself, and claims the digest of
// that. Whoever wins: no digest ever names other bytes.
func testForks(t *testing.T, open func(t testing.TB) Store) {
	for _, plan := range []struct {
		name         string
		fillA, fillB byte
		endA, endB   string
	}{
		{"BothCommit", 'a', 'b', "commit", "commit"},
		{"OneAborts", 'a', 'b', "commit", "abort"},
		{"SameBytes", 'x', 'x', "commit", "commit"},
		{"BothClaimTheSame", 'a', 'b', "claim", "claim"},
	} {
		t.Run(plan.name, func(t *testing.T) {
			s := open(t)
			other := s.Reopen(t)
			stepsA := []string{"resume", "write", "close", "resume", "write", plan.endA}
			stepsB := []string{"resume", "write", "close", "resume", "write", plan.endB}
			salt := uint64(0)
			interleave(len(stepsA), len(stepsB), func(order []bool) {
				if salt++; t.Failed() || testing.Short() && salt%7 != 0 {
					return
				}
				prefix := binary.BigEndian.AppendUint64([]byte("fork "), salt)
				up := upload(t, s.Blobs, prefix)
				noErr(t, "close", up.Close())
				a := &lineage{blobs: s.Blobs, state: up.State(), believes: bytes.Clone(prefix), fill: plan.fillA}
				b := &lineage{blobs: other.Blobs, state: up.State(), believes: bytes.Clone(prefix), fill: plan.fillB}
				runFork(t, order, a, b, stepsA, stepsB)
			})
			Fsck(t, s.Reopen(t).Blobs)
		})
	}
}

// interleave calls do with every order of a steps of one kind (true) and b of
// another.
func interleave(a, b int, do func(order []bool)) {
	order := make([]bool, 0, a+b)
	var next func(a, b int)
	next = func(a, b int) {
		if a == 0 && b == 0 {
			do(order)
			return
		}
		if a > 0 {
			order = append(order, true)
			next(a-1, b)
			order = order[:len(order)-1]
		}
		if b > 0 {
			order = append(order, false)
			next(a, b-1)
			order = order[:len(order)-1]
		}
	}
	next(a, b)
}

func runFork(t *testing.T, order []bool, a, b *lineage, stepsA, stepsB []string) {
	var history []string
	for _, first := range order {
		who, steps := a, &stepsA
		if !first {
			who, steps = b, &stepsB
		}
		step := (*steps)[0]
		*steps = (*steps)[1:]
		err := who.do(step)
		name := map[bool]string{true: "A", false: "B"}[first]
		history = append(history, fmt.Sprintf("%s %s: %v", name, step, err))
		for _, d := range append(a.claimed, b.claimed...) {
			info, err := a.blobs.Stat(context.Background(), d)
			if errors.Is(err, storage.ErrNotFound) {
				continue
			}
			noErr(t, "stat", err)
			checkBlob(t, b.blobs, info)
		}
		if t.Failed() {
			t.Fatalf("after:\n%q", history)
		}
	}
	noErr(t, "close", a.drop())
	noErr(t, "close", b.drop())
}

// lineage is a careless client with one fork of an upload.
type lineage struct {
	blobs    storage.Blobs
	state    []byte
	up       storage.Upload // while it holds it
	believes []byte         // what it thinks the upload holds
	fill     byte
	claimed  []oci.Digest
}

func (l *lineage) do(step string) error {
	ctx := context.Background()
	if step == "resume" {
		up, err := l.blobs.ResumeUpload(ctx, l.state)
		if err == nil {
			l.up = up
		}
		return err
	}
	if l.up == nil {
		return errors.New("has no hold of the upload")
	}
	switch step {
	case "write":
		piece := bytes.Repeat([]byte{l.fill}, 10)
		n, err := l.up.Write(piece)
		l.believes = append(l.believes, piece[:n]...)
		return err
	case "close":
		l.state = l.up.State()
		return l.drop()
	case "commit":
		return l.claim(ctx, l.believes)
	case "claim": // what neither of them wrote alone, but both together
		return l.claim(ctx, append(bytes.Clone(l.believes[:len(l.believes)-10]), "bbbbbbbbbbbbbbbbbbbb"...))
	case "abort":
		err := l.up.Abort(ctx)
		l.up = nil
		return err
	}
	panic("unknown step " + step)
}

func (l *lineage) claim(ctx context.Context, content []byte) error {
	want := oci.FromBytes(content)
	l.claimed = append(l.claimed, want)
	info, err := l.up.Commit(ctx, want)
	if err == nil && info.Digest != want {
		err = fmt.Errorf("committed %s and got %s", want, info.Digest)
	}
	l.up = nil
	return err
}

func (l *lineage) drop() error {
	if l.up == nil {
		return nil
	}
	err := l.up.Close()
	l.up = nil
	return err
}
