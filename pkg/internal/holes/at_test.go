package holes_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"testing/quick"

	"github.com/modseal/modseal/pkg/internal/holes"
)

// Whatever was there, the bytes are those that were written.
func TestWriteAtIsWhatWasWritten(t *testing.T) {
	const size = 400 << 10
	check := func(off uint32, mask uint8, dirty bool) bool {
		name := filepath.Join(t.TempDir(), "f")
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		want := make([]byte, size)
		if dirty {
			for i := range want {
				want[i] = 0xee
			}
			if _, err := f.Write(want); err != nil {
				t.Fatal(err)
			}
		} else if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		at := int64(off % (100 << 10))
		p := make([]byte, 300<<10)
		for i := range p { // some blocks of ones among zeros
			p[i] = mask >> (i / (40 << 10)) & 1
		}
		copy(want[at:], p)
		if err := holes.WriteAt(f, p, at, !dirty); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		return err == nil && bytes.Equal(got, want)
	}
	if err := quick.Check(check, &quick.Config{MaxCount: 200}); err != nil {
		t.Error(err)
	}
}
