package store_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/modseal/modseal/pkg/internal/integrity"
	"github.com/modseal/modseal/pkg/partial"
	"github.com/modseal/modseal/pkg/store"
)

// A blob that comes in pieces, from two processes, is a blob like any other once
// it is whole, and none before.
func TestPartialGoesOn(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	raw := bytes.Repeat([]byte("weights "), 1<<20)
	desc := blobOf("x/y", raw)
	p, err := l.Partial(t.Context(), desc, "weights")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.WriteAt(raw[:5<<20], 0); err != nil {
		t.Fatal(err)
	}
	var missing *partial.MissingError
	if err := p.Commit(t.Context()); !errors.As(err, &missing) {
		t.Errorf("with bytes missing: %v", err)
	}
	if err := p.Suspend(); err != nil {
		t.Fatal(err)
	}
	if there, err := l.Exists(t.Context(), desc); there || err != nil {
		t.Errorf("half of it is a blob: %v", err)
	}
	// Collecting leaves alone what somebody may go on with.
	l = reopened(t, l)
	if res := collect(t, l, now); res.Temporaries != 0 {
		t.Errorf("%+v", res)
	}
	if p, err = l.Partial(t.Context(), desc, "weights"); err != nil {
		t.Fatal(err)
	}
	if p.Taken() != 5<<20 {
		t.Errorf("%d bytes were taken up", p.Taken())
	}
	if _, err := p.WriteAt(raw[5<<20:], 5<<20); err != nil {
		t.Fatal(err)
	}
	if err := p.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := fetch(t, l, desc); got != string(raw) {
		t.Error("the blob is another")
	}
	if entries, err := os.ReadDir(filepath.Join(l.Path(), ".modseal-partial")); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestPartialWithWrongBytes(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	desc := blobOf("x/y", []byte("right"))
	p, err := l.Partial(t.Context(), desc, "weights")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.WriteAt([]byte("wrong"), 0); err != nil {
		t.Fatal(err)
	}
	var bad *integrity.Error
	if err := p.Commit(t.Context()); !errors.As(err, &bad) {
		t.Error(err)
	}
	if err := p.Discard(); err != nil {
		t.Error(err)
	}
	wantThere(t, l, false, desc.Digest)
}

// What nobody went on with for a week is taken, when nobody writes.
func TestCollectTakesOldPartials(t *testing.T) {
	l := mustCreate(t, t.TempDir())
	desc := blobOf("x/y", bytes.Repeat([]byte("x"), 1<<20))
	p, err := l.Partial(t.Context(), desc, "weights")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.WriteAt([]byte("some"), 0); err != nil {
		t.Fatal(err)
	}
	if err := p.Suspend(); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(l.Path(), ".modseal-partial")
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		t.Fatalf("%v, %v", entries, err)
	}
	long := time.Now().Add(-store.KeepPartials - time.Hour)
	for _, e := range entries {
		if err := os.Chtimes(filepath.Join(dir, e.Name()), long, long); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Collect(t.Context(), now); !errors.Is(err, store.ErrBusy) {
		t.Errorf("beside a writer: %v", err)
	}
	l = reopened(t, l)
	if res := collect(t, l, now); res.Temporaries != len(entries) {
		t.Errorf("%+v of %v", res, entries)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%v, %v", left, err)
	}
}
