package partial_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/partial"
)

const name = "blob.part"

func randomBytes(n int) []byte {
	p := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n), 7})
	_, _ = r.Read(p)
	return p
}

func describe(raw []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: "application/x-test", Digest: digest.FromBytes(raw), Size: int64(len(raw))}
}

func newRoot(t testing.TB) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}

func open(t testing.TB, root *os.Root, desc ocispec.Descriptor, o partial.Options) *partial.File {
	t.Helper()
	f, err := partial.Open(t.Context(), root, name, desc, o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// fill writes what is missing of raw, up to n bytes.
func fill(t testing.TB, f *partial.File, raw []byte, n int64) {
	t.Helper()
	for _, s := range f.Missing() {
		take := min(s.Len(), n)
		if m, err := f.WriteFrom(bytes.NewReader(raw[s.Start:s.Start+take]), s.Start); m != take || err != nil {
			t.Fatal(m, err)
		}
		n -= take
	}
}

func finish(t testing.TB, root *os.Root, f *partial.File, raw []byte) {
	t.Helper()
	w, err := f.Finish(t.Context(), "blob")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := fs.ReadFile(root.FS(), "blob"); err != nil || !bytes.Equal(got, raw) {
		t.Errorf("it holds other bytes, %v", err)
	}
	if w.Name() != "blob" || w.Descriptor().Digest != digest.FromBytes(raw) {
		t.Errorf("%+v", w)
	}
	wantFiles(t, root, "blob")
}

// wantFiles compares all names in root.
func wantFiles(t testing.TB, root *os.Root, want ...string) {
	t.Helper()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("there are %q, want %q", got, want)
	}
}

func TestWholeInEveryOrder(t *testing.T) {
	for size, pieces := range map[int]int{0: 1, 1: 1, 100: 7, 256 << 10: 1, 1<<20 + 17: 5, 5 << 20: 40} {
		raw := randomBytes(size)
		for range 3 {
			root := newRoot(t)
			f := open(t, root, describe(raw), partial.Options{})
			step := size/pieces + 1
			var group sync.WaitGroup
			for _, i := range rand.Perm(pieces) {
				from, to := min(i*step, size), min((i+1)*step, size)
				group.Go(func() {
					var err error
					if i%2 == 0 {
						_, err = f.WriteAt(raw[from:to], int64(from))
					} else {
						_, err = f.WriteFrom(iotest.OneByteReader(bytes.NewReader(raw[from:to])), int64(from))
					}
					if err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
			finish(t, root, f, raw)
		}
	}
}

// More blobs at once than there are processors: then those who bring the bytes hash
// them, by turns with the goroutine behind.
func TestManyAtOnce(t *testing.T) {
	const size, connections = 3<<20 + 5, 3
	roots := make([]*os.Root, 3*runtime.GOMAXPROCS(0))
	files := make([]*partial.File, len(roots))
	raw := randomBytes(size)
	for i := range files {
		roots[i] = newRoot(t)
		files[i] = open(t, roots[i], describe(raw), partial.Options{})
	}
	var group sync.WaitGroup
	for i, f := range files {
		var next atomic.Int64
		// Somebody who is in front of all others, or now and then somewhere else.
		step := int64(100_000 << (i % 3))
		for range connections {
			group.Go(func() {
				for {
					at := next.Add(step) - step
					if at >= size {
						return
					}
					piece := bytes.Clone(raw[at:min(at+step, size)])
					if i == 1 && at == step {
						piece[0] ^= 1
					}
					if _, err := f.WriteFrom(bytes.NewReader(piece), at); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	group.Wait()
	for i, f := range files {
		if i != 1 {
			finish(t, roots[i], f, raw)
			continue
		}
		var bad *integrity.Error
		if _, err := f.Finish(t.Context(), "blob"); !errors.As(err, &bad) {
			t.Errorf("wrong bytes: %v", err)
		}
		if err := f.Discard(); err != nil {
			t.Error(err)
		}
	}
}

func TestSHA512(t *testing.T) {
	raw := randomBytes(3 << 20)
	desc := describe(raw)
	desc.Digest = digest.SHA512.FromBytes(raw)
	root := newRoot(t)
	f := open(t, root, desc, partial.Options{})
	fill(t, f, raw, 2<<20)
	if err := f.Suspend(); err != nil {
		t.Fatal(err)
	}
	f = open(t, root, desc, partial.Options{})
	if f.Taken() != 2<<20 {
		t.Errorf("%d bytes were taken up", f.Taken())
	}
	fill(t, f, raw, 1<<20)
	if _, err := f.Finish(t.Context(), "blob"); err != nil {
		t.Error(err)
	}
}

func TestWrongBytesAreNoWhole(t *testing.T) {
	raw := randomBytes(1 << 20)
	root := newRoot(t)
	f := open(t, root, describe(raw), partial.Options{What: "model.bin"})
	bad := bytes.Clone(raw)
	bad[500_000] ^= 1
	fill(t, f, bad, 1<<20)
	w, err := f.Finish(t.Context(), "blob")
	var wrong *integrity.Error
	if !errors.As(err, &wrong) || wrong.Got != digest.FromBytes(bad) || wrong.Want != digest.FromBytes(raw) || wrong.What != "model.bin" {
		t.Errorf("%v", err)
	}
	if w.Descriptor().Digest != "" {
		t.Error("there is a Whole all the same")
	}
	if err := f.Reset(); err != nil {
		t.Fatal(err)
	}
	fill(t, f, raw, 1<<20)
	finish(t, root, f, raw)
	// And one that is given up: nothing of it stays.
	f = open(t, root, describe(raw), partial.Options{})
	fill(t, f, bad, 1<<20)
	if _, err := f.Finish(t.Context(), "other"); err == nil {
		t.Error("wrong bytes passed")
	}
	if err := f.Suspend(); err != nil {
		t.Error(err)
	}
	wantFiles(t, root, "blob")
}

func TestFinishBeforeTheEnd(t *testing.T) {
	raw := randomBytes(1 << 20)
	root := newRoot(t)
	f := open(t, root, describe(raw), partial.Options{})
	fill(t, f, raw, 1<<20-1)
	var missing *partial.MissingError
	if _, err := f.Finish(t.Context(), "blob"); !errors.As(err, &missing) || missing.Missing != 1 {
		t.Errorf("%v", err)
	}
	if _, err := f.WriteAt([]byte{1, 2}, 1<<20-1); err == nil {
		t.Error("it takes more bytes than it has")
	}
	if err := f.Discard(); err != nil {
		t.Error(err)
	}
	wantFiles(t, root)
}

// What was suspended is taken up, the hash too, and parts that came out of order.
func TestSuspend(t *testing.T) {
	raw := randomBytes(3 << 20)
	root := newRoot(t)
	f := open(t, root, describe(raw), partial.Options{})
	for _, s := range []partial.Span{{0, 700_000}, {1 << 20, 2 << 20}} {
		if _, err := f.WriteAt(raw[s.Start:s.End], s.Start); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Suspend(); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, root, name, name+".journal")
	for _, n := range []string{name, name + ".journal"} {
		if info, err := root.Stat(n); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", n, info.Mode(), err)
		}
	}
	f = open(t, root, describe(raw), partial.Options{})
	missing := f.Missing()
	if len(missing) != 2 || missing[0] != (partial.Span{Start: 700_000, End: 1 << 20}) || f.Taken() != 700_000+1<<20 {
		t.Errorf("missing are %v, taken up %d", missing, f.Taken())
	}
	fill(t, f, raw, 3<<20)
	finish(t, root, f, raw)
	// Of a file that has nothing, nothing is kept.
	f = open(t, root, describe(raw), partial.Options{})
	if err := f.Suspend(); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, root, "blob")
}

func suspended(t *testing.T, root *os.Root, raw []byte, n int64) {
	t.Helper()
	f := open(t, root, describe(raw), partial.Options{})
	fill(t, f, raw, n)
	if err := f.Suspend(); err != nil {
		t.Fatal(err)
	}
}

// Whoever writes to a suspended file, in the same moment and with the time set
// back, is found by the digest, whatever the journal says of the hash.
func TestTamperedData(t *testing.T) {
	raw := randomBytes(2 << 20)
	for what, tamper := range map[string]func(t *testing.T, file string){
		"a byte": func(t *testing.T, file string) { poke(t, file, 1000) },
		"a byte, its time set back": func(t *testing.T, file string) {
			info, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(50 * time.Millisecond) // another step of the clock
			poke(t, file, 1000)
			if err := os.Chtimes(file, info.ModTime(), info.ModTime()); err != nil {
				t.Fatal(err)
			}
		},
		"another file": func(t *testing.T, file string) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			raw[1000] ^= 1
			if err := errors.Join(os.Remove(file), os.WriteFile(file, raw, 0o600)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			root := newRoot(t)
			suspended(t, root, raw, 1<<20)
			tamper(t, filepath.Join(root.Name(), name))
			f := open(t, root, describe(raw), partial.Options{})
			if f.Taken() != 1<<20 {
				t.Errorf("%d bytes were taken up", f.Taken())
			}
			fill(t, f, raw, 2<<20)
			var wrong *integrity.Error
			if _, err := f.Finish(t.Context(), "blob"); !errors.As(err, &wrong) {
				t.Fatalf("it passed: %v", err)
			}
			if err := f.Reset(); err != nil {
				t.Fatal(err)
			}
			fill(t, f, raw, 2<<20)
			finish(t, root, f, raw)
		})
	}
}

func poke(t *testing.T, file string, at int64) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	one := make([]byte, 1)
	if _, err := f.ReadAt(one, at); err != nil {
		t.Fatal(err)
	}
	one[0] ^= 1
	if _, err := f.WriteAt(one, at); err != nil {
		t.Fatal(err)
	}
}

// A journal that is no good means to start over, without an error; what it
// belongs to may be anything.
func TestStartingOver(t *testing.T) {
	raw := randomBytes(2 << 20)
	secret := filepath.Join(t.TempDir(), "secret")
	for what, spoil := range map[string]func(root *os.Root) error{
		"no journal":     func(root *os.Root) error { return root.Remove(name + ".journal") },
		"no data":        func(root *os.Root) error { return root.Remove(name) },
		"an empty one":   func(root *os.Root) error { return root.WriteFile(name+".journal", nil, 0o600) },
		"garbage":        func(root *os.Root) error { return root.WriteFile(name+".journal", randomBytes(5000), 0o600) },
		"one too large":  func(root *os.Root) error { return errors.Join(truncate(root, name+".journal", 1<<40)) },
		"data too short": func(root *os.Root) error { return truncate(root, name, 1<<20) },
		"data too long":  func(root *os.Root) error { return truncate(root, name, 3<<20) },
		"a directory":    func(root *os.Root) error { return errors.Join(root.Remove(name), root.Mkdir(name, 0o700)) },
		"a link":         func(root *os.Root) error { return errors.Join(root.Remove(name), root.Symlink(secret, name)) },
		"a second name":  func(root *os.Root) error { return root.Link(name, "second") },
		"journal is link": func(root *os.Root) error {
			return errors.Join(root.Rename(name+".journal", "j"), root.Symlink("j", name+".journal"))
		},
		"foreign journal": func(root *os.Root) error {
			text, err := root.ReadFile(name + ".journal")
			if err != nil {
				return err
			}
			other := strings.Replace(string(text), digest.FromBytes(raw).Encoded(), digest.FromString("other").Encoded(), 1)
			return root.WriteFile(name+".journal", []byte(other), 0o600)
		},
	} {
		t.Run(what, func(t *testing.T) {
			if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
				t.Fatal(err)
			}
			root := newRoot(t)
			suspended(t, root, raw, 1<<20)
			if err := spoil(root); err != nil {
				t.Fatal(err)
			}
			before, _ := root.ReadFile("second")
			f := open(t, root, describe(raw), partial.Options{})
			if f.Taken() != 0 {
				t.Errorf("%d bytes were taken up", f.Taken())
			}
			fill(t, f, raw, 2<<20)
			if _, err := f.Finish(t.Context(), "blob"); err != nil {
				t.Error(err)
			}
			if got, err := root.ReadFile("blob"); err != nil || !bytes.Equal(got, raw) {
				t.Error("it holds other bytes")
			}
			if got, err := os.ReadFile(secret); err != nil || string(got) != "secret" {
				t.Errorf("the file behind the link was written to: %q", got)
			}
			if after, _ := root.ReadFile("second"); !bytes.Equal(before, after) {
				t.Error("the file with the second name was written to")
			}
		})
	}
	t.Run("fresh", func(t *testing.T) {
		root := newRoot(t)
		suspended(t, root, raw, 1<<20)
		f := open(t, root, describe(raw), partial.Options{Fresh: true})
		if f.Taken() != 0 {
			t.Errorf("%d bytes were taken up", f.Taken())
		}
		fill(t, f, raw, 2<<20)
		finish(t, root, f, raw)
	})
}

func truncate(root *os.Root, name string, size int64) error {
	f, err := root.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close())
}

// A journal may say that spans are there that are not: then the digest is wrong.
func TestLyingJournal(t *testing.T) {
	raw := randomBytes(2 << 20)
	root := newRoot(t)
	suspended(t, root, raw, 1<<20)
	text, err := root.ReadFile(name + ".journal")
	if err != nil {
		t.Fatal(err)
	}
	lie := strings.ReplaceAll(string(text), `"end":1048576`, `"end":1500000`)
	if lie == string(text) {
		t.Fatalf("nothing to change in %s", text)
	}
	if err := root.WriteFile(name+".journal", []byte(lie), 0o600); err != nil {
		t.Fatal(err)
	}
	f := open(t, root, describe(raw), partial.Options{})
	if f.Taken() != 1_500_000 {
		t.Errorf("%d bytes were taken up", f.Taken())
	}
	fill(t, f, raw, 2<<20)
	var wrong *integrity.Error
	if _, err := f.Finish(t.Context(), "blob"); !errors.As(err, &wrong) {
		t.Errorf("it passed: %v", err)
	}
	if err := f.Discard(); err != nil {
		t.Error(err)
	}
}

// Two processes wait for each other.
func TestLock(t *testing.T) {
	raw := randomBytes(1 << 20)
	root := newRoot(t)
	f := open(t, root, describe(raw), partial.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := partial.Open(ctx, root, name, describe(raw), partial.Options{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second one got it: %v", err)
	}
	got := make(chan *partial.File)
	go func() {
		second, err := partial.Open(t.Context(), root, name, describe(raw), partial.Options{})
		if err != nil {
			t.Error(err)
		}
		got <- second
	}()
	fill(t, f, raw, 600_000)
	if err := f.Suspend(); err != nil {
		t.Fatal(err)
	}
	second := <-got
	if second.Taken() != 600_000 {
		t.Errorf("%d bytes were taken up", second.Taken())
	}
	fill(t, second, raw, 1<<20)
	finish(t, root, second, raw)
}

// A reader's error is the reader's, and what came before it is kept.
// What is gone on with is not old, however long ago it was left: who tidies up
// goes by the times of files.
func TestWhatIsInUseIsNotOld(t *testing.T) {
	root := newRoot(t)
	raw := randomBytes(1 << 20)
	suspended(t, root, raw, 1<<19)
	if err := root.WriteFile(name+".lock", nil, 0o600); err != nil { // of a killed process
		t.Fatal(err)
	}
	old := time.Now().Add(-30 * 24 * time.Hour)
	for _, n := range []string{name, name + ".lock"} {
		if err := root.Chtimes(n, old, old); err != nil {
			t.Fatal(err)
		}
	}
	f := open(t, root, describe(raw), partial.Options{})
	if f.Taken() == 0 {
		t.Error("nothing is taken up")
	}
	for _, n := range []string{name, name + ".lock"} {
		if info, err := root.Stat(n); err != nil || time.Since(info.ModTime()) > time.Hour {
			t.Errorf("%s: %v, %v", n, info, err)
		}
	}
	fill(t, f, raw, 1<<20)
	finish(t, root, f, raw)
}

func TestReaderFails(t *testing.T) {
	raw := randomBytes(1 << 20)
	root := newRoot(t)
	f := open(t, root, describe(raw), partial.Options{})
	broken := errors.New("the line is cut")
	n, err := f.WriteFrom(io.MultiReader(bytes.NewReader(raw[:300_001]), iotest.ErrReader(broken)), 0)
	if n != 300_001 || err != broken { //nolint:errorlint // it is not to be wrapped
		t.Errorf("%d, %v", n, err)
	}
	if m := f.Missing(); len(m) != 1 || m[0].Start != 300_001 {
		t.Errorf("missing are %v", m)
	}
	fill(t, f, raw, 1<<20)
	finish(t, root, f, raw)
}

func TestCancelledFinish(t *testing.T) {
	raw := randomBytes(1 << 20)
	root := newRoot(t)
	f := open(t, root, describe(raw), partial.Options{})
	fill(t, f, raw, 1<<20)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Finish(ctx, "blob"); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	} else if err != nil {
		if err := f.Suspend(); err != nil {
			t.Error(err)
		}
	}
}

func TestCopyFrom(t *testing.T) {
	raw := randomBytes(3<<20 + 5)
	src := filepath.Join(t.TempDir(), "src")
	if err := os.WriteFile(src, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(src)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for _, there := range []int64{0, 1 << 20} {
		root := newRoot(t)
		suspended(t, root, raw, there)
		f := open(t, root, describe(raw), partial.Options{})
		var moved int64
		if err := f.CopyFrom(t.Context(), in, func(n int64) { moved += n }); err != nil {
			t.Fatal(err)
		}
		if moved != int64(len(raw))-there {
			t.Errorf("%d bytes moved", moved)
		}
		finish(t, root, f, raw)
	}
	root := newRoot(t)
	f := open(t, root, describe(raw[1:]), partial.Options{})
	var wrong *integrity.Error
	if err := f.CopyFrom(t.Context(), in, nil); !errors.As(err, &wrong) || wrong.GotSize != int64(len(raw)) {
		t.Errorf("a source of another size: %v", err)
	}
	if err := f.Discard(); err != nil {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	raw := randomBytes(100_000)
	root := newRoot(t)
	if err := root.WriteFile("f", raw, 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := partial.Check(t.Context(), root, "f", describe(raw), 0o755)
	if err != nil || w.Name() != "f" {
		t.Fatal(w, err)
	}
	if info, err := root.Stat("f"); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", info, err)
	}
	var wrong *integrity.Error
	if _, err := partial.Check(t.Context(), root, "f", describe(raw[1:]), 0o644); !errors.As(err, &wrong) {
		t.Errorf("%v", err)
	}
	poke(t, filepath.Join(root.Name(), "f"), 5)
	if _, err := partial.Check(t.Context(), root, "f", describe(raw), 0o644); !errors.As(err, &wrong) {
		t.Errorf("%v", err)
	}
	if err := errors.Join(root.WriteFile("g", raw, 0o600), root.Link("g", "h"), root.Symlink("g", "s")); err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"h", "s", "absent"} {
		if _, err := partial.Check(t.Context(), root, n, describe(raw), 0o644); err == nil {
			t.Errorf("%s passed", n)
		}
	}
}
