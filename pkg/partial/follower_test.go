package partial_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"testing"

	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/partial"
)

// A registry that gives two connections different bytes of one part must not get
// those onto the disk that were not hashed.
func TestNoByteIsWrittenTwice(t *testing.T) {
	raw := randomBytes(700_000)
	wrong := bytes.Repeat([]byte{1}, len(raw))
	for name, write := range map[string]func(f *partial.File) error{
		"all again":      func(f *partial.File) error { _, err := f.WriteAt(wrong, 0); return err },
		"the end again":  func(f *partial.File) error { _, err := f.WriteAt(wrong[600_000:], 600_000); return err },
		"one byte again": func(f *partial.File) error { _, err := f.WriteAt(wrong[:1], 1000); return err },
		"across pieces": func(f *partial.File) error {
			_, err := f.WriteFrom(bytes.NewReader(wrong[200_000:600_000]), 200_000)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := newRoot(t)
			f := open(t, root, describe(raw), partial.Options{})
			fill(t, f, raw, int64(len(raw)))
			if err := write(f); err != nil {
				t.Fatal(err)
			}
			finish(t, root, f, raw)
		})
	}
	t.Run("what is new of it counts", func(t *testing.T) {
		root := newRoot(t)
		f := open(t, root, describe(raw), partial.Options{})
		if _, err := f.WriteAt(raw[300_000:400_000], 300_000); err != nil {
			t.Fatal(err)
		}
		mixed := bytes.Clone(raw)
		copy(mixed[300_000:400_000], wrong)
		if _, err := f.WriteAt(mixed, 0); err != nil {
			t.Fatal(err)
		}
		finish(t, root, f, raw)
	})
}

func TestFollow(t *testing.T) {
	raw := randomBytes(3 << 20)
	root := newRoot(t)
	f := open(t, root, describe(raw), partial.Options{})
	r, err := f.Follow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	type result struct {
		raw []byte
		err error
	}
	got := make(chan result, 1)
	go func() {
		p, err := io.ReadAll(r)
		got <- result{p, err}
	}()
	fill(t, f, raw[:1<<20], 1<<20)
	fill(t, f, raw, int64(len(raw)))
	select {
	case g := <-got:
		t.Fatalf("it ended with %d bytes before the blob was proven, %v", len(g.raw), g.err)
	default:
	}
	finish(t, root, f, raw)
	if g := <-got; g.err != nil || !bytes.Equal(g.raw, raw) {
		t.Errorf("%d bytes, %v", len(g.raw), g.err)
	}
	if at, err := r.Seek(-5, io.SeekEnd); err != nil || at != int64(len(raw))-5 {
		t.Error(at, err)
	}
	if p, err := io.ReadAll(r); err != nil || !bytes.Equal(p, raw[len(raw)-5:]) {
		t.Errorf("%q, %v", p, err)
	}
}

// Who follows never gets the last byte of something that is not the blob.
func TestFollowWrongBytes(t *testing.T) {
	raw := randomBytes(300_000)
	wrong := bytes.Clone(raw)
	wrong[len(wrong)-1]++
	for name, end := range map[string]func(f *partial.File) error{
		"discard": (*partial.File).Discard,
		"suspend": (*partial.File).Suspend,
		"reset":   func(f *partial.File) error { return errors.Join(f.Reset(), f.Discard()) },
	} {
		t.Run(name, func(t *testing.T) {
			root := newRoot(t)
			f := open(t, root, describe(raw), partial.Options{})
			r, err := f.Follow(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			fill(t, f, wrong, int64(len(wrong)))
			var bad *integrity.Error
			if _, err := f.Finish(t.Context(), "blob"); !errors.As(err, &bad) {
				t.Fatal(err)
			}
			if err := end(f); err != nil {
				t.Fatal(err)
			}
			p, err := io.ReadAll(r)
			if !errors.Is(err, partial.ErrGivenUp) || len(p) == len(raw) {
				t.Errorf("%d bytes, %v", len(p), err)
			}
		})
	}
}

func TestFollowEnds(t *testing.T) {
	raw := randomBytes(300_000)
	f := open(t, newRoot(t), describe(raw), partial.Options{})
	defer func() { _ = f.Discard() }()
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	r, err := f.Follow(ctx)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	read := func(r io.Reader) { _, err := r.Read(make([]byte, 1)); got <- err }
	go read(r)
	cancel(why)
	if err := <-got; !errors.Is(err, why) {
		t.Error("cancelled:", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	r, err = f.Follow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	go read(r)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := <-got; !errors.Is(err, fs.ErrClosed) {
		t.Error("closed:", err)
	}
}
