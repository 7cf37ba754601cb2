package joblib_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

// The weights are stepped over.
func TestSkipsArrays(t *testing.T) {
	size := int64(8 << 30)
	head := []byte("\x80\x04" + shaped(tuple(num(1<<30)), f8))
	r := &sparse{head: head, tail: []byte(evil + "."), size: int64(len(head)) + size}
	total := r.size + int64(len(r.tail))
	s := scanContent(t, hazard.OfFile("x", r, total))
	if d := cmp.Diff([]string{"pickle-dangerous-global"}, s.rules()); d != "" || s.End != total {
		t.Error(d, s.End, s.findings)
	}
	if r.read > 256<<10 {
		t.Errorf("%d bytes were read", r.read)
	}
}

// sparse is a head, zeros up to size, and a tail.
type sparse struct {
	head, tail []byte
	size, read int64
}

func (s *sparse) ReadAt(b []byte, off int64) (int, error) {
	clear(b)
	if off < int64(len(s.head)) {
		copy(b, s.head[off:])
	}
	for i := range b {
		if at := off + int64(i) - s.size; at >= 0 && at < int64(len(s.tail)) {
			b[i] = s.tail[at]
		}
	}
	s.read += int64(len(b))
	return len(b), nil
}

// Whatever the bytes are, what is listed is in the content, and what is clean was read
// to its end.
func FuzzScan(f *testing.F) {
	for _, name := range []string{"arrays-0.joblib", "arrays-2.joblib", "arrays-4.joblib", "objects.joblib", "sklearn.joblib", "command-behind-array.joblib"} {
		f.Add(fixture(f, name))
	}
	f.Add(file(shaped(tuple(num(3)), f8), strings.Repeat(".", 24), evil))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := scan(t, b)
		if hazard.Judge(s.findings) == hazard.Clean && (!s.Whole || s.End != int64(len(b))) {
			t.Fatalf("clean, but whole %v and end %d of %d", s.Whole, s.End, len(b))
		}
		for _, a := range s.Arrays {
			inLiteral := a.Offset == -1
			if !inLiteral && (a.Offset < 0 || a.Size < 0 || a.Offset+a.Size > int64(len(b))) {
				t.Fatalf("%+v of %d bytes", a, len(b))
			}
		}
	})
}
