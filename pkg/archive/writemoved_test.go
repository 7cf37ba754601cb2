package archive_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/modseal/modseal/pkg/archive"
)

// drawn is an archive of some of ten layers and of trust material of any size.
func drawn(t testing.TB, r *rand.Rand) *goods {
	t.Helper()
	g := newGoods()
	var layers [][]byte
	for i := range uint64(10) {
		if r.IntN(4) > 0 {
			layers = append(layers, randomBytes(50+i, 100_000+int(i)*90_001))
		}
	}
	g.model(t, "registry.example.com/team/llama", "v1", layers...)
	if n := r.IntN(3); n > 0 {
		g.in.Trust = randomBytes(uint64(n), r.IntN(900_000))
	}
	return g
}

// However the archive changes between interruptions, what both have is moved to
// where it belongs now, and the result is that of a call that nothing came before.
func TestPlansThatChange(t *testing.T) {
	var moved, total int64
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 1))
		dir := t.TempDir()
		file, o := filepath.Join(dir, "a.tar"), archive.WriteOptions{PartSize: []int64{0, 1 << 20}[seed%2]}
		for range 6 {
			var came int64
			g := drawn(t, r)
			g.stopAfter(r.Int64N(3<<20), &came, errLine)
			_, size := g.plan(t).Blobs()
			w, err := archive.Write(t.Context(), g.plan(t), file, archive.WriteOptions{PartSize: o.PartSize, Concurrency: 1, Overwrite: true})
			if err == nil {
				moved, total = moved+w.Resumed, total+size
				if !w.Existed && w.Resumed+w.Reused+came < size {
					t.Errorf("%d bytes were kept, %d reused, and %d came, of %d", w.Resumed, w.Reused, came, size)
				}
			} else if !errors.Is(err, errLine) {
				t.Fatal(err)
			}
		}
		o.Overwrite = true
		g := drawn(t, r)
		w := write(t, g.plan(t), file, o)
		clean := write(t, g.plan(t), filepath.Join(t.TempDir(), "b"), archive.WriteOptions{})
		if !bytes.Equal(joined(t, w), joined(t, clean)) {
			t.Fatalf("seed %d: the bytes are others: %+v", seed, w)
		}
		if left := names(t, dir); len(left) != max(1, len(w.Parts)+1) && o.PartSize > 0 || o.PartSize == 0 && len(left) != 1 {
			t.Errorf("seed %d: left are %v", seed, left)
		}
	}
	t.Logf("%d of %d bytes were kept from other archives", moved, total)
	if moved == 0 {
		t.Error("nothing was ever moved")
	}
}

// One more signature, and another root among the trust material, between two calls:
// nothing of the weights comes again.
func TestSignedMeanwhile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.tar")
	g := sample(t, 1)
	var came, again int64
	g.stopAfter(5<<20, &came, errLine)
	if _, err := archive.Write(t.Context(), g.plan(t), file, archive.WriteOptions{Concurrency: 1}); !errors.Is(err, errLine) {
		t.Fatal(err)
	}
	changed := func() *goods {
		g := sample(t, 1)
		g.in.Trust = bytes.Repeat([]byte("root "), 1000)
		g.model(t, "registry.example.com/team/llama", "v3", randomBytes(1, 3<<20+17))
		return g
	}
	g = changed()
	g.stopAfter(1<<40, &again, errLine)
	w := write(t, g.plan(t), file, archive.WriteOptions{})
	_, size := g.plan(t).Blobs()
	if w.Resumed != came || w.StartedOver || came+again != size {
		t.Errorf("%d bytes came, then %d, of %d: %+v", came, again, size, w)
	}
	clean := write(t, changed().plan(t), filepath.Join(t.TempDir(), "b"), archive.WriteOptions{})
	if !bytes.Equal(joined(t, w), joined(t, clean)) {
		t.Error("the bytes are others")
	}
}

// What lies there already under this name need not come again: not to split it or to
// join it, and not for the next version of a model. What is damaged comes again.
func TestWhatIsThereIsReused(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.tar")
	first := write(t, sample(t, 1).plan(t), file, archive.WriteOptions{})
	want := joined(t, first)
	var came int64
	again := func(g *goods, o archive.WriteOptions) *archive.Written {
		t.Helper()
		came = 0
		g.stopAfter(1<<40, &came, errLine)
		o.Concurrency = 1
		return write(t, g.plan(t), file, o)
	}
	w := again(sample(t, 1), archive.WriteOptions{PartSize: 1 << 20})
	if _, size := sample(t, 1).plan(t).Blobs(); came != 0 || w.Reused != size || !bytes.Equal(joined(t, w), want) {
		t.Errorf("split: %d bytes came, of %d; %+v", came, size, w)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if w := again(sample(t, 1), archive.WriteOptions{}); came != 0 || !bytes.Equal(joined(t, w), want) {
		t.Errorf("joined: %d bytes came; %+v", came, w)
	}
	next := func() *goods {
		g := newGoods()
		g.model(t, "registry.example.com/team/llama", "v3", randomBytes(1, 3<<20+17), randomBytes(77, 1<<20))
		return g
	}
	w = again(next(), archive.WriteOptions{Overwrite: true})
	clean := write(t, next().plan(t), filepath.Join(t.TempDir(), "b"), archive.WriteOptions{})
	if w.Reused < 3<<20 || came < 1<<20 || came > 1<<20+10_000 || !bytes.Equal(joined(t, w), joined(t, clean)) {
		t.Errorf("the next version: %d bytes came; %+v", came, w)
	}
	// Damaged in its largest blob, with no other archive that has it.
	if err := os.Remove(archive.PartsName(file)); err != nil {
		t.Fatal(err)
	}
	raw := joined(t, w)
	raw[bytes.Index(raw, randomBytes(1, 64))+1<<20] ^= 1
	if err := os.WriteFile(file, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	if w := again(next(), archive.WriteOptions{Overwrite: true}); w.Existed || came < 3<<20 || !bytes.Equal(joined(t, w), joined(t, clean)) {
		t.Errorf("a damaged one: %d bytes came; %+v", came, w)
	}
}
