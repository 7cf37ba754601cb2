package partial_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/partial"
)

// areaBlobs are blobs of an area, each behind 100 bytes of its owner.
func areaBlobs() (blobs [][]byte, offsets []int64, whole []byte) {
	for i, n := range []int{1 << 20, 0, 1, 3<<20 + 17, 700_000} {
		whole = append(whole, bytes.Repeat([]byte{byte('a' + i)}, 100)...)
		raw := randomBytes(n)
		blobs, offsets = append(blobs, raw), append(offsets, int64(len(whole)))
		whole = append(whole, raw...)
	}
	return blobs, offsets, whole
}

func areaParts(size, part int64) []partial.Part {
	var parts []partial.Part
	for i := int64(0); i*part < size; i++ {
		parts = append(parts, partial.Part{Name: "part" + string(rune('0'+i)), Size: min(part, size-i*part)})
	}
	return parts
}

var areaKey = digest.FromString("key")

func openArea(t *testing.T, root *os.Root, parts []partial.Part, key digest.Digest) *partial.Area {
	t.Helper()
	a, err := partial.OpenArea(root, "all", parts, key, "an area")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// frame writes what is between the windows.
func frame(t *testing.T, a *partial.Area, offsets []int64, whole []byte) {
	t.Helper()
	for _, at := range offsets {
		if _, err := a.WriteAt(whole[at-100:at], at-100); err != nil {
			t.Fatal(err)
		}
	}
}

func window(t *testing.T, a *partial.Area, raw []byte, at int64) *partial.File {
	t.Helper()
	f, err := a.Open(describe(raw), at, "a window")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func finishArea(t *testing.T, root *os.Root, a *partial.Area, parts []partial.Part, whole []byte) {
	t.Helper()
	var to []string
	for _, p := range parts {
		to = append(to, "final-"+p.Name)
	}
	if err := a.Finish(0o644, to, nil); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for _, name := range to {
		raw, err := fs.ReadFile(root.FS(), name)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, raw...)
	}
	if !bytes.Equal(got, whole) {
		t.Error("the bytes are others")
	}
	if entries, err := fs.ReadDir(root.FS(), "."); err != nil || len(entries) != len(parts) {
		t.Errorf("left are %v (%v)", entries, err)
	}
}

// Blobs come into their windows at the same time and in any order, in one file or
// across the ends of several.
func TestWindows(t *testing.T) {
	blobs, offsets, whole := areaBlobs()
	for _, part := range []int64{int64(len(whole)), 1 << 20, 999_999} {
		root, parts := newRoot(t), areaParts(int64(len(whole)), part)
		a := openArea(t, root, parts, areaKey)
		frame(t, a, offsets, whole)
		var group sync.WaitGroup
		for i, raw := range blobs {
			f := window(t, a, raw, offsets[i])
			group.Go(func() {
				for _, n := range rand.Perm(len(raw)/100_000 + 1) {
					from := n * 100_000
					to := min(len(raw), from+100_000)
					if _, err := f.WriteFrom(bytes.NewReader(raw[from:to]), int64(from)); err != nil {
						t.Error(err)
					}
				}
				if err := f.Prove(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		finishArea(t, root, a, parts, whole)
	}
}

// Nothing counts before it is proven, and nobody gets what another one has.
func TestAreaIsNotFinishedBefore(t *testing.T) {
	blobs, offsets, whole := areaBlobs()
	root, parts := newRoot(t), areaParts(int64(len(whole)), int64(len(whole)))
	a := openArea(t, root, parts, areaKey)
	frame(t, a, offsets, whole)
	f := window(t, a, blobs[0], offsets[0])
	for _, at := range []int64{offsets[0] - 1, offsets[0] + 1, 0, int64(len(whole)) - 5, -1} {
		if _, err := a.Open(describe(blobs[0]), at, "another"); err == nil {
			t.Errorf("a window at %d is given away twice", at)
		}
		if _, err := a.WriteAt(blobs[0], at); err == nil {
			t.Errorf("the owner writes at %d", at)
		}
	}
	if _, err := f.WriteAt(blobs[0], 0); err != nil {
		t.Fatal(err)
	}
	var missing *partial.MissingError
	if err := a.Finish(0o644, []string{"final"}, nil); !errors.As(err, &missing) || missing.Missing < f.Size() {
		t.Errorf("finished with a window that is not proven: %v", err)
	}
	if err := f.Prove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Open(describe(blobs[0]), offsets[0], "again"); err == nil {
		t.Error("what is proven is given away")
	}
	if err := a.Finish(0o644, []string{"final"}, nil); !errors.As(err, &missing) {
		t.Errorf("finished with windows that nobody opened: %v", err)
	}
	if err := a.Discard(); err != nil {
		t.Fatal(err)
	}
	if entries, err := fs.ReadDir(root.FS(), "."); err != nil || len(entries) != 0 {
		t.Errorf("left are %v (%v)", entries, err)
	}
}

// What is wrong in one window is brought again, and no other is touched.
func TestWindowOfWrongBytes(t *testing.T) {
	blobs, offsets, whole := areaBlobs()
	root, parts := newRoot(t), areaParts(int64(len(whole)), 1<<20)
	a := openArea(t, root, parts, areaKey)
	frame(t, a, offsets, whole)
	for i, raw := range blobs {
		f := window(t, a, raw, offsets[i])
		wrong := slices.Clone(raw)
		if len(wrong) > 0 {
			wrong[len(wrong)/2] ^= 1
			if _, err := f.WriteAt(wrong, 0); err != nil {
				t.Fatal(err)
			}
			var bad *integrity.Error
			if err := f.Prove(t.Context()); !errors.As(err, &bad) {
				t.Errorf("wrong bytes are proven: %v", err)
			}
			if err := f.Reset(); err != nil {
				t.Fatal(err)
			}
			if len(f.Missing()) != 1 || a.Written(partial.Span{Start: offsets[i], End: offsets[i] + 1}) {
				t.Errorf("missing are %v", f.Missing())
			}
		}
		if _, err := f.WriteAt(raw, 0); err != nil {
			t.Fatal(err)
		}
		if err := f.Prove(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	finishArea(t, root, a, parts, whole)
}

// The next process goes on with every window, and believes none.
func TestAreaIsTakenUp(t *testing.T) {
	blobs, offsets, whole := areaBlobs()
	root, parts := newRoot(t), areaParts(int64(len(whole)), 1<<20)
	a := openArea(t, root, parts, areaKey)
	frame(t, a, offsets, whole)
	done := window(t, a, blobs[4], offsets[4])
	if _, err := done.WriteAt(blobs[4], 0); err != nil {
		t.Fatal(err)
	}
	if err := done.Prove(t.Context()); err != nil {
		t.Fatal(err)
	}
	half := window(t, a, blobs[3], offsets[3])
	if _, err := half.WriteAt(blobs[3][1<<20:2<<20], 1<<20); err != nil {
		t.Fatal(err)
	}
	wrong := window(t, a, blobs[0], offsets[0])
	if _, err := wrong.WriteAt(make([]byte, len(blobs[0])), 0); err != nil {
		t.Fatal(err)
	}
	if err := wrong.GiveUp(wrong.Prove(t.Context())); err == nil {
		t.Error("zeros are the blob")
	}
	if err := half.Suspend(); err != nil {
		t.Fatal(err)
	}
	if err := a.Suspend(); err != nil {
		t.Fatal(err)
	}
	kept := int64(len(blobs[4]) + 1<<20)

	b := openArea(t, root, parts, areaKey)
	if b.Taken() != kept || b.Stale() {
		t.Errorf("%d bytes were taken up, want %d", b.Taken(), kept)
	}
	frame(t, b, offsets, whole)
	for i, raw := range blobs {
		f := window(t, b, raw, offsets[i])
		want := map[int]int64{3: 1 << 20, 4: int64(len(raw))}[i]
		if f.Taken() != want {
			t.Errorf("window %d took up %d bytes, want %d", i, f.Taken(), want)
		}
		for _, s := range f.Missing() {
			if _, err := f.WriteAt(raw[s.Start:s.End], s.Start); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Prove(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	finishArea(t, root, b, parts, whole)
}

// What somebody wrote to meanwhile is found, since all of it is hashed again; and
// what was kept for something else is not used.
func TestAreaThatWasTouched(t *testing.T) {
	blobs, offsets, whole := areaBlobs()
	parts := areaParts(int64(len(whole)), int64(len(whole)))
	root := newRoot(t)
	keep := func(key digest.Digest) {
		a := openArea(t, root, parts, key)
		f := window(t, a, blobs[3], offsets[3])
		if _, err := f.WriteAt(blobs[3], 0); err != nil {
			t.Fatal(err)
		}
		if err := f.Prove(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := a.Suspend(); err != nil {
			t.Fatal(err)
		}
	}
	keep(areaKey)
	data, err := root.OpenFile(parts[0].Name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := data.WriteAt([]byte("touched"), offsets[3]+1000); err != nil {
		t.Fatal(err)
	}
	_ = data.Close()
	a := openArea(t, root, parts, areaKey)
	f := window(t, a, blobs[3], offsets[3])
	var bad *integrity.Error
	if err := f.Prove(t.Context()); !errors.As(err, &bad) {
		t.Errorf("what was touched is proven: %v", err)
	}
	_ = f.GiveUp(bad)
	if err := a.Suspend(); err != nil {
		t.Fatal(err)
	}
	if entries, err := fs.ReadDir(root.FS(), "."); err != nil || len(entries) != 0 {
		t.Errorf("wrong bytes are kept: %v (%v)", entries, err)
	}
	keep(areaKey)
	b := openArea(t, root, parts, digest.FromString("another"))
	if b.Taken() != 0 || !b.Stale() {
		t.Errorf("%d bytes of something else are taken up", b.Taken())
	}
	if err := b.Discard(); err != nil {
		t.Fatal(err)
	}
}
