package archive_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/archive"
	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/partial"
)

// stopAfter makes all blobs of g fail once n bytes were brought, and counts what
// comes.
func (g *goods) stopAfter(n int64, came *int64, fail error) {
	var mu sync.Mutex
	for i := range g.in.Blobs {
		b := &g.in.Blobs[i]
		raw := g.blobs[b.Descriptor.Digest]
		b.Bring = func(_ context.Context, to *partial.File, moved func(int64)) error {
			mu.Lock() // one blob after the other
			defer mu.Unlock()
			for _, s := range to.Missing() {
				for at := s.Start; at < s.End; {
					if *came >= n {
						return fail
					}
					m, err := to.WriteFrom(bytes.NewReader(raw[at:min(at+100_000, s.End)]), at)
					if err != nil {
						return err
					}
					moved(m)
					at += m
					*came += m
				}
			}
			return nil
		}
	}
}

var errLine = errors.New("the line is down")

// What was interrupted is gone on with: nothing comes twice, and the result has the
// bytes of an archive that was not.
func TestResume(t *testing.T) {
	want := filepath.Join(t.TempDir(), "want")
	whole := write(t, sample(t, 1).plan(t), want, archive.WriteOptions{}).Size
	for _, part := range []int64{0, 1 << 20} {
		dir := t.TempDir()
		file := filepath.Join(dir, "a.tar")
		o := archive.WriteOptions{PartSize: part, Concurrency: 1}
		var came int64
		g := sample(t, 1)
		g.stopAfter(4<<20, &came, errLine)
		_, err := archive.Write(t.Context(), g.plan(t), file, o)
		var interrupted *archive.InterruptedError
		if !errors.As(err, &interrupted) || !errors.Is(err, errLine) || interrupted.Kept != came {
			t.Fatalf("%v, %d bytes came", err, came)
		}
		for _, n := range names(t, dir) {
			if !strings.Contains(n, ".partial") {
				t.Errorf("%s is there already", n)
			}
		}
		g = sample(t, 1)
		again := int64(0)
		g.stopAfter(1<<40, &again, errLine)
		w := write(t, g.plan(t), file, o)
		_, blobs := g.plan(t).Blobs()
		if w.Resumed != came || came+again != blobs {
			t.Errorf("%d bytes came, then %d, of %d; %+v", came, again, blobs, w)
		}
		if got := joined(t, w); !bytes.Equal(got, readFile(t, want)) || int64(len(got)) != whole {
			t.Error("the bytes are others")
		}
		if left := names(t, dir); len(left) != max(1, len(w.Parts)+1) && part > 0 || part == 0 && len(left) != 1 {
			t.Errorf("left are %v", left)
		}
	}
}

// joined returns the bytes of an archive.
func joined(t testing.TB, w *archive.Written) []byte {
	t.Helper()
	if len(w.Parts) == 0 {
		return readFile(t, w.File)
	}
	var all []byte
	for _, p := range w.Parts {
		raw := readFile(t, filepath.Join(filepath.Dir(w.File), p.Name))
		if int64(len(raw)) != p.Size || digest.FromBytes(raw).Encoded() != p.SHA256 {
			t.Errorf("part %s is not what the list says", p.Name)
		}
		all = append(all, raw...)
	}
	return all
}

// What was kept for another archive, or other parts, is not mixed in.
func TestChangedPlan(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.tar")
	var came int64
	interrupt := func(seed uint64, part int64) {
		g := sample(t, seed)
		came = 0
		g.stopAfter(2<<20, &came, errLine)
		if _, err := archive.Write(t.Context(), g.plan(t), file, archive.WriteOptions{PartSize: part}); !errors.Is(err, errLine) {
			t.Fatal(err)
		}
	}
	interrupt(1, 0)
	interrupt(1, 1<<20) // other parts
	if left := names(t, dir); slices.Contains(left, "a.tar.partial") {
		t.Errorf("left are %v", left)
	}
	interrupt(1, 2<<20) // larger ones, and fewer
	w := write(t, sample(t, 1).plan(t), file, archive.WriteOptions{PartSize: 1 << 20})
	if w.Resumed != 0 || !w.StartedOver {
		t.Errorf("%+v", w)
	}
	clean := write(t, sample(t, 1).plan(t), filepath.Join(t.TempDir(), "b"), archive.WriteOptions{})
	if !bytes.Equal(joined(t, w), joined(t, clean)) {
		t.Error("the bytes are others")
	}
	if left := names(t, dir); len(left) != len(w.Parts)+1 {
		t.Errorf("left are %v", left)
	}
}

// What somebody wrote into what was kept is brought again.
func TestTouchedMeanwhile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.tar")
	var came int64
	g := sample(t, 1)
	g.stopAfter(4<<20, &came, errLine)
	if _, err := archive.Write(t.Context(), g.plan(t), file, archive.WriteOptions{Concurrency: 1}); !errors.Is(err, errLine) {
		t.Fatal(err)
	}
	data := readFile(t, file+".partial")
	for at := 0; at < len(data); at += 500_000 {
		data[at] ^= 1
	}
	if err := os.WriteFile(file+".partial", data, 0o600); err != nil {
		t.Fatal(err)
	}
	w := write(t, sample(t, 1).plan(t), file, archive.WriteOptions{})
	clean := write(t, sample(t, 1).plan(t), filepath.Join(t.TempDir(), "b"), archive.WriteOptions{})
	if !bytes.Equal(joined(t, w), joined(t, clean)) {
		t.Error("the bytes are others")
	}
}

// A blob that is another one is refused, and never under the final name; a second
// way to it is gone.
func TestWrongBlob(t *testing.T) {
	for _, other := range []bool{false, true} {
		dir := t.TempDir()
		g := sample(t, 1)
		i := slices.IndexFunc(g.in.Blobs, func(b archive.InputBlob) bool { return b.Descriptor.Size > 1<<20 })
		b := &g.in.Blobs[i]
		right, asked := b.Bring, 0
		b.Bring = func(ctx context.Context, to *partial.File, moved func(int64)) error {
			if asked > 0 {
				return right(ctx, to, moved)
			}
			n, err := to.WriteFrom(io.LimitReader(zeros{}, to.Size()), 0)
			moved(n)
			return err
		}
		b.Rejected = func() bool { asked++; return other }
		w, err := archive.Write(t.Context(), g.plan(t), filepath.Join(dir, "a.tar"), archive.WriteOptions{})
		var bad *integrity.Error
		if other && (err != nil || asked != 1) || !other && (!errors.As(err, &bad) || bad.Want != b.Descriptor.Digest) {
			t.Errorf("%v, asked %d times", err, asked)
		}
		if other {
			clean := write(t, sample(t, 1).plan(t), filepath.Join(t.TempDir(), "b"), archive.WriteOptions{})
			if !bytes.Equal(joined(t, w), joined(t, clean)) {
				t.Error("the bytes are others")
			}
		} else if slices.Contains(names(t, dir), "a.tar") {
			t.Error("it has its final name")
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Of two who write one archive, the second is told at once.
func TestSecondWriter(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.tar")
	g := sample(t, 1)
	second := sample(t, 1).plan(t)
	for i := range g.in.Blobs {
		b := &g.in.Blobs[i]
		right := b.Bring
		b.Bring = func(ctx context.Context, to *partial.File, moved func(int64)) error {
			var busy *archive.BusyError
			if _, err := archive.Write(ctx, second, file, archive.WriteOptions{}); !errors.As(err, &busy) {
				t.Errorf("a second writer: %v", err)
			}
			return right(ctx, to, moved)
		}
	}
	write(t, g.plan(t), file, archive.WriteOptions{})
	if left := names(t, filepath.Dir(file)); len(left) != 1 {
		t.Errorf("left are %v", left)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	g := sample(t, 1)
	var came int64
	g.stopAfter(3<<20, &came, errLine)
	for i := range g.in.Blobs {
		b := &g.in.Blobs[i]
		right := b.Bring
		b.Bring = func(ctx context.Context, to *partial.File, moved func(int64)) error {
			err := right(ctx, to, moved)
			if errors.Is(err, errLine) {
				cancel(context.Canceled)
			}
			return err
		}
	}
	file := filepath.Join(t.TempDir(), "a.tar")
	var interrupted *archive.InterruptedError
	if _, err := archive.Write(ctx, g.plan(t), file, archive.WriteOptions{Concurrency: 1}); !errors.Is(err, context.Canceled) || !errors.As(err, &interrupted) {
		t.Errorf("%v", err)
	}
	// Also while what is there is proven: nothing that was not read is taken for good.
	write(t, sample(t, 1).plan(t), file, archive.WriteOptions{})
	if w, err := archive.Write(ctx, sample(t, 1).plan(t), file, archive.WriteOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%+v, %v", w, err)
	}
}

// The same bytes in parts, and in one file again.
func TestResplit(t *testing.T) {
	dir := t.TempDir()
	one := write(t, sample(t, 1).plan(t), filepath.Join(dir, "one"), archive.WriteOptions{})
	split := write(t, sample(t, 1).plan(t), filepath.Join(dir, "split"), archive.WriteOptions{PartSize: 1 << 20})
	raw := readFile(t, one.File)
	w, err := archive.Resplit(t.Context(), bytes.NewReader(raw), filepath.Join(dir, "again"), archive.WriteOptions{PartSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(joined(t, w), raw) || !bytes.Equal(joined(t, split), raw) || len(w.Parts) != len(split.Parts) {
		t.Error("the parts have other bytes")
	}
	w, err = archive.Resplit(t.Context(), bytes.NewReader(joined(t, split)), filepath.Join(dir, "joined"), archive.WriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(readFile(t, w.File), raw) {
		t.Error("the file has other bytes")
	}
	// A blob that is damaged in the source.
	damaged := slices.Clone(raw)
	damaged[len(damaged)/2] ^= 1
	var bad *integrity.Error
	if _, err := archive.Resplit(t.Context(), bytes.NewReader(damaged), filepath.Join(dir, "bad"), archive.WriteOptions{}); !errors.As(err, &bad) {
		t.Errorf("a damaged archive: %v", err)
	}
	if _, err := archive.Resplit(t.Context(), bytes.NewReader(raw[:len(raw)/2]), filepath.Join(dir, "bad"), archive.WriteOptions{}); err == nil {
		t.Error("half an archive")
	}
}

// Killed between two renames at its end, a split archive is gone on with; what is
// under the name of a part otherwise is not touched.
func TestPartsWithTheirFinalNames(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.tar")
	o := archive.WriteOptions{PartSize: 1 << 20, Concurrency: 1}
	_, blobs := sample(t, 1).plan(t).Blobs()
	g := sample(t, 1)
	var came int64
	g.stopAfter(blobs-1, &came, errLine)
	last := &g.in.Blobs[len(g.in.Blobs)-1]
	last.Bring = func(context.Context, *partial.File, func(int64)) error { return errLine }
	if _, err := archive.Write(t.Context(), g.plan(t), file, o); !errors.Is(err, errLine) {
		t.Fatal(err)
	}
	for _, n := range []string{"a.tar.000", "a.tar.003"} {
		if err := os.Rename(filepath.Join(dir, n+".partial"), filepath.Join(dir, n)); err != nil {
			t.Fatal(err)
		}
	}
	w := write(t, sample(t, 1).plan(t), file, o)
	clean := write(t, sample(t, 1).plan(t), filepath.Join(t.TempDir(), "b"), archive.WriteOptions{})
	if w.Resumed != came || !bytes.Equal(joined(t, w), joined(t, clean)) {
		t.Errorf("of %d bytes %d were kept", came, w.Resumed)
	}

	if err := os.Remove(w.File); err != nil {
		t.Fatal(err)
	}
	before := readFile(t, filepath.Join(dir, "a.tar.000"))
	var exists *archive.ExistsError
	if _, err := archive.Write(t.Context(), sample(t, 5).plan(t), file, o); !errors.As(err, &exists) || exists.File != file+".000" {
		t.Errorf("parts of who knows what: %v", err)
	}
	// Nor with a journal of whatever else was interrupted here.
	if err := os.WriteFile(file+".partial.journal", []byte("of something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Write(t.Context(), sample(t, 5).plan(t), file, o); !errors.As(err, &exists) || exists.File != file+".000" {
		t.Errorf("parts of who knows what, and a journal: %v", err)
	}
	if !bytes.Equal(readFile(t, filepath.Join(dir, "a.tar.000")), before) {
		t.Error("a part was written to")
	}
}

// A directory is nobody's unfinished archive, and nothing in it is removed.
func TestDirectoriesInTheWay(t *testing.T) {
	for _, name := range []string{"a.tar", "a.tar.partial", "a.tar.partial.journal", "a.tar.001", "a.tar.001.partial", "a.tar.parts.json"} {
		dir := t.TempDir()
		kept := filepath.Join(dir, name, "kept")
		if err := errors.Join(os.Mkdir(filepath.Dir(kept), 0o700), os.WriteFile(kept, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		o := archive.WriteOptions{Overwrite: true}
		if strings.Contains(name, ".001") || strings.HasSuffix(name, ".json") {
			o.PartSize = 1 << 20
		}
		if _, err := archive.Write(t.Context(), sample(t, 1).plan(t), filepath.Join(dir, "a.tar"), o); err == nil || !strings.Contains(err.Error(), "it is a directory") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(kept); err != nil {
			t.Error(err)
		}
	}
}

// Who opens an archive by its name gets what was written last, split or not.
func TestAnotherFileUnderTheNameOfASet(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.tar")
	old := write(t, sample(t, 5).plan(t), file, archive.WriteOptions{})
	o := archive.WriteOptions{PartSize: 1 << 20}
	var exists *archive.ExistsError
	if _, err := archive.Write(t.Context(), sample(t, 1).plan(t), file, o); !errors.As(err, &exists) || exists.File != file {
		t.Errorf("another archive is there: %v", err)
	}
	if _, err := os.Stat(old.File); err != nil {
		t.Error(err)
	}
	o.Overwrite = true
	w := write(t, sample(t, 1).plan(t), file, o)
	a, err := archive.Open(t.Context(), file, archive.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if own, ok := a.Manifest(); !ok || own.Digest != w.Digest {
		t.Errorf("%s opens %s, and %s was written", file, own.Digest, w.Digest)
	}
}

// A full disk is seen before anything is brought, and costs nothing that was kept.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.tar")
	size := sample(t, 1).plan(t).Size()
	full := func(free int64) *archive.SpaceError {
		t.Helper()
		defer archive.SetFree(free)()
		g := sample(t, 1)
		var came int64
		g.stopAfter(0, &came, errLine)
		_, err := archive.Write(t.Context(), g.plan(t), file, archive.WriteOptions{})
		var space *archive.SpaceError
		if !errors.As(err, &space) && !errors.Is(err, errLine) {
			t.Fatal(err)
		}
		return space
	}
	if e := full(size - 1); e == nil || e.Need != size || e.Free != size-1 || e.Dir != dir {
		t.Errorf("%+v", e)
	}
	if left := names(t, dir); len(left) != 0 {
		t.Errorf("left are %v", left)
	}
	if e := full(size); e != nil {
		t.Errorf("there is room: %v", e)
	}
	g := sample(t, 1)
	var came int64
	g.stopAfter(4<<20, &came, errLine)
	if _, err := archive.Write(t.Context(), g.plan(t), file, archive.WriteOptions{Concurrency: 1}); !errors.Is(err, errLine) {
		t.Fatal(err)
	}
	// What is known of the archive is on the disk too.
	if e := full(size - came - 200_000); e == nil || e.Need > size-came || e.Need <= e.Free {
		t.Errorf("%+v", e)
	}
	if e := full(size - came); e != nil {
		t.Errorf("there is room: %+v", e)
	}
	if w := write(t, sample(t, 1).plan(t), file, archive.WriteOptions{}); w.Resumed != came {
		t.Errorf("of %d bytes %d were kept", came, w.Resumed)
	}
}

func TestPartSizes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.tar")
	for _, size := range []int64{-1, 1, archive.MinPartSize - 1} {
		if _, err := archive.Write(t.Context(), sample(t, 1).plan(t), file, archive.WriteOptions{PartSize: size}); err == nil {
			t.Errorf("parts of %d bytes", size)
		}
	}
	if left := names(t, filepath.Dir(file)); len(left) != 0 {
		t.Errorf("left are %v", left)
	}
}
