package holes_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"testing/quick"

	"github.com/modseal/modseal/pkg/internal/holes"
)

func roundTrip(t *testing.T, pieces ...[]byte) []byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), "f")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := holes.NewWriter(f)
	for _, p := range pieces {
		if n, err := w.Write(p); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestTheFileHoldsWhatWasWritten(t *testing.T) {
	run := func(n int, b byte) []byte { return bytes.Repeat([]byte{b}, n) }
	for name, pieces := range map[string][][]byte{
		"nothing":            nil,
		"zeros":              {run(64<<10, 0)},
		"zeros, not aligned": {run(1, 7), run(200<<10, 0), run(1, 7)},
		"hole at the end":    {run(64<<10, 7), run(64<<10, 0)},
		"hole and a rest":    {run(128<<10, 0), run(5, 0)},
		"hole first":         {run(128<<10, 0), run(64<<10, 7)},
		"nearly a hole":      {append(run(64<<10-1, 0), 1)},
	} {
		t.Run(name, func(t *testing.T) {
			if want := bytes.Join(pieces, nil); !bytes.Equal(roundTrip(t, pieces...), want) {
				t.Error("it does not")
			}
		})
	}
	// Any sizes of pieces of zeros and ones.
	if err := quick.Check(func(sizes []uint32) bool {
		var pieces [][]byte
		for i, n := range sizes[:min(len(sizes), 8)] {
			pieces = append(pieces, run(int(n%(300<<10)), byte(i%2)))
		}
		return bytes.Equal(roundTrip(t, pieces...), bytes.Join(pieces, nil))
	}, &quick.Config{MaxCount: 50}); err != nil {
		t.Error(err)
	}
}
